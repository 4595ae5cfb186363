"""`matrixgame dataset`: is a dataset fit to train on, a corrected copy of it, and the forms that trainers take."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import DatasetError
from ..system.files import path_argument, readable_path, write_whole
from ..system.targets import check_folder, check_target
from ..variants import FPS, VARIANTS, default_variant, get_variant

WORST = 10
LEAST_FPS, MOST_FPS = 1, 240
LAYOUTS = ("lerobot-2.1", "lerobot-3.0", "fastvideo", "forgewm")


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command `dataset` to a program's commands; imports nothing that a film would need."""
    text = "Check, correct and export datasets of films with their inputs."
    command = commands.add_parser("dataset", help=text, description=text)
    inner = command.add_subparsers(dest="step", required=True, metavar="STEP")
    _add_check(inner)
    _add_export(inner)
    return command


def _add_check(inner: argparse._SubParsersAction) -> None:
    text = "Do inputs and pictures belong together: lag, signs, units, menus, lost and doubled frames, frame rates."
    check = inner.add_parser("check", help=text, description=text)
    check.add_argument(
        "dataset", type=path_argument,
        help="a folder: LeRobot, films with inputs beside them (VPT or JSON lines, Open-Oasis, tables ...), "
        "GF-Minecraft, or a list of FastVideo's",
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


def _add_export(inner: argparse._SubParsersAction) -> None:
    text = "Write a dataset as trainers take it; an export that was stopped goes on."
    export = inner.add_parser("export", help=text, description=text)
    export.add_argument("dataset", type=path_argument, help="a folder, see `check`")
    export.add_argument("target", type=path_argument, help="folder of the export; what is there already is kept")
    export.add_argument("--as", dest="layout", choices=LAYOUTS, required=True)
    export.add_argument("--variant", choices=VARIANTS, help="game variant of inputs that do not say it")
    export.add_argument(
        "--fps", type=float, metavar="N",
        help=f"resample clips of other rates, with their inputs, to N frames a second; models play at {FPS}",
    )  # fmt: skip
    latents = export.add_argument_group("of fastvideo and forgewm, which hold latents")
    latents.add_argument("--vae", type=path_argument, metavar="FILE", help="Wan 2.1 VAE (default: the demo world's)")
    latents.add_argument(
        "--clip-vision", "--clip", dest="vision", type=path_argument, metavar="FILE", help="CLIP image tower"
    )
    latents.add_argument("--frames", type=int, metavar="N", help="of a sample, 1 + 4k (fastvideo 77, forgewm 81)")
    latents.add_argument("--per-file", type=int, metavar="N", help="samples of a table or shard (16, 500)")
    latents.add_argument("--size", metavar="WxH", help="multiples of 16 (default: what the model was trained at)")
    latents.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    latents.add_argument("--device", default=None, help="cuda, cpu, mps, xpu; default: the best there is")


def run(args: argparse.Namespace) -> int:
    """Do one step; 0, or 1 where a dataset has faults. Raises MatrixGameError."""
    return {"check": _check, "export": _export}[args.step](args)


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


def _export(args: argparse.Namespace) -> int:
    from ..media.datasets.exports.lerobot import export_lerobot
    from ..media.datasets.find import find_dataset

    if args.fps is not None and not LEAST_FPS <= args.fps <= MOST_FPS:
        raise DatasetError(f"--fps is {LEAST_FPS} to {MOST_FPS} frames a second, such as {FPS}.")
    dataset = find_dataset(Path(args.dataset), None if args.variant is None else get_variant(args.variant))
    target = Path(args.target)
    if target.resolve().is_relative_to(dataset.root.resolve()):
        raise DatasetError(f"{readable_path(target)} lies in the dataset itself; name a folder outside of it.")
    check_folder(target, "TARGET")
    if args.layout.startswith("lerobot"):
        out = _counted("episode", lambda say: export_lerobot(dataset, target, int(args.layout[8]), say, args.fps))
    else:
        out = _export_latents(args, dataset, target)
    for line in out.told():
        print(line, file=sys.stderr)
    for name, why in out.lost.items():
        print(f"left out {name}: {why}", file=sys.stderr)
    print(f"{readable_path(target)}: {out.made} written, {out.there} there before, {len(out.lost)} left out")
    return int(bool(out.lost))


def _export_latents(args: argparse.Namespace, dataset: Any, target: Path) -> Any:
    from ..checkpoints import load_vae, load_vision
    from ..checkpoints.builtin import demo_world
    from ..compute.devices import find_device
    from ..media.datasets.exports import fastvideo, forgewm
    from ..media.datasets.exports.encode import Encoders
    from ..media.fitting import check_size
    from .shared.console import parse_size

    is_fastvideo = args.layout == "fastvideo"
    vae, vision, size = args.vae, args.vision, default_variant().size
    if not vae and not vision:
        demo = demo_world()
        vae, vision, size = demo.vae, demo.vision, (demo.height, demo.width)
        print("without --vae and --clip: latents of the demo world's networks, for trying out", file=sys.stderr)
    if not vae or (is_fastvideo and not vision):
        name = default_variant().name
        raise DatasetError(f"Name --vae and, for fastvideo, --clip; `matrixgame download {name}` fetches both.")
    usual_frames = fastvideo.FRAMES if is_fastvideo else forgewm.FRAMES
    usual = fastvideo.PER_FILE if is_fastvideo else forgewm.PER_SHARD
    frames = usual_frames if args.frames is None else args.frames
    per_file = usual if args.per_file is None else args.per_file
    if frames < 5 or frames % 4 != 1 or per_file < 1:
        raise DatasetError(f"--frames is 1 + 4k, such as {usual_frames}, and --per-file 1 or more.")
    size = parse_size(args.size) if args.size else size
    check_size(*size)
    device = find_device(args.device)
    tower = load_vision(vision, args.dtype, device) if is_fastvideo and vision else None
    encoders = Encoders(load_vae(vae, args.dtype, device), tower, size)
    export = fastvideo.export_fastvideo if is_fastvideo else forgewm.export_forgewm
    return _counted("sample", lambda say: export(dataset, target, encoders, frames, per_file, say, args.fps))


def _counted(unit: str, work: Callable[[Callable[[Any], object]], Any]) -> Any:
    """Do some work with a count of what is done on the screen."""
    from tqdm import tqdm

    with tqdm(unit=unit, file=sys.stderr, dynamic_ncols=True) as bar:
        return work(lambda out: bar.update(out.made + out.there - bar.n))
