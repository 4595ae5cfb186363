"""`matrixgame actions`: convert, show, plot and check inputs in a terminal.

The program mounts `add_parser` and calls `run`; errors are ActionError, whose text is the message.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from PIL.Image import Image

from ..actions import read
from ..actions.check_document import MAX_FRAMES
from ..actions.drawing import chart
from ..actions.formats import exporters
from ..actions.ready_made.presets import preset_names
from ..actions.script.lexer import ScriptError
from ..actions.track import blocks_of_rows
from ..errors import ActionError, ImageError, MatrixGameError, TargetError
from ..system.files import path_argument, written_whole
from ..system.targets import check_folder, check_target, is_same, printable_path
from ..system.words import counted
from ..variants import FPS, VARIANTS, default_variant
from .shared.inputs import load_inputs


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command `actions` to a program's commands; its namespace has `actions_command`."""
    parser = subparsers.add_parser("actions", help="convert, show, plot and check inputs (keys and camera)")
    commands = parser.add_subparsers(dest="actions_command", required=True, metavar="COMMAND")
    convert = commands.add_parser("convert", help="write inputs in another format, chosen by the ending of OUT")
    _add_input(convert)
    convert.add_argument("out", metavar="OUT", type=_out, help="file, or a folder for .npy files")
    convert.add_argument("--to", choices=exporters.ALL_KINDS, help="format to write, instead of what OUT ends in")
    show = commands.add_parser("show", help="print inputs as lanes of characters")
    _add_input(show)
    show.add_argument("--every", type=int, metavar="N", help="rows for each character; by default all fit in a line")
    plot = commands.add_parser("plot", help="draw inputs as lanes over time")
    _add_input(plot)
    plot.add_argument("out", metavar="OUT", type=_out, help="a .png file")
    plot.add_argument("--width", type=int, default=1200, metavar="PIXELS")
    check = commands.add_parser("check", help="read inputs and say what they are, or what is wrong with them")
    _add_input(check, many=True)
    return parser


def _add_input(parser: argparse.ArgumentParser, many: bool = False) -> None:
    help_text = (
        "file or folder, - for what is piped in, preset:NAME (" + ", ".join(preset_names()) + "), or bench:SEED[:ROWS]"
    )
    parser.add_argument("source", type=path_argument, metavar="IN", nargs="+" if many else None, help=help_text)
    parser.add_argument(
        "--variant", choices=VARIANTS, help=f"game variant; by default what the inputs say, or {default_variant().name}"
    )
    parser.add_argument("--branch", metavar="NAME", help="branch of a timeline; by default the one in use there")
    parser.add_argument("--from", dest="kind", choices=read.KINDS, help="format of IN, instead of recognising it")


def _out(text: str) -> Path:
    return Path(path_argument(text))


def run(args: argparse.Namespace) -> int:
    """Do what was asked; 0, or 1 where `check` found a fault. Raises ActionError."""
    command = args.actions_command
    if command == "check":
        return max([_check(source, args) for source in args.source])
    if command in ("convert", "plot"):
        _check_out(args)
    loaded = load_inputs(args.source, args.variant, args.kind, args.branch)
    markers = loaded.timeline.markers if loaded.timeline else ()
    if command == "show":
        if args.every is not None and not 1 <= args.every <= MAX_FRAMES:
            raise ActionError(f"--every is 1 to {MAX_FRAMES} rows for each character, got {args.every}.")
        width = shutil.get_terminal_size((100, 24)).columns
        print(chart.text_lanes(loaded.track, width, args.every, markers), end="")
    elif command == "plot":
        if not 200 <= args.width <= 20_000:
            raise ActionError(f"The width of a plot is 200 to 20000 pixels, got {args.width}.")
        _save(chart.plot_lanes(loaded.track, args.width, markers), args.out)
    else:
        kind = exporters.write_actions(loaded.timeline, loaded.track, args.out, args.to)
        print(f"{args.out}: {kind}, {_size(loaded)}")
    for note in loaded.notes:
        print(note, file=sys.stderr)
    return 0


def _check(source: str, args: argparse.Namespace) -> int:
    try:
        loaded = load_inputs(source, args.variant, args.kind, args.branch)
    except MatrixGameError as error:
        named = source in str(error) or Path(source).name in str(error)
        print(error if named else f"{source}: {error}", file=sys.stderr)
        return 1
    print(f"{source}: {loaded.kind}, {_size(loaded)}")
    for note in loaded.notes:
        print(note)
    return 0


def _size(loaded: read.Loaded) -> str:
    rows = len(loaded.track)
    blocks = blocks_of_rows(rows)
    return f"{loaded.track.variant.name}, {counted(rows, 'row')} ({rows / FPS:.1f} s, {counted(blocks, 'block')})"


def _check_out(args: argparse.Namespace) -> None:
    """Raise TargetError where OUT cannot be written, is IN, or is a file that no such command wrote."""
    inputs = {"the file of the inputs": args.source}
    if args.actions_command == "plot":
        if args.out.suffix.lower() != ".png" and not args.out.is_dir():
            raise TargetError(
                f"OUT {printable_path(str(args.out))}: a plot is written as .png; name it such as walk.png."
            )
        check_target(args.out, "OUT", inputs, _is_plot, "plot")
    elif (args.to or exporters.KINDS.get(args.out.suffix.lower())) != "npy":
        check_target(args.out, "OUT", inputs, _is_inputs, "file of inputs")
    elif is_same(args.out, args.source):
        raise TargetError(f"OUT {printable_path(str(args.out))} is the folder of the inputs; name another.")
    else:
        check_folder(args.out, "OUT")


def _is_inputs(path: Path) -> bool:
    try:
        read.read_file(path)
    except ScriptError:
        return path.suffix.lower() == ".mgs"  # one that somebody is still writing is no loss to be found out here
    except (MatrixGameError, OSError, ValueError):
        return False
    return True


def _is_plot(path: Path) -> bool:
    from ..media.images import read_pixels

    try:
        pixels = read_pixels(path)
    except ImageError:
        return False
    return all(tuple(pixels[row, column]) == chart.GROUND for row in (0, -1) for column in (0, -1))


def _save(picture: Image, path: Path) -> None:
    try:
        with written_whole(path) as part:
            picture.save(part, format="PNG")
    except OSError as error:
        raise ActionError(f"{path} cannot be written: {error.strerror or error}.") from None
