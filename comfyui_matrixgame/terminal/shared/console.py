"""What the commands of the terminal share: what they say and show, and what their common options mean."""

from __future__ import annotations

import sys
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from ... import weights
from ...errors import ImageError
from ...media.fitting import check_size
from ...weights import Files
from ...world import Models, PassProgress
from ...world.warm import passes_of_warm_up, warm_up


def say(text: str) -> None:
    """A line for the person who watches, beside the progress bar."""
    tqdm.write(text, file=sys.stderr)


def warm_up_with_bar(models: Models, size: tuple[int, int]) -> None:
    """On a GPU, have every kernel loaded and compiled before it counts."""
    passes = passes_of_warm_up(models, *size)
    if not passes:
        return
    with tqdm(total=passes, unit="pass", desc="warming up", file=sys.stderr, dynamic_ncols=True) as bar:

        def show(progress: PassProgress) -> None:
            bar.update(progress.done * progress.steps + progress.step - bar.n)

        warm_up(models, *size, on_pass=show)
        bar.update(passes - bar.n)


def parse_size(text: str) -> tuple[int, int]:
    """Height and width from WIDTHxHEIGHT; raises ImageError."""
    parts = text.lower().replace("\u00d7", "x").split("x")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise ImageError(f"--size takes WIDTHxHEIGHT such as 640x352; got '{text}'.")
    width, height = (int(part) for part in parts)
    check_size(height, width)
    return height, width


def start_picture(image: str | Path | bytes | None, files: Files, height: int, width: int) -> Tensor:
    """See `weights.start_picture`; what there is to say about the picture is said."""
    return weights.start_picture(image, files, height, width, say)
