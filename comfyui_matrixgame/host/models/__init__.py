"""Networks behind core's ModelPatcher: how they compute, where their weights are, and what names them."""
