"""Weights files: reading them safely, recognising what they are, loading and converting them."""

from typing import TYPE_CHECKING

from ..system.lazily import lazily

if TYPE_CHECKING:
    from .convert import convert_generator
    from .formats import FileReport, inspect_file
    from .load import load_decoder, load_generator, load_vae, load_vision

__all__ = [
    "FileReport",
    "convert_generator",
    "inspect_file",
    "load_decoder",
    "load_generator",
    "load_vae",
    "load_vision",
]
__getattr__ = lazily(
    __name__,
    convert="convert_generator",
    formats="FileReport inspect_file",
    load="load_decoder load_generator load_vae load_vision",
)
