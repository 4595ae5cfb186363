"""`matrixgame play`: the player in a browser, served from here."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import MatrixGameError
from ..system.files import path_argument
from ..system.targets import check_target
from .shared.options import add_models, as_tried, seed_argument

if TYPE_CHECKING:
    from ..play.played_world import Playable, StartWorld

LOOPBACK = "127.0.0.1"


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """The command's arguments."""
    text = "Play a world in the browser: hold W and walk."
    command = commands.add_parser("play", help=text, description=text)
    command.add_argument("image", nargs="?", type=path_argument, help="start image; the demo world has one of its own")
    add_models(command)
    command.add_argument("--seed", type=seed_argument, default=0)
    command.add_argument("--size", metavar="WxH", help="multiples of 16 (default: what the model was trained at)")
    command.add_argument(
        "--mode",
        choices=["responsive", "faithful"],
        default="responsive",
        help="responsive: what is held when a block starts counts for all of it; faithful: your last 12 frames of "
        "input are replayed, one block late",
    )
    command.add_argument(
        "-o", "--output", type=path_argument, default="take.json", metavar="FILE", help="where the inputs are kept"
    )
    command.add_argument("--pattern", action="store_true", help="a test picture instead of a model")
    server = command.add_argument_group("server")
    server.add_argument(
        "--host", default=LOOPBACK, help="address to listen on; one that others can reach needs --token"
    )
    server.add_argument("--port", type=int, default=0, help="default: a free one")
    server.add_argument("--token", default="", help="what a player must know (default: made up, and in the address)")
    server.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    return command


def run(args: argparse.Namespace) -> int:
    """Serve a session until it is stopped."""
    from .play_server import serve

    check_address(args.host, args.token)
    if not 0 <= args.port <= 65535:
        raise MatrixGameError(f"--port is a number from 1 to 65535, or 0 for a free one; got {args.port}.")
    check_target(args.output, "--output", replaceable=lambda _: True)  # what is there stays, see `keep_take`
    return serve(world_starter(args), args)


def check_address(host: str, token: str) -> None:
    """Raise MatrixGameError where others could reach the player without a token that was chosen for them."""
    from ..play.wire.origin import is_loopback

    if not is_loopback(host) and len(token) < 16:
        raise MatrixGameError(
            f"--host {host} lets other machines in; give them a secret of at least 16 characters with --token, "
            "or leave --host out to play on this machine alone."
        )


def make_played_world(args: argparse.Namespace) -> Playable:
    """What the arguments say is to be played, loaded and at its start."""
    return world_starter(args)(args.image, args.seed)


def world_starter(args: argparse.Namespace) -> StartWorld:
    """What makes worlds with the models that the arguments name, from a picture (a path, bytes, or None for the one
    that they name) and a seed."""
    from .shared.console import parse_size

    if args.pattern:
        from ..play.pattern import TestPattern

        return lambda _, seed: TestPattern(size=parse_size(args.size or "640x352"), seed=seed)
    from ..compute.attention import get_attention
    from ..compute.devices import find_device
    from ..compute.quantise import check_precision
    from ..play import starting
    from ..weights import find_files
    from .shared.console import say, warm_up_with_bar

    files = find_files(args.generator, args.vae, args.vision, args.decoder, args.dtype, find_device(args.device))
    files = as_tried(replace(files, precision=args.precision, memory=args.memory), args)
    check_precision(files.precision, files.device)
    get_attention(args.attention)
    size = parse_size(args.size) if args.size else files.size
    return starting.world_starter(
        files,
        size,
        picture=args.image,
        attention=args.attention,
        note=say,
        ready=lambda models: warm_up_with_bar(models, size),
    )
