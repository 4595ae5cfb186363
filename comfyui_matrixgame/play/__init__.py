"""Live play: a session that makes blocks from what a player holds, and the server that carries it to a browser."""
