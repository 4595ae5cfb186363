"""`matrixgame describe`: what a generator's file is, in a file beside it that its users can edit."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import MatrixGameError
from ..system.files import path_argument, readable_path, write_whole

_FIELDS = ("like", "name", "title", "steps", "window", "sink", "shift")  # of a description, which options may say


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command."""
    text = (
        "Write NAME.matrixgame.json beside a generator that is not a published one: its keys, steps, window, sink; or "
        "beside a LoRA: the steps it was distilled to."
    )
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

    if _is_lora(args.file):
        return _describe_lora(args)
    given: dict[str, Any] = {name: value for name in _FIELDS if (value := getattr(args, name)) is not None}
    draft = draft_description(args.file, given)
    _check_new(draft.path, args.force)
    print(readable_path(draft.write()))
    for text in draft.read:
        print(f"  read {text}")
    print("  to fill in, or to look at, with any editor:")
    for text in draft.left:
        print(f"  - {text}")
    return 0


def _is_lora(path: str) -> bool:
    from ..checkpoints.reader import open_weights
    from ..checkpoints.tables.other_files import is_lora

    with open_weights(path) as file:
        return is_lora(file.tensors)


def _describe_lora(args: argparse.Namespace) -> int:
    """A LoRA says its steps, and nothing else."""
    from ..checkpoints.lora.described import describe_lora

    if args.steps is None:
        raise MatrixGameError("A LoRA is described by the steps it was distilled to; say them, as --steps 1000,500.")
    other = [f"--{name}" for name in _FIELDS if name != "steps" and getattr(args, name) is not None]
    if other:
        raise MatrixGameError(f"{', '.join(other)}: a LoRA says its steps, and nothing else; leave it out.")
    path, text = describe_lora(args.file, args.steps)
    _check_new(path, args.force)
    try:
        write_whole(path, text)
    except OSError as error:
        raise MatrixGameError(
            f"{readable_path(path)} could not be written ({error.strerror or error}); check space and rights."
        ) from None
    print(readable_path(path))
    return 0


def _check_new(path: Path, force: bool) -> None:
    if path.exists() and not force:
        raise MatrixGameError(f"{readable_path(path)} is there already; edit it, or write over it with --force.")


def _steps(text: str) -> list[int]:
    parts = text.replace(",", " ").split()
    if not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"numbers from 1000 down to 1 are needed, got {text!r}")
    return [int(part) for part in parts]
