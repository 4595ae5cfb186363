"""Between the host's values and the engine's: text to tracks, IMAGE to frames."""

# pyright: reportMissingImports=false

from __future__ import annotations

import functools
import hashlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import folder_paths
import torch
from torch import Tensor, nn

from ..actions.document import MAX_FILE
from ..actions.drawing.overlay import draw_overlay as overlay
from ..actions.named_scripts import PATH_ENDINGS, Source, file_source, read_paths
from ..actions.read import read_text
from ..actions.ready_made.bench import bench_track
from ..actions.track import ActionTrack, rows_of_blocks
from ..errors import ActionError, MatrixGameError
from ..system.files import read_bytes
from ..variants import VARIANTS, get_variant

log = logging.getLogger(__name__)
NO_FILE = "(none)"
OVERLAY_CHUNK = 48  # frames converted at a time


def problem_with_script(script: str | None, variant: str | None) -> str | None:
    """Why a script cannot be played, with line and column; None where it can, is not known yet (linked), or where core
    refuses the variant."""
    if script is None or variant not in VARIANTS:
        return None
    try:
        read_inputs(script, variant)
    except MatrixGameError as error:
        return str(error)
    return None


@functools.lru_cache(maxsize=8)  # a graph asks three times for each edit: when it is checked, run, and shown
def read_inputs(script: str, variant: str) -> ActionTrack:
    """The track of a script, or of a timeline or another format that is text, with the pinned markers of a timeline;
    raises ActionError. What a recording holds without effect is said in the console."""
    loaded = read_text(script, variant)
    if loaded.kind not in ("script", "timeline"):
        _say(loaded.notes)
    pins = tuple(marker.t for marker in loaded.timeline.markers if marker.pin) if loaded.timeline else ()
    return replace(loaded.track, pins=pins)


def path_file_choices() -> list[str]:
    """Files of the input folder that may hold scripts, after `NO_FILE`."""
    folder = Path(folder_paths.get_input_directory())
    found = (path.name for path in folder.iterdir() if path.suffix.lower() in PATH_ENDINGS and path.is_file())
    return [NO_FILE, *sorted(found, key=str.lower)]


def path_file_state(file: str) -> str:
    """Another text whenever the file has another content."""
    if file == NO_FILE:
        return ""
    try:
        return hashlib.sha256(read_bytes(_input_file(file), MAX_FILE)).hexdigest()
    except (OSError, ActionError):
        return "missing"


def camera_paths(variant: str, scripts: str, file: str) -> tuple[list[ActionTrack], list[str]]:
    """The tracks of all scripts of a text and then of a file of the input folder, and their names; raises
    ActionError that names the script, with line and column."""
    sources = [Source(scripts, "path")]
    if file != NO_FILE:
        sources.append(file_source(_input_file(file)))
    notes: list[str] = []
    paths = read_paths(sources, variant, notes)
    _say(tuple(notes))
    return [path.track for path in paths], [path.name for path in paths]


def problem_with_paths(variant: str | None, scripts: str | None, file: str | None) -> str | None:
    """Why scripts cannot be played; None where they can, are not known yet (linked), or where core refuses the variant
    or the file."""
    if variant not in VARIANTS or scripts is None or file not in path_file_choices():
        return None
    try:
        camera_paths(variant, scripts, file)
    except MatrixGameError as error:
        return str(error)
    return None


@functools.lru_cache(maxsize=256)  # what is checked and then run is said once
def _say(notes: tuple[str, ...]) -> None:
    for note in notes:
        log.warning("Inputs: %s", note)


def _input_file(name: str) -> Path:
    """A file right in the input folder: a name that leads elsewhere is refused."""
    if not name or Path(name).name != name or "\\" in name or "\0" in name:
        raise ActionError(f"'{name}' is not the name of a file in the input folder.")
    return Path(folder_paths.get_input_directory()) / name


def bench_inputs(variant: str, blocks: int, seed: int) -> ActionTrack:
    """The benchmark's random inputs for a new world of `blocks` blocks."""
    return bench_track(get_variant(variant), seed, rows_of_blocks(blocks))


def draw_overlay(images: Tensor, actions: ActionTrack, **look: Any) -> Tensor:
    """IMAGE [N, H, W, C] with the heads-up display; pixels that nothing is drawn on stay exactly as they are."""
    parts = []
    for start in range(0, len(images), OVERLAY_CHUNK):
        chunk = images[start : start + OVERLAY_CHUNK].cpu().float()
        plain = chunk[..., :3].expand(*chunk.shape[:3], 3).mul(255).round().clamp(0, 255).to(torch.uint8)
        drawn = torch.from_numpy(overlay(plain.numpy(), actions, first_row=start, **look))
        kept = chunk[..., :3].expand(*chunk.shape[:3], 3)
        bar = drawn.shape[1] - plain.shape[1]
        plain, kept = (nn.functional.pad(x, (0, 0, 0, 0, 0, bar)) for x in (plain, kept))
        parts.append(torch.where(drawn == plain, kept, drawn.float() / 255))
    return torch.cat(parts) if parts else images
