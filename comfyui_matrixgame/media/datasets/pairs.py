"""Films with a file of inputs for each: side by side, as GF-Minecraft lays them out, or in a list as of FastVideo's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...actions.document import MAX_FILE
from ...actions.formats.all_formats import ENDINGS, Sample, kind_of_file
from ...actions.formats.imported import Imported
from ...actions.formats.recordings import read_frame_actions, read_gf_minecraft
from ...actions.read import read_file
from ...errors import ActionError, DatasetError
from ...system.text_files import cannot_be_read, read_text_file
from ...variants import FPS, Variant, default_variant
from . import oasis
from .action_arrays import read_action_arrays
from .clips import Clip, ClipInputs, Dataset, inputs_of_arrays
from .lines import read_lines

VIDEOS = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".gif", ".ts")
LINES = (".jsonl", ".ndjson")
MERGE = "merge.txt"  # FOLDER,LIST.json
LISTS = ("videos2caption.json", "data.json")
LARGEST_LIST = 1 << 28  # bytes
PER_FRAME: Mapping[str, Callable[[Any, Variant], Imported]] = {
    "gf_minecraft": read_gf_minecraft,
    "frame_actions": read_frame_actions,
}


def inputs_beside(path: Path) -> Path | None:
    """The file or folder of inputs that has the name of a film with another ending; None where there is none."""
    for ending in (*(e for e in ENDINGS if e not in VIDEOS), *oasis.ENDINGS, ""):
        beside = path.with_suffix(ending)
        if beside != path and beside.exists() and (ending or beside.is_dir()):
            return beside
    return None


def find_pairs(root: Path, variant: Variant | None = None) -> Dataset:
    """Every film under a folder that has inputs beside it; those without are lost."""
    clips, lost = [], {}
    layout = "films with inputs beside them"
    for path in sorted(path for path in root.rglob("*") if path.suffix.lower() in VIDEOS and not _hidden(path, root)):
        name, beside = path.relative_to(root).as_posix(), inputs_beside(path)
        if beside is None:
            lost[name] = f"No file of inputs lies beside it; {path.with_suffix('.jsonl').name} is missing."
        else:
            clips.append(Clip(name, path, partial(read_inputs, beside, variant), inputs=beside))
    if clips and all(clip.inputs is not None and clip.inputs.name.endswith(oasis.ENDINGS) for clip in clips):
        layout = "films with Open-Oasis's actions beside them"
    return Dataset(root, layout, clips, lost)


def is_gf_minecraft(root: Path) -> bool:
    """Whether a folder has the films and the metadata of GF-Minecraft."""
    return (root / "video").is_dir() and (root / "metadata").is_dir()


def find_gf_minecraft(root: Path, variant: Variant | None = None) -> Dataset:
    """The films of `video/`, with `metadata/NAME.json`."""
    clips, lost = [], {}
    for path in sorted(path for path in (root / "video").iterdir() if path.suffix.lower() in VIDEOS):
        about = root / "metadata" / f"{path.stem}.json"
        if about.exists():
            clips.append(Clip(path.name, path, partial(read_inputs, about, variant), inputs=about))
        else:
            lost[path.name] = f"metadata/{about.name} is missing."
    return Dataset(root, "GF-Minecraft", clips, lost)


def list_of_fastvideo(root: Path) -> Path | None:
    """The list of films that FastVideo preprocesses: the one that merge.txt names, or one of the usual names."""
    if (root / MERGE).is_file():
        words = _text_of_merge(root).strip().split(",")
        named = Path(words[-1].strip()).name if len(words) == 2 else ""
        if named and (root / named).is_file():
            return root / named
    return next((root / name for name in LISTS if (root / name).is_file()), None)


def _text_of_merge(root: Path) -> str:
    try:
        return read_text_file(root / MERGE, MAX_FILE).text
    except OSError as error:
        raise DatasetError(cannot_be_read(MERGE, error)) from None


def find_fastvideo(root: Path, variant: Variant | None = None) -> Dataset:
    """The films of a list of FastVideo's: `path`, `cap`, `fps` and `action_path`, below the list's folder or the folder
    that merge.txt names. Raises DatasetError."""
    listed = list_of_fastvideo(root)
    assert listed is not None
    try:
        items = json.loads(read_text_file(listed, LARGEST_LIST).text)
        found = [(str(item["path"]), item.get("action_path"), item.get("fps"), item.get("cap")) for item in items]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DatasetError(f"{listed.name} is no list of films with path and action_path ({error!r}).") from None
    clips, lost = [], {}
    for name, actions, fps, caption in found:
        folders = (root, root / "videos", root / "video")
        video = next((folder / name for folder in folders if (folder / name).is_file()), root / name)
        given = None if not actions else next((f / str(actions) for f in folders if (f / str(actions)).is_file()), None)
        if given is None:
            lost[name] = f"{listed.name} names no file of inputs for it that exists (action_path)."
            continue
        caption = caption[0] if isinstance(caption, list) and caption else caption
        rate = float(fps) if isinstance(fps, (int, float)) and fps > 0 else None
        read = partial(read_inputs, given, variant)
        clips.append(Clip(name, video, read, rate, str(caption or ""), inputs=given))
    return Dataset(root, "FastVideo", clips, lost)


def read_inputs(path: Path, variant: Variant | None = None) -> ClipInputs:
    """The inputs of a film, a row for each frame where the file has them so. Raises MatrixGameError."""
    chosen = variant or default_variant()
    if path.suffix.lower() in LINES:
        return read_lines(path, chosen)
    if path.suffix.lower() == ".npy" and path.is_file():
        return read_action_arrays(path, chosen)
    if path.name.endswith(oasis.ENDINGS):
        return oasis.read_oasis(path, chosen)
    data = read_frame_rows(path) if path.suffix.lower() == ".json" else None
    if data is not None:
        try:
            imported = PER_FRAME[data[0]](data[1] | {"fps": FPS}, chosen)  # a row for each of its frames
        except ActionError as error:
            raise DatasetError(f"{path.name}: {error}") from None
        notes, track = imported.notes, imported.track
    else:
        loaded = read_file(path, variant)
        notes, track = loaded.notes, loaded.track
    camera = np.zeros((len(track), 2)) if track.mouse is None else track.mouse
    return inputs_of_arrays(track.keyboard, camera, track.variant, notes)


def read_frame_rows(path: Path) -> tuple[str, dict[str, Any]] | None:
    """A JSON file of a row for each frame, and which of PER_FRAME it is; None for any other."""
    try:
        sample = Sample(read_text_file(path, MAX_FILE).text)
    except OSError as error:
        raise DatasetError(cannot_be_read(path.name, error)) from None
    kind = kind_of_file(path.suffix, sample)
    return (kind, sample.object) if kind in PER_FRAME else None


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)
