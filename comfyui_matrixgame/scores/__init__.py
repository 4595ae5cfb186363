"""Scores of films, from their frames and inputs alone."""
