"""`matrixgame dataset`: is a dataset fit to train on, a corrected copy of it, and the forms that trainers take."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..errors import DatasetError
from ..system.files import path_argument, readable_path, write_whole
from ..system.targets import check_target
from ..variants import VARIANTS, get_variant

WORST = 10


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command `dataset` to a program's commands; imports nothing that a film would need."""
    text = "Check, correct and export datasets of films with their inputs."
    command = commands.add_parser("dataset", help=text, description=text)
    inner = command.add_subparsers(dest="step", required=True, metavar="STEP")
    _add_check(inner)
    return command


def _add_check(inner: argparse._SubParsersAction) -> None:
    text = "Do inputs and pictures belong together: lag, signs, units, menus, lost and doubled frames, frame rates."
    check = inner.add_parser("check", help=text, description=text)
    check.add_argument(
        "dataset", type=path_argument,
        help="a folder: LeRobot, films with inputs beside them (VPT or JSON lines, tables ...), GF-Minecraft, or a "
        "list of FastVideo's",
    )  # fmt: skip
    check.add_argument("--variant", choices=VARIANTS, help="game variant of inputs that do not say it")
    check.add_argument(
        "--worst", type=int, default=WORST, metavar="N", help="show the N worst clips (default: %(default)s)"
    )
    check.add_argument(
        "--fix", metavar="LIST",
        help="write a corrected copy to -o and check that: lag=2,flip=pitch (also yaw, forward, right), swap=camera or "
        "keys, scale=0.0667 of the camera, menus=still",
    )  # fmt: skip
    check.add_argument("-o", "--output", type=path_argument, metavar="FOLDER", help="of the corrected copy")
    check.add_argument("--json", type=path_argument, metavar="FILE", help="also write all that was found as JSON")


def run(args: argparse.Namespace) -> int:
    """Do one step; 0, or 1 where a dataset has faults. Raises MatrixGameError."""
    return {"check": _check}[args.step](args)


def _check(args: argparse.Namespace) -> int:
    from ..media.datasets.find import find_dataset
    from ..scores.datasets.report import FORMAT
    from ..scores.datasets.shown import text_of

    if args.json:
        mark = f'"format": "{FORMAT}"'.encode()
        check_target(args.json, "--json", replaceable=lambda path: mark in path.read_bytes()[:200], what="report")
    variant = None if args.variant is None else get_variant(args.variant)
    report = _measured(_corrected(args) if args.fix or args.output else find_dataset(Path(args.dataset), variant))
    print(text_of(report, max(0, args.worst)))
    if report.fixes:
        name = readable_path(args.dataset)
        print(f"to correct it: matrixgame dataset check {name} --fix {','.join(report.fixes)} -o FOLDER")
    if args.json:
        write_whole(args.json, (json.dumps(report.about(), indent=1, ensure_ascii=False) + "\n").encode())
    return int(not report.good)


def _corrected(args: argparse.Namespace) -> Any:
    from ..media.datasets.find import find_dataset
    from ..media.datasets.fixes import HELP, parse_fix
    from ..media.datasets.write_fixed import write_fixed

    if not args.fix or not args.output:
        raise DatasetError(f"A corrected copy needs --fix with what is to be done ({HELP}) and -o with its folder.")
    fix = parse_fix(args.fix)
    find_dataset(Path(args.dataset))
    copy = write_fixed(Path(args.dataset), Path(args.output), fix)
    print(f"{readable_path(args.output)}: the corrected copy", file=sys.stderr)
    return copy


def _measured(dataset: Any) -> Any:
    from tqdm import tqdm

    from ..scores.datasets.check import check_clip
    from ..scores.datasets.report import report_of

    if not dataset.clips and not dataset.lost:
        raise DatasetError(f"There are no clips in {dataset.root}.")
    checks = []
    with tqdm(total=len(dataset.clips), unit="clip", file=sys.stderr, dynamic_ncols=True) as bar:
        for clip in dataset.clips:
            checks.append(check_clip(clip, lambda done: bar.set_postfix_str(f"frame {done}")))
            bar.update()
    return report_of(dataset, checks)
