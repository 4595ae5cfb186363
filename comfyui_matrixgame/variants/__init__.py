"""What differs between the game variants: each is one file here, NAME.json, that `variant.schema.json` describes.

Everything else reads a `Variant`; nothing tests a variant's name. Key orders, windows and steps are those of the
published configurations (SPEC of this project; measured: golden/rollout_*).
"""

from __future__ import annotations

from .blocks import (
    FPS,
    FRAMES_PER_BLOCK,
    FRAMES_PER_LATENT,
    LATENTS_PER_BLOCK,
    MOST_BLOCKS,
    block_of_input,
    blocks_of_frames,
    first_input_of_block,
    frames_of_blocks,
)
from .like import is_packaged, lasting_variants, learn_variant, read_like, variant_of_inputs
from .reader import read_description, read_file
from .registry import (
    FOLDERS,
    VARIANTS,
    add_folder,
    add_variant,
    builtin_variants,
    default_variant,
    get_variant,
    refresh,
)
from .tried import Tried, steps_of_text
from .variant import IDLE, MOST_WINDOW, NEWEST, SAME_VIEW, Camera, Draws, Key, Overlay, Published, Variant

UNIVERSAL, GTA_DRIVE, TEMPLERUN = (VARIANTS[name] for name in ("universal", "gta_drive", "templerun"))

__all__ = [
    "FOLDERS", "FPS", "FRAMES_PER_BLOCK", "FRAMES_PER_LATENT", "GTA_DRIVE", "IDLE", "LATENTS_PER_BLOCK",
    "MOST_BLOCKS", "MOST_WINDOW", "NEWEST", "SAME_VIEW", "TEMPLERUN", "UNIVERSAL", "VARIANTS", "Camera", "Draws",
    "Key", "Overlay", "Published", "Tried", "Variant", "add_folder", "add_variant", "block_of_input",
    "blocks_of_frames", "builtin_variants", "default_variant", "first_input_of_block", "frames_of_blocks",
    "get_variant", "is_packaged", "lasting_variants", "learn_variant", "read_description", "read_file", "read_like",
    "refresh", "steps_of_text", "variant_of_inputs",
]  # fmt: skip
