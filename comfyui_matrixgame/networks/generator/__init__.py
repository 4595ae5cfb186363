"""The network that predicts the next three latent frames from the window before them and the player's inputs."""

from .model import Generator, GeneratorConfig

__all__ = ["Generator", "GeneratorConfig"]
