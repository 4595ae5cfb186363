"""What a player does, frame by frame: the track, and the formats it is written in."""
