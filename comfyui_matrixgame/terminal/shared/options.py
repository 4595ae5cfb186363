"""Arguments that several commands of the terminal program share."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Any

from ...actions import MAX_SEED
from ...errors import VariantError
from ...system.files import path_argument
from ...variants import NEWEST, SAME_VIEW, Tried, steps_of_text
from ...variants.tried import FORM

if TYPE_CHECKING:
    from ...weights import Files

MOST_SEED = (1 << 64) - 1
_LONG_DASH = re.compile("[\u2010-\u2015\u2212]+([A-Za-z].*)", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """A parser that takes values such as -0.05,0.1 for what they are: no option here begins with a digit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._negative_number_matcher = re.compile(r"-\.?\d")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """See argparse, which mistakes an option whose dashes a word processor has made long for a value."""
        for argument in sys.argv[1:] if args is None else args:
            found = _LONG_DASH.fullmatch(argument)
            if found is not None and f"--{found[1].partition('=')[0]}" in self._option_string_actions:
                self.error(f"{argument} begins with a long dash; write --{found[1]}")
        return super().parse_known_args(args, namespace)


def seed_argument(text: str) -> int:
    """A seed as nodes and job files take it."""
    if not text.strip().isdecimal() or int(text) > MOST_SEED:
        raise argparse.ArgumentTypeError(f"a whole number from 0 to {MOST_SEED} is needed, got {text!r}")
    return int(text)


def seed_change(text: str) -> tuple[int, int]:
    """BLOCK:SEED as block and seed."""
    block, colon, seed = (part.strip() for part in text.partition(":"))
    if not colon or not block.isdecimal() or not seed.isdecimal() or int(seed) > MAX_SEED:
        raise argparse.ArgumentTypeError(
            f"a block and a seed from 0 to {MAX_SEED} are needed, such as 5:7, got {text!r}"
        )
    return int(block), int(seed)


def add_models(command: argparse.ArgumentParser) -> None:
    """The weights files, and how they are run; `weights.find_files` and `weights.load_models` read them."""
    models = command.add_argument_group("models", "Without any of these files, the small built-in demo world is used.")
    models.add_argument("--generator", type=path_argument, metavar="FILE", help="generator weights")
    models.add_argument("--vae", type=path_argument, metavar="FILE", help="Wan 2.1 VAE")
    models.add_argument(
        "--clip-vision", "--clip", dest="vision", type=path_argument, metavar="FILE", help="CLIP image tower"
    )
    models.add_argument(
        "--decoder", type=path_argument, metavar="FILE", help="tiny decoder for the frames (taew2_1, lighttaew2_1)"
    )
    add_loras(models)
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
    models.add_argument("--device", default=None, help="cuda, cpu, mps, xpu; default: the best there is")
    models.add_argument("--attention", default="sdpa", help="sdpa, flash2, flash3, or sage, which approximates")
    tried = command.add_argument_group(
        "to try", "Another rollout than the published one; a world goes on only with those it was made with."
    )
    tried.add_argument(
        "--steps",
        type=_steps_argument,
        metavar="N,N",
        help=f"denoising steps as places of 1000, such as {FORM}; the foundation model: how many (50)",
    )
    tried.add_argument("--window", type=int, metavar="N", help="latent frames that a block sees, its own 3 included")
    tried.add_argument("--sink", type=int, metavar="N", help="latent frames at the start that stay in the window")
    tried.add_argument(
        "--keeps",
        choices=(NEWEST, SAME_VIEW),
        help="what stays in the window: the newest blocks, or the oldest one while the view does not change, which "
        "drifts far less where the camera stands still and needs --window 9 or more",
    )


def add_loras(command: Any) -> None:
    """LoRAs, which `Files.with_loras` reads."""
    command.add_argument(
        "--lora", dest="loras", action="append", default=[], type=path_argument, metavar="FILE[:STRENGTH]",
        help="a LoRA, merged into the generator; again for more. One that says its steps brings them along",
    )  # fmt: skip


def as_tried(files: Files, args: argparse.Namespace) -> Files:
    """The files with the LoRAs, steps, window and sink of the arguments. Raises MatrixGameError where one is not for
    the generator, or where they make no sense."""
    return with_loras(files, args).trying(Tried(args.steps, args.window, args.sink, args.keeps))


def with_loras(files: Files, args: argparse.Namespace) -> Files:
    """The files with the LoRAs of the arguments, each of which is told. Raises MatrixGameError where one is not for the
    generator."""
    from .console import say

    files = files.with_loras(args.loras)
    for lora in files.loras:
        steps = "" if lora.steps is None else f"; it was distilled to the steps {','.join(map(str, lora.steps))}"
        say(f"LoRA {lora.name}{steps}")
    return files


def _steps_argument(text: str) -> tuple[int, ...] | None:
    try:
        return steps_of_text(text)
    except VariantError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
