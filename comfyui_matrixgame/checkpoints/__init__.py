"""Weights files: reading them safely, recognising what they are, loading and converting them."""

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
