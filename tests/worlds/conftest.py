"""The small models, and a world of theirs."""

from ..support.small_world import models, world  # noqa: F401 (fixtures)
