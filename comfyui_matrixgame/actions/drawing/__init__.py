"""Inputs drawn: the overlay on frames, the chart over time."""
