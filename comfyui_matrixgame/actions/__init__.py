"""What a player does, frame by frame: the track, and the formats it is written in."""

MAX_SEED = 2**53 - 1  # of a change: a browser keeps no larger number whole
