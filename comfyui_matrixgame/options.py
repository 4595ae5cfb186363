"""Arguments that several commands of the terminal program share."""

from __future__ import annotations

import argparse
import re
from typing import Any


class Parser(argparse.ArgumentParser):
    """A parser that takes values such as -0.05,0.1 for what they are: no option here begins with a digit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._negative_number_matcher = re.compile(r"-\.?\d")


def add_models(command: argparse.ArgumentParser) -> None:
    """The weights files, and how they are run; `weights.find_files` and `weights.load_models` read them."""
    models = command.add_argument_group("models", "Without any of these files, the small built-in demo world is used.")
    models.add_argument("--generator", metavar="FILE", help="generator weights")
    models.add_argument("--vae", metavar="FILE", help="Wan 2.1 VAE")
    models.add_argument("--clip-vision", "--clip", dest="vision", metavar="FILE", help="CLIP image tower")
    models.add_argument("--decoder", metavar="FILE", help="tiny decoder for the frames (taew2_1, lighttaew2_1)")
    models.add_argument("--dtype", default="auto", help="auto, float32, bfloat16, float16 or float8_e4m3fn")
    models.add_argument(
        "--precision",
        default="exact",
        help="exact; or fp8 or int8, which compute the large layers in 8 bits: faster where the device has them, with "
        "other frames",
    )
    models.add_argument(
        "--memory",
        default="auto",
        help="auto (the first that fits of full and stream), full, stream (weights come from main memory layer by "
        "layer), or fp8 (weights stored as float8: no faster, other frames)",
    )
    models.add_argument("--device", default=None, help="cuda, cpu, mps; default: the best there is")
    models.add_argument("--attention", default="sdpa", help="sdpa, flash2, flash3, or sage, which approximates")
