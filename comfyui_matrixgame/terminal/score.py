"""`matrixgame score`: does a film obey its inputs, and how long does it hold."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..actions.read import KINDS, Loaded
from ..errors import MatrixGameError, TargetError
from ..system.files import path_argument, readable_path, write_whole
from ..system.targets import check_target
from ..system.words import counted
from ..variants import VARIANTS, default_variant
from .shared.inputs import load_inputs

FOLDER = "scores"
LISTS = ("there-and-back", "actions")


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command `score` to a program's commands; imports nothing that a film would need."""
    text = "Score films: do they move as their inputs ask, and do their colours and sharpness hold."
    command = commands.add_parser("score", help=text, description=text)
    command.add_argument(
        "source", nargs="*", type=path_argument, metavar="FILM_OR_FOLDER",
        help="a video, a folder of them, the output of `batch run`, or a dataset; inputs of a video are those of a "
        "file beside it of the same name (walk.mp4, walk.mgs), of the workflow that ComfyUI stored in it, or its name. "
        "Several folders, also as NAME=FOLDER, are compared side by side, such as the films of several models; -o is "
        "then needed",
    )  # fmt: skip
    command.add_argument(
        "-o", "--output", type=path_argument, metavar="FOLDER",
        help="for the page, the table and what is kept (default: scores in the folder, or NAME.scores beside a film)",
    )  # fmt: skip
    command.add_argument("--actions", type=path_argument, metavar="FILE|TEXT", help="the inputs of all these films")
    command.add_argument(
        "--named", action="store_true",
        help="films whose names end in an action of the published benchmark (world_forward_left.mp4) have its inputs; "
        "without it only numbered ones (0007_forward_left.mp4)",
    )  # fmt: skip
    command.add_argument("--from", dest="kind", choices=KINDS, help="format of --actions, instead of recognising it")
    command.add_argument(
        "--variant", choices=VARIANTS, help="game variant of inputs that do not say it, and of --template"
    )
    command.add_argument(
        "--reference", type=path_argument, metavar="FILM_OR_FOLDER",
        help="a film to compare with, or a folder with one of the same name for each",
    )  # fmt: skip
    command.add_argument(
        "--clip", type=path_argument, action="append", default=[], metavar="FOLDER",
        help="a CLIP in transformers' format, also several times: ViT-B/32 for temporal consistency, ViT-L/14 for "
        "--aesthetic (`matrixgame download scores`)",
    )  # fmt: skip
    command.add_argument(
        "--tower", type=path_argument, metavar="FILE",
        help="the image tower that the model uses (clip_vision_h), for temporal consistency as a measure of its own",
    )  # fmt: skip
    command.add_argument("--aesthetic", type=path_argument, metavar="FILE", help="LAION's sa_0_4_vit_l_14_linear.pth")
    command.add_argument(
        "--predictions", type=path_argument, metavar="FOLDER",
        help="what the inverse dynamics model of Video PreTraining saw, a NAME.jsonl for each film: keyboard and mouse "
        "accuracy",
    )  # fmt: skip
    command.add_argument(
        "--inverse-dynamics", type=path_argument, metavar="FILE",
        help="4x_idm.weights of Video PreTraining (MIT), or its folder: the same, seen by this program; a CPU takes "
        "minutes for a film",
    )  # fmt: skip
    command.add_argument("--device", help="for the networks of such weights, such as cuda, cuda:1 or cpu")
    command.add_argument(
        "--template", type=path_argument, metavar="JOBS.yaml",
        help="write a job file for `batch run`, and end; see --list",
    )  # fmt: skip
    command.add_argument(
        "--list", choices=LISTS, default=LISTS[0],
        help="films of --template: that go a way and come back, for scenario consistency, or those of the published "
        "benchmark's 76 actions that the variant can do",
    )  # fmt: skip
    return command


def run(args: argparse.Namespace) -> int:
    """Score what was named; 0, or 1 where a film could not be scored. Raises MatrixGameError."""
    if args.template:
        return _template(args)
    if not args.source:
        raise MatrixGameError("Name a film or a folder of films to score.")
    return _score(args)


