"""Whether a dataset can be trained on: what is wrong with its clips, measured from their pictures."""
