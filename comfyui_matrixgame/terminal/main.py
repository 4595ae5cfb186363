"""`matrixgame`: the engine from a terminal.

Only what a command needs is imported, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from .. import __version__
from ..compute.choices import SEEN
from ..errors import MatrixGameError
from ..measure.doctor.last_error import keep_error
from ..system.files import path_argument
from ..system.stopping import Stopped, stopping
from ..system.targets import check_target, printable_path
from ..variants import VARIANTS, default_variant
from .shared.options import Parser, add_models, seed_argument, seed_change

DEBUG = "MATRIXGAME_DEBUG"  # set to anything, it shows where an unexpected error came from


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 1 for an error that was said in a sentence, 2 for arguments that are
    none, 128 and the signal's number where one ended it, so 130 for Ctrl-C and 143 for SIGTERM."""
    for stream in (sys.stdout, sys.stderr):  # names of files may hold what a terminal's encoding does not
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with stopping():
            status = _run(arguments)
            _flush()
            return status
    except MatrixGameError as error:
        keep_error(error, _command(arguments))
        return _fail(str(error))
    except KeyboardInterrupt as stop:
        _fail("stopped.")
        return 128 + (stop.number if isinstance(stop, Stopped) else 2)
    except BrokenPipeError:
        _let_go_of_output()
        return 0
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        keep_error(error, _command(arguments))
        return _fail(_unexpected(error))


def _command(arguments: Sequence[str] | None) -> str:
    """The command that was asked for, without its arguments, which may be personal."""
    return next((word for word in sys.argv[1:] if word.isalpha()), "") if arguments is None else "".join(arguments[:1])


def _run(arguments: Sequence[str] | None) -> int:
    try:
        args = parser().parse_args(arguments)
        return args.run(args)
    except SystemExit as end:  # of argparse, which has said everything
        return end.code if isinstance(end.code, int) else int(end.code is not None)


def _flush() -> None:
    """What was printed is written now, so that a full disk is an error here and not a traceback after the end."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _fail(text: str) -> int:
    with suppress(OSError, ValueError):
        print(f"matrixgame: {text}", file=sys.stderr)
    with suppress(OSError, ValueError):
        _flush()
        return 1
    _let_go_of_output()
    return 1


def _let_go_of_output() -> None:
    """Nobody reads it, or no disk has room for it: what is left in the buffer must not fail once more at the end."""
    with suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())


def _unexpected(error: Exception) -> str:
    """An error that nobody thought of, in a sentence."""
    if "torch" in sys.modules:  # only what a command needs is imported
        from ..compute.faults import device_fault

        if (fault := device_fault(error)) is not None:
            return str(fault)
    text = " ".join(str(error).split())[:300]
    out_of_memory = "DefaultCPUAllocator" in text or "out of memory" in text.lower() or "Cannot allocate" in text
    if isinstance(error, MemoryError) or out_of_memory:
        return "There is not enough memory; use a smaller --size, another --dtype, or end other programs."
    if isinstance(error, OSError) and error.strerror:
        names = " and ".join(
            printable_path(str(name)) for name in (error.filename, error.filename2) if name is not None
        )
        return f"{names or 'The output'} cannot be read or written: {error.strerror}."
    return f"{type(error).__name__}: {text}. This should not happen: report it with what `matrixgame doctor` says."


def parser() -> argparse.ArgumentParser:
    """The program's arguments."""
    from . import actions as actions_cli
    from . import batch as batch_cli
    from . import dataset as dataset_cli
    from . import describe as describe_cli
    from . import doctor as doctor_cli
    from . import grid as grid_cli
    from . import play as play_cli
    from . import score as score_cli

    top = Parser(prog="matrixgame", description="Matrix-Game 2.0: an image and inputs become a video.")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_render(commands)
    _add_inspect(commands)
    describe_cli.add_parser(commands).set_defaults(run=describe_cli.run)
    _add_convert(commands)
    _add_download(commands)
    _add_bench(commands)
    actions_cli.add_parser(commands).set_defaults(run=actions_cli.run)
    batch_cli.add_parser(commands).set_defaults(run=batch_cli.run)
    dataset_cli.add_parser(commands).set_defaults(run=dataset_cli.run)
    doctor_cli.add_parser(commands).set_defaults(run=doctor_cli.run)
    grid_cli.add_parser(commands).set_defaults(run=grid_cli.run)
    play_cli.add_parser(commands).set_defaults(run=play_cli.run)
    score_cli.add_parser(commands).set_defaults(run=score_cli.run)
    return top


