"""A rollout in progress: the World as a value, the block loop that makes the next one, and its file."""

from .block.finish import Block
from .block.noise import NoiseSource, named_noise
from .block.passes import PassProgress
from .files import load_world, save_world
from .models import Models
from .rollout import Rollout, rollout
from .start import start_world, start_world_from_clip
from .world import World, select_world, stack_worlds

__all__ = [
    "Block", "Models", "NoiseSource", "PassProgress", "Rollout", "World", "load_world",
    "named_noise", "rollout", "save_world", "select_world", "stack_worlds", "start_world", "start_world_from_clip",
]  # fmt: skip
