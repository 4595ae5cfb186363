"""What torch is asked to do with tensors of a pretended device."""
