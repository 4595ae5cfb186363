"""Arithmetic: layers, kernels, number formats, devices."""
