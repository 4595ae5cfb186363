"""Films and their inputs: where they are, and how they are read."""
