"""Scores kept, and shown: JSON, CSV and a page."""
