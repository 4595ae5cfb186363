"""The networks: generator, VAE and tiny decoders, image tower."""
