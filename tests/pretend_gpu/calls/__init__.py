"""Calls of torch on tensors of a pretended device."""
