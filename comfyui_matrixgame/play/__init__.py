"""Live play: a session that makes blocks from what a player holds, and the server that carries it to a browser."""

RESPONSIVE, FAITHFUL = "responsive", "faithful"
MODES = (RESPONSIVE, FAITHFUL)  # in which what a player holds becomes rows
ROUTE = "/matrixgame/play"  # of the player's socket
