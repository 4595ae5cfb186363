"""Tracks in the formats of other programs; what a format cannot say is an error, never left out quietly."""

from __future__ import annotations

from pathlib import Path

from ...errors import ActionError
from ...system.files import write_whole
from ..document import Timeline, save_document
from ..script.lexer import tokens, too_much_text
from ..script.printer import print_script
from ..track import ActionTrack
from .all_formats import FORMATS
from .poses import write_realestate
from .writers import (
    write_arrays,
    write_biome,
    write_csv,
    write_flashdreams,
    write_gamecraft,
    write_hy,
    write_npz,
    write_vpt,
)

__all__ = [
    "ALL_KINDS", "KINDS", "TEXTS", "write_actions", "write_arrays", "write_biome", "write_csv", "write_flashdreams",
    "write_gamecraft", "write_hy", "write_npz", "write_realestate", "write_vpt",
]  # fmt: skip
TEXTS = {each.name: each.write for each in FORMATS if each.write is not None}
KINDS = {each.endings[0]: each.name for each in FORMATS if each.endings and (each.write or each.name == "timeline")}
KINDS |= {".npz": "npz", ".txt": "script", "": "npy"}
KEEP_SEEDS = ("timeline", "script", "csv")
ALL_KINDS = ("timeline", *TEXTS, "npy", "npz")


def write_actions(timeline: Timeline | None, track: ActionTrack, path: str | Path, kind: str | None = None) -> str:
    """Write a track to `path` as `kind` (one of ALL_KINDS), or as its ending says; returns the kind.

    timeline: what a timeline file holds beside the rows (markers, branches), where there is one. A path without
    an ending is a folder of .npy files. Raises ActionError.
    """
    path = Path(path)
    kind = kind or KINDS.get(path.suffix.lower())
    if kind not in ALL_KINDS:
        raise ActionError(f"'{path.name}' does not say what to write; end it in {' '.join(e for e in KINDS if e)}.")
    if track.seeds and kind not in KEEP_SEEDS:
        row, seed = track.seeds[0]
        raise ActionError(
            f"Row {row}: this format has no place for another seed ({seed}); write one of {', '.join(KEEP_SEEDS)}."
        )
    try:
        if kind == "timeline":
            save_document(timeline or Timeline.from_track(track), path)
        elif kind == "npy":
            write_arrays(track, path)
        elif kind == "npz":
            write_npz(track, path)
        else:
            text = print_script(timeline, len(track)) if kind == "script" and timeline else TEXTS[kind](track)
            if kind in ("script", "hy") and (too_much_text(text) or tokens(text)[-1].kind == "excess"):
                raise ActionError(
                    f"{path.name} would be longer than a script that can be read again; write a timeline file (.json) "
                    "or .npy instead."
                )
            write_whole(path, text.encode())
    except OSError as error:
        raise ActionError(f"{path} cannot be written: {error.strerror or error}.") from None
    return kind
