"""Sets of films to compare, such as those that several models made of the same actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import VideoError
from ...system.files import path_argument


@dataclass(frozen=True)
class FilmSet:
    """name: of what made the films. place: a film, or a folder of them."""

    name: str
    place: Path


def sets_of(sources: Sequence[str]) -> list[FilmSet]:
    """Sets that are written as FOLDER, whose name is the folder's, or as NAME=FOLDER. Raises VideoError where two have
    one name, and where there is no such folder."""
    found: dict[str, FilmSet] = {}
    for source in sources:
        name, sign, place = source.partition("=")
        if not (sign and place) or Path(source).exists():
            place = source
            name = Path(source).absolute().name
        path = Path(path_argument(place))
        if not path.exists():
            raise VideoError(f"There is no film or folder {path}; check the path.")
        if name in found:
            raise VideoError(f"Two sets are called {name}; name them, as in OURS={source} THEIRS=FOLDER.")
        found[name] = FilmSet(name, path)
    return list(found.values())
