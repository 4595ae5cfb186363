"""`matrixgame doctor`: what an issue needs to know of this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..system.files import path_argument


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command."""
    text = "Say what an issue needs to know of this machine: versions, device, memory, files; no personal paths."
    command = commands.add_parser("doctor", help=text, description=text)
    command.add_argument(
        "--folder", type=path_argument, metavar="MODELS", help="a ComfyUI models folder, or that of `download`"
    )
    command.add_argument("--device", default=None, help="cuda, cpu, mps; default: the best there is")
    command.add_argument("--checksums", action="store_true", help="compare published files byte for byte (slow)")
    return command


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from ..measure.doctor.files import models_folders
    from ..measure.doctor.report import report

    folders = models_folders(Path(args.folder or "models"))
    print(report(folders, device=args.device, checksums=args.checksums), end="")
    return 0
