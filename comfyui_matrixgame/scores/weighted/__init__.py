"""Measures that need weights, which users have or fetch; nothing of it is loaded unless it is named."""
