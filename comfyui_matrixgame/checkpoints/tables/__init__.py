"""Names in weights files of other programs and other models, as tables."""
