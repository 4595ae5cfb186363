"""Worlds driven by programs: a client of the player's protocol, and a Gymnasium environment."""
