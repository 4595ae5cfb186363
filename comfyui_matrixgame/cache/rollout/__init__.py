"""What a cached rollout is made of: its records, the states before its blocks, and what is told of it."""
