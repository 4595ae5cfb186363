"""`matrixgame describe`: what a generator's file is, in a file beside it that its users can edit."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import MatrixGameError
from ..system.files import path_argument, readable_path

_FIELDS = ("like", "name", "title", "steps", "window", "sink", "shift")  # of a description, which options may say


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command."""
    text = "Write NAME.matrixgame.json beside a generator that is not a published one: its keys, steps, window, sink."
    command = commands.add_parser("describe", help=text, description=text)
    command.add_argument("file", type=path_argument, metavar="FILE", help="its weights, or the folder they are in")
    command.add_argument("--like", metavar="VARIANT", help="the variant that it shares its keys and all else with")
    command.add_argument("--name", help="what scripts and documents call it: a word of a-z, 0-9 and _")
    command.add_argument("--title", help="what a player reads")
    command.add_argument("--steps", type=_steps, metavar="T,T", help="denoising steps, such as 1000,750,500,250")
    command.add_argument(
        "--window", type=int, metavar="N", help="latent frames that attention sees, block and sink too"
    )
    command.add_argument("--sink", type=int, metavar="N", help="first latent frames of a rollout that it always sees")
    command.add_argument("--shift", type=float, metavar="X", help="of the noise levels (5)")
    command.add_argument("--force", action="store_true", help="write over a description that is there")
    return command


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from ..checkpoints.describing import draft_description

    given: dict[str, Any] = {name: value for name in _FIELDS if (value := getattr(args, name)) is not None}
    draft = draft_description(args.file, given)
    if draft.path.exists() and not args.force:
        raise MatrixGameError(f"{readable_path(draft.path)} is there already; edit it, or write over it with --force.")
    print(readable_path(draft.write()))
    for text in draft.read:
        print(f"  read {text}")
    print("  to fill in, or to look at, with any editor:")
    for text in draft.left:
        print(f"  - {text}")
    return 0


def _steps(text: str) -> list[int]:
    parts = text.replace(",", " ").split()
    if not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"numbers from 1000 down to 1 are needed, got {text!r}")
    return [int(part) for part in parts]
