"""What the nodes offer to choose from. ComfyUI asks at its start, so nothing heavy is imported here."""

# pyright: reportMissingImports=false

from __future__ import annotations

from pathlib import Path

import folder_paths

from ..actions.formats import PATH_ENDINGS
from ..checkpoints.builtin import FOLDER as BUILTIN_FOLDER
from ..checkpoints.builtin import MANIFEST
from ..checkpoints.builtin import NAME as DEMO_WORLD
from ..compute.choices import BACKENDS, DTYPE_NAMES
from .running.folders import SCORES, world_folder

DTYPE_CHOICES = ("auto", *DTYPE_NAMES)
VAE_DTYPE_CHOICES = DTYPE_CHOICES[:-1]  # no float8
ATTENTION_CHOICES = ("auto", "comfyui", *BACKENDS)
CACHE_CHOICES = ("automatic", "keep", "restore", "forget")
FOUNDATION_BLOCKS, MOST_FOUNDATION_BLOCKS = 5, 20  # 57 frames, as it was trained; 237
FULL_DECODER = "full"
AUTO = "auto"  # of a generator's variant: what is said of the file, or its shapes
NO_FILE = "(none)"
SCORE_ENDINGS = (".weights", ".safetensors", ".pth", ".pt", ".bin", ".ckpt")


def demo_choice() -> list[str]:
    """The demo world as an entry of a loader, where it is there."""
    return [DEMO_WORLD] if (BUILTIN_FOLDER / MANIFEST).exists() else []


def generator_choices() -> list[str]:
    """Entries of the generator loader: what is in models/diffusion_models, and the demo world."""
    return [*folder_paths.get_filename_list("diffusion_models"), *demo_choice()]


def lora_choices() -> list[str]:
    """Entries of the LoRA loader: what is in models/loras."""
    return folder_paths.get_filename_list("loras")


def vae_choices() -> list[str]:
    """Entries of the VAE loader: what is in models/vae, and the demo world's."""
    return [*folder_paths.get_filename_list("vae"), *demo_choice()]


def decoder_choices() -> list[str]:
    """Entries for the decoder: the VAE's own, or a tiny one in models/vae_approx."""
    return [FULL_DECODER, *folder_paths.get_filename_list("vae_approx")]


def score_weight_choices() -> list[str]:
    """Files of weights for scores, after `NO_FILE`: what is in models/scores, but for the folders of CLIPs, which are
    more than a file."""
    names = folder_paths.get_filename_list(SCORES)
    clips = {Path(name).parent for name in names if Path(name).name == "config.json"}
    return [NO_FILE, *(n for n in names if n.lower().endswith(SCORE_ENDINGS) and Path(n).parent not in clips)]


def path_file_choices() -> list[str]:
    """Files of the input folder that may hold scripts, after `NO_FILE`."""
    folder = Path(folder_paths.get_input_directory())
    found = (path.name for path in folder.iterdir() if path.suffix.lower() in PATH_ENDINGS and path.is_file())
    return [NO_FILE, *sorted(found, key=str.lower)]


def world_choices() -> list[str]:
    """Saved worlds, the newest first."""
    files = [path for path in world_folder().glob("*.safetensors") if path.is_file()]
    return [path.name for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)]
