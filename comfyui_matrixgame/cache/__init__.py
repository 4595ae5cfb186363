"""Blocks that were made before: records on disk and in memory, and the rollout that goes on from them."""

from .blocks import BlockCache
from .cached_rollout import CachedRollout

__all__ = ["BlockCache", "CachedRollout"]
