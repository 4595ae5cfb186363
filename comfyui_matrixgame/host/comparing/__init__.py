"""Nodes that set several takes beside each other."""

from typing import TYPE_CHECKING

from ...system.lazily import lazily

if TYPE_CHECKING:
    from . import grid_video, seed_gallery

__all__ = ["grid_video", "seed_gallery"]
__getattr__ = lazily(__name__, **dict.fromkeys(__all__, ""))
