"""`matrixgame grid`: two to four films as one, in step, with their names."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..system.files import path_argument
from ..system.targets import check_target
from ..system.words import counted


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command `grid` to a program's commands."""
    text = "Two to four videos as one, in step: branches, seeds or LoRA strengths to compare."
    command = commands.add_parser("grid", help=text, description=text)
    command.add_argument("films", nargs="+", type=path_argument, metavar="VIDEO")
    command.add_argument("-o", "--output", type=path_argument, default="grid.mp4", metavar="FILE", help="an .mp4")
    command.add_argument(
        "--names", metavar="NAME,NAME", help="what is written above each (default: the names of the files)"
    )
    return command


def run(args: argparse.Namespace) -> int:
    """Write the grid. Raises MatrixGameError."""
    from ..errors import VideoError
    from ..media.grid import write_grid
    from ..media.video import is_own_video

    inputs = {f"video {index}": film for index, film in enumerate(args.films, 1)}
    if Path(args.output).suffix.lower() not in (".mp4", ".m4v"):
        raise VideoError(f"--output {args.output}: a grid is written as .mp4; name it such as grid.mp4.")
    check_target(args.output, "--output", inputs, is_own_video, "video")
    names = [Path(film).stem for film in args.films] if args.names is None else args.names.split(",")
    frames = write_grid(args.films, [name.strip() for name in names], args.output)
    print(f"{args.output}: {counted(len(args.films), 'video')} in step, {counted(frames, 'frame')}")
    return 0
