"""Inputs drawn: the overlay on frames, the chart over time."""

STYLES = ("keys", "history", "dots", "none")
POSITIONS = ("bottom", "top", "bottom_left", "bottom_right", "top_left", "top_right")
