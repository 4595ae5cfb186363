"""Between a played world and its players: messages, clients, server."""
