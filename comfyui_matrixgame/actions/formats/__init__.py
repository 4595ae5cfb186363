"""Inputs from and for other programs: one list of formats (formats.py)."""

TEXT_ENDINGS = (".json", ".mgs", ".csv", ".tsv", ".jsonl", ".ndjson")  # of files that hold inputs as text (FORMATS)
PATH_ENDINGS = (*TEXT_ENDINGS, ".txt")  # of files that may hold several scripts
