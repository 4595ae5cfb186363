"""Scores of films."""
