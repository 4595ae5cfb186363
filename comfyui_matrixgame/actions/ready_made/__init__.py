"""Inputs that are made and not read: presets, the benchmark's, keys held throughout."""
