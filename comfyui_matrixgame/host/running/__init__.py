"""What nodes have in common: worlds between them, the graph they stand in, what a run shows, and folders."""
