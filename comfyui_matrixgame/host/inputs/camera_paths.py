"""Camera Paths: many scripts at once."""

# pyright: reportMissingImports=false

from __future__ import annotations

import hashlib
from pathlib import Path

import folder_paths

from ...actions.document import MAX_FILE
from ...actions.named_scripts import Source, file_source, read_paths
from ...actions.track import ActionTrack
from ...errors import ActionError, MatrixGameError
from ...system.files import read_bytes
from ...variants import VARIANTS
from ..choices import NO_FILE, path_file_choices
from ..running.notes import say_notes_once


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
    say_notes_once(tuple(notes))
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


def _input_file(name: str) -> Path:
    """A file right in the input folder: a name that leads elsewhere is refused."""
    if not name or Path(name).name != name or "\\" in name or "\0" in name:
        raise ActionError(f"'{name}' is not the name of a file in the input folder.")
    return Path(folder_paths.get_input_directory()) / name
