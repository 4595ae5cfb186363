"""Datasets to train on: read, corrected, and written as trainers take them."""
