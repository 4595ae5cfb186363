"""`matrixgame`: the engine from a terminal.

Only what a command needs is imported, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import __version__
from .errors import MatrixGameError
from .options import add_models
from .variants import VARIANTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 1 for an error that was said in a sentence, 130 for Ctrl-C."""
    args = parser().parse_args(arguments)
    try:
        return args.run(args)
    except MatrixGameError as error:
        print(f"matrixgame: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("matrixgame: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0


def parser() -> argparse.ArgumentParser:
    """The program's arguments."""
    from .actions import cli as actions_cli
    from .batch import cli as batch_cli
    from .play import cli as play_cli

    top = argparse.ArgumentParser(prog="matrixgame", description="Matrix-Game 2.0: an image and inputs become a video.")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_render(commands)
    _add_inspect(commands)
    _add_convert(commands)
    _add_download(commands)
    _add_bench(commands)
    actions_cli.add_parser(commands).set_defaults(run=actions_cli.run)
    batch_cli.add_parser(commands).set_defaults(run=batch_cli.run)
    play_cli.add_parser(commands).set_defaults(run=play_cli.run)
    return top


def _add(commands: argparse._SubParsersAction, name: str, run: Callable, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def _add_render(commands: argparse._SubParsersAction) -> None:
    command = _add(commands, "render", _render, "Render a video from an image (or on from a clip) and inputs.")
    command.add_argument("image", nargs="?", help="start image; not needed with --continue-clip or the demo world")
    add_models(command)
    inputs = command.add_argument_group("inputs")
    inputs.add_argument("--actions", metavar="FILE|TEXT", help="script, timeline, CSV, JSON lines or .npy folder")
    inputs.add_argument("--branch", metavar="NAME", help="branch of the timeline in --actions (default: that in use)")
    inputs.add_argument("--keys", default="", metavar="K,K", help="keys held all the time, such as w or w,d")
    inputs.add_argument("--mouse", default="0,0", metavar="PITCH,YAW", help="camera all the time, such as 0,0.1")
    inputs.add_argument("--blocks", type=int, help="blocks of the whole rollout (9 frames, then 12 each)")
    inputs.add_argument("--seed", type=int, default=0)
    inputs.add_argument("--size", metavar="WxH", help="multiples of 16 (default: what the model was trained at)")
    inputs.add_argument("--continue-clip", metavar="VIDEO", help="go on from this clip of 9 + 12k frames")
    inputs.add_argument("--clip-actions", metavar="FILE|TEXT", help="the inputs that belong to that clip")
    out = command.add_argument_group("output")
    out.add_argument("-o", "--output", default="out.mp4", metavar="FILE")
    out.add_argument("--world", metavar="FILE", help="go on from this world if it exists, and save to it at the end")


def _render(args: argparse.Namespace) -> int:
    from .render import render

    return render(args)


def _add_inspect(commands: argparse._SubParsersAction) -> None:
    command = _add(commands, "inspect", _inspect, "Say what a weights file is, and what is wrong with it.")
    command.add_argument("files", nargs="+", metavar="FILE")


def _inspect(args: argparse.Namespace) -> int:
    from .checkpoints import inspect_file
    from .checkpoints.tensors import readable
    from .files import readable_path

    status = 0
    for path in args.files:
        report = inspect_file(path)
        print(f"{readable_path(path)}: {report.title}")
        print(f"  parameters  {report.parameters:,}")
        print(f"  stored as   {', '.join(f'{name} ({count:,})' for name, count in report.dtypes.items())}")
        if report.layout:
            print(f"  layout      {report.layout}")
        if report.origin:
            print(f"  read from   {report.origin}")
        if report.variant:
            variant = report.variant
            print(f"  variant     {variant.name}: {len(variant.steps)} steps, window {variant.window}")
            print(f"  keys        {', '.join(variant.keys)}{'; camera' if variant.mouse else ''}")
        for what, names in (
            ("missing", report.missing),
            ("unexpected", report.unexpected),
            ("wrong shape", report.wrong_shape),
            ("wrong dtype", report.wrong_dtype),
        ):
            for name in names:
                print(f"  {what:<11} {readable(name)}")
        if report.advice:
            print(f"  {report.advice}")
        print(f"  {'complete' if report.complete else 'not usable'}")
        status |= not report.whole
    return int(status)


def _add_convert(commands: argparse._SubParsersAction) -> None:
    command = _add(commands, "convert", _convert, "Write a generator in another layout or dtype.")
    command.add_argument("source", metavar="FILE")
    command.add_argument("target", metavar="OUT")
    command.add_argument(
        "--layout", default="published", help="published, plain, diffusion_model, diffusers, fastvideo"
    )
    command.add_argument("--dtype", default="auto", help="auto (as it is), float32, bfloat16, float16, float8_e4m3fn")


def _convert(args: argparse.Namespace) -> int:
    from .checkpoints import convert_generator

    path = convert_generator(args.source, args.target, args.layout, args.dtype)
    print(f"{path}: {path.stat().st_size / 1e9:.2f} GB")
    return 0


def _add_download(commands: argparse._SubParsersAction) -> None:
    command = _add(commands, "download", _download, "Fetch a variant's published files (about 8 GB).")
    command.add_argument("variant", choices=list(VARIANTS))
    command.add_argument("--folder", default="models", help="a ComfyUI models folder, or one of yours")
    command.add_argument("--endpoint", default=None, help=argparse.SUPPRESS)


def _download(args: argparse.Namespace) -> int:
    from .download import download, files_for

    for file in files_for(args.variant):
        print(f"{file.name} ({file.size / 1e9:.2f} GB) from {file.repo}")
        print(f"  {download(file, Path(args.folder), args.endpoint)}")
    return 0


def _add_bench(commands: argparse._SubParsersAction) -> None:
    command = _add(commands, "bench", _bench, "Measure this machine: one pass, one block, decoding, memory.")
    command.add_argument("--size", choices=["tiny", "full"], default="tiny")
    command.add_argument("--variant", choices=list(VARIANTS), default="universal")
    command.add_argument("--dtype", default="bfloat16")
    command.add_argument("--device", default=None)
    command.add_argument("--decoder", choices=["wan", "tiny"], default="wan")
    command.add_argument("--blocks", type=int, default=30, help="blocks of the timed rollout; the first 10 warm up")
    command.add_argument("-o", "--output", metavar="JSON", help="also write the figures as JSON")


def _bench(args: argparse.Namespace) -> int:
    from .measure import run

    return run(args)


if __name__ == "__main__":
    sys.exit(main())
