"""Inputs from and for other programs: one list of formats (formats.py)."""
