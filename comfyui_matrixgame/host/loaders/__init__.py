"""Nodes that load models."""

from typing import TYPE_CHECKING

from ...system.lazily import lazily

if TYPE_CHECKING:
    from . import load_generator, load_lora, load_vae

__all__ = ["load_generator", "load_lora", "load_vae"]
__getattr__ = lazily(__name__, **dict.fromkeys(__all__, ""))