def _add(commands: argparse._SubParsersAction, name: str, run: Callable, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def _add_render(commands: argparse._SubParsersAction) -> None:
    command = _add(commands, "render", _render, "Render a video from an image (or on from a clip) and inputs.")
    from ..actions.read import KINDS

    command.add_argument(
        "image", nargs="?", type=path_argument, help="start image; not needed with --continue-clip or the demo world"
    )
    add_models(command)
    inputs = command.add_argument_group("inputs")
    inputs.add_argument(
        "--actions",
        type=path_argument,
        metavar="FILE|TEXT",
        help="script, timeline, CSV, JSON lines or .npy folder, "
        "- for what is piped in, preset:NAME, or bench:SEED[:ROWS]",
    )
    inputs.add_argument("--from", dest="kind", choices=KINDS, help="format of --actions, instead of recognising it")
    inputs.add_argument("--branch", metavar="NAME", help="branch of the timeline in --actions (default: that in use)")
    inputs.add_argument("--keys", default="", metavar="K,K", help="keys held all the time, such as w or w,d")
    inputs.add_argument("--mouse", default="0,0", metavar="PITCH,YAW", help="camera all the time, such as 0,0.1")
    inputs.add_argument("--blocks", type=int, help="blocks of the whole rollout (9 frames, then 12 each)")
    inputs.add_argument("--seed", type=seed_argument, default=0)
    inputs.add_argument(
        "--seed-at", type=seed_change, action="append", default=[], metavar="BLOCK:SEED",
        help="another seed from this block on (blocks are counted from 0); may be given several times",
    )  # fmt: skip
    inputs.add_argument("--size", metavar="WxH", help="multiples of 16 (default: what the model was trained at)")
    inputs.add_argument(
        "--continue-clip", type=path_argument, metavar="VIDEO", help="go on from this clip of 9 + 12k frames"
    )
    inputs.add_argument(
        "--clip-actions", type=path_argument, metavar="FILE|TEXT", help="the inputs that belong to that clip"
    )
    inputs.add_argument("--clip-from", dest="clip_kind", choices=KINDS, help="format of --clip-actions")
    _add_change(command)
    out = command.add_argument_group("output")
    out.add_argument(
        "-o",
        "--output",
        type=path_argument,
        default="out.mp4",
        metavar="FILE",
        help="a .mp4 or .gif (default: out.mp4)",
    )
    out.add_argument(
        "--world",
        type=path_argument,
        metavar="FILE",
        help="go on from this world if it exists, and save to it on the way and at the end",
    )
    out.add_argument(
        "--last-frame", type=path_argument, metavar="PNG", help="write the last frame as a picture too, to be changed"
    )


def _add_change(command: argparse.ArgumentParser) -> None:
    change = command.add_argument_group("going on from another world, which stays as it is")
    change.add_argument("--from-world", type=path_argument, metavar="FILE", help="the world, in place of a start image")
    change.add_argument(
        "--change",
        nargs="+",
        type=path_argument,
        metavar="PICTURE",
        help="what its last frame should look like, or its last frames (up to 12, in their order)",
    )
    change.add_argument(
        "--change-mask",
        type=path_argument,
        metavar="PICTURE",
        help="white where the pictures count, black where the world stays",
    )
    change.add_argument("--change-strength", type=float, metavar="N", help="how far it goes (default: 1)")
    change.add_argument(
        "--change-seen",
        choices=SEEN,
        help="which picture the network is shown from here on: the changed one (default), with which a change of "
        "everything lasts, or the one that the world started with",
    )


def _render(args: argparse.Namespace) -> int:
    from .render import render

    return render(args)


def _add_inspect(commands: argparse._SubParsersAction) -> None:
    command = _add(commands, "inspect", _inspect, "Say what a weights file is, and what is wrong with it.")
    command.add_argument("files", nargs="+", type=path_argument, metavar="FILE")


def _inspect(args: argparse.Namespace) -> int:
    from ..checkpoints import inspect_file
    from ..checkpoints.containers.tensors import printable_name
    from ..system.files import readable_path

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
            sink = f", sink {variant.sink}" if variant.sink else ""
            print(f"  variant     {variant.name}: {len(variant.steps)} steps, window {variant.window}{sink}")
            print(f"  keys        {', '.join(variant.keys)}{'; camera' if variant.mouse else ''}")
        for what, names in (
            ("missing", report.missing),
            ("unexpected", report.unexpected),
            ("wrong shape", report.wrong_shape),
            ("wrong dtype", report.wrong_dtype),
        ):
            for name in names:
                print(f"  {what:<11} {printable_name(name)}")
        if report.doubt:
            print(f"  {report.doubt}")
        if report.advice:
            print(f"  {report.advice}")
        print(f"  {'complete' if report.complete else 'not usable'}")
        status |= not report.whole
    return int(status)


def _add_convert(commands: argparse._SubParsersAction) -> None:
    command = _add(commands, "convert", _convert, "Write a generator in another layout or dtype.")
    command.add_argument("source", type=path_argument, metavar="FILE")
    command.add_argument("target", type=path_argument, metavar="OUT")
    command.add_argument(
        "--layout", default="published", help="published, plain, diffusion_model, diffusers, fastvideo"
    )
    command.add_argument("--dtype", default="auto", help="auto (as it is), float32, bfloat16, float16, float8_e4m3fn")


def _convert(args: argparse.Namespace) -> int:
    from ..checkpoints import convert_generator, inspect_file

    def is_generator(path: Path) -> bool:
        with suppress(MatrixGameError):
            return inspect_file(path).kind == "generator"
        return False

    check_target(args.target, "OUT", {"the file to convert": args.source}, is_generator, "generator")
    path = convert_generator(args.source, args.target, args.layout, args.dtype)
    print(f"{path}: {path.stat().st_size / 1e9:.2f} GB")
    return 0


def _add_download(commands: argparse._SubParsersAction) -> None:
    command = _add(
        commands, "download", _download, "Fetch a variant's published files (about 8 GB), or weights of scores."
    )
    command.add_argument(
        "variant",
        choices=[*VARIANTS, "scores"],
        help="a variant, or `scores`: the CLIPs of `matrixgame score` (2.3 GB)",
    )
    command.add_argument(
        "--folder", type=path_argument, default="models", help="a ComfyUI models folder, or one of yours"
    )
    command.add_argument("--endpoint", default=None, help=argparse.SUPPRESS)


def _download(args: argparse.Namespace) -> int:
    from ..checkpoints.download import download, files_for
    from ..scores.weighted import fetched

    of_scores = args.variant == "scores"
    if of_scores:
        print(f"Licence: {fetched.LICENCE}.", flush=True)
    for file in fetched.FILES if of_scores else files_for(args.variant):
        print(f"{file.name} ({file.size / 1e9:.2f} GB) from {file.repo}")
        print(f"  {download(file, Path(args.folder), args.endpoint)}")
    if of_scores:
        folders = " ".join(f"--clip {folder}" for folder in fetched.clip_folders(Path(args.folder)))
        print(f"Use them with `matrixgame score FILM {folders}`. {fetched.BY_HAND}")
    return 0


def _add_bench(commands: argparse._SubParsersAction) -> None:
    command = _add(commands, "bench", _bench, "Measure this machine: one pass, one block, decoding, memory.")
    command.add_argument("--size", choices=["tiny", "full"], default="tiny")
    command.add_argument("--variant", choices=list(VARIANTS), default=default_variant().name)
    command.add_argument("--dtype", default="bfloat16")
    command.add_argument("--device", default=None)
    command.add_argument("--decoder", choices=["wan", "tiny"], default="wan")
    command.add_argument("--blocks", type=int, default=30, help="blocks of the timed rollout; the first 10 warm up")
    command.add_argument("-o", "--output", type=path_argument, metavar="JSON", help="also write the figures as JSON")


def _bench(args: argparse.Namespace) -> int:
    from ..measure.bench import run

    return run(args)


if __name__ == "__main__":
    sys.exit(main())