def _score(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ..scores.films.found import Film, find_films
    from ..scores.films.scoring import score_film
    from ..scores.films.sets import FilmSet, sets_of
    from ..scores.results.compared import compare_sets, text_of
    from ..scores.results.kept import KeptScores
    from ..scores.results.shown import check_files, text_table, without_curves, write_all

    sets = sets_of(args.source)
    several = len(sets) > 1
    folder = _folder(args, sets)
    check_files(folder)
    weights = _weights(args)
    inputs, text = _inputs_of_all(args), _text_of_inputs(args)
    files = weights.files if weights else {}
    todo: list[tuple[FilmSet, KeptScores, Film]] = []
    for each in sets:
        parts = (text, weights.signature if weights else "", f"set {each.name}" if several else "")
        films = find_films(each.place, inputs, "\n".join(filter(None, parts)), args.variant, args.named)
        kept = KeptScores(folder, each.place)
        todo += [(each, kept, film) for film in films]
    found, known = [], 0
    try:
        with tqdm(total=len(todo), unit="film", file=sys.stderr, dynamic_ncols=True) as bar:
            for each, kept, film in todo:
                values = kept.read(film)
                if values is None:
                    reference, predictions = _reference(args, film.name), _predictions(args, film.name)
                    scored = score_film(
                        film, reference, weights, predictions, lambda done, of: _show(bar, "frame", done, of),
                        lambda done, of: _show(bar, "inverse dynamics, frame", done, of),
                    )  # fmt: skip
                    values = kept.keep(film, scored)
                else:
                    known += 1
                found.append(without_curves(values) | ({"set": each.name} if several else {}))
                bar.update()
    finally:
        if found:
            videos = {film.key: film.video for _, _, film in todo}
            source = ", ".join(readable_path(each.place) for each in sets)
            write_all(folder, found, videos, source, files, compare_sets(found) if several else None)
    print(text_of(found, files) if several else text_table(found, files))
    if known:
        print(f"{counted(known, 'film')} scored before", file=sys.stderr)
    print(f"look at {folder / 'index.html'}", file=sys.stderr)
    return int(any(values["error"] for values in found))


def _show(bar: Any, what: str, done: int, of: int) -> None:
    bar.set_postfix_str(f"{what} {done} of {of}")


def _weights(args: argparse.Namespace) -> Any:
    """The weights that were named, loaded; None where there are none."""
    if args.inverse_dynamics and args.predictions:
        raise MatrixGameError("--predictions are what --inverse-dynamics would see; name one of the two.")
    if not (args.clip or args.tower or args.aesthetic or args.inverse_dynamics):
        return None
    from ..compute.devices import find_device
    from ..scores.weighted.weights import load_weights

    tower, head, watching = (
        Path(path) if path else None for path in (args.tower, args.aesthetic, args.inverse_dynamics)
    )
    return load_weights([Path(folder) for folder in args.clip], tower, head, find_device(args.device), watching)


def _inputs_of_all(args: argparse.Namespace) -> Any:
    if not args.actions:
        return None

    @lru_cache(maxsize=1)
    def load() -> Loaded:
        return load_inputs(args.actions, args.variant, args.kind, text=True)

    load()  # what is wrong with them is said before anything is scored
    return load


def _text_of_inputs(args: argparse.Namespace) -> str:
    """What changes when --actions or --reference say something else."""
    parts = [args.reference or "", args.variant or "", "named" if args.named else ""]
    if args.predictions:
        parts.append(_stamp_of_predictions(args.predictions))
    if args.actions:
        loaded = load_inputs(args.actions, args.variant, args.kind, text=True)
        mouse = loaded.track.mouse
        parts += [loaded.track.variant.name, loaded.track.keyboard.tobytes().hex()]
        parts.append("" if mouse is None else mouse.tobytes().hex())
    return "\n".join(parts).strip()


def _folder(args: argparse.Namespace, sets: Sequence[Any]) -> Path:
    if args.output:
        folder = Path(args.output)
        if folder.is_file():
            raise TargetError(f"-o {readable_path(folder)} is a file; name a folder.")
        return folder
    if len(sets) > 1:
        raise TargetError("Several sets are compared in a folder of their own; name one with -o.")
    source = sets[0].place
    return source / FOLDER if source.is_dir() else source.with_name(f"{source.stem}.{FOLDER}")


def _reference(args: argparse.Namespace, name: str) -> Path | None:
    if not args.reference:
        return None
    path = Path(args.reference)
    return path / name if path.is_dir() else path


def _predictions(args: argparse.Namespace, name: str) -> Path | None:
    return (Path(args.predictions) / name).with_suffix(".jsonl") if args.predictions else None


def _stamp_of_predictions(folder: str) -> str:
    """Changes when a file of predictions does."""
    if not Path(folder).is_dir():
        raise MatrixGameError(f"--predictions: there is no folder {folder}.")
    return f"{folder} {max((path.stat().st_mtime_ns for path in Path(folder).rglob('*.jsonl')), default=0)}"


def _template(args: argparse.Namespace) -> int:
    from ..scores import benchmark, template

    path, variant = Path(args.template), args.variant or default_variant().name
    text = template.scenario_jobs(variant) if args.list == LISTS[0] else benchmark.action_jobs(variant)
    marks = tuple(mark.encode() for mark in (template.MARK, benchmark.MARK))
    check_target(path, "--template", replaceable=lambda p: p.read_bytes().startswith(marks), what="job file")
    write_whole(path, text.encode())
    print(f"{path}: run it with `matrixgame batch run {path}`, then `matrixgame score` its output")
    return 0
