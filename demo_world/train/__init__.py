"""Training of the model that ships with the package: VAE, teacher, student (see demo_world/README.md)."""
