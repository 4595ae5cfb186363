"""A job file, read and checked: what is to be rendered, and its task."""
