"""The kinds of files that tensors come in."""
