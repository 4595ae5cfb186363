"""Scores in a folder, one file a film, so that a stopped run goes on; those of bulk rendering also in its ledger.

scores.json, scores.csv     all films, without curves
index.html                  the page; it reads films/KEY.js as they are looked at
films/KEY.js                `film({...})`: all of a film's score
films/KEY_FRAME.jpg         its worst moments
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

from ...batch.results.ledger import FILE
from ...errors import TargetError
from ...system.files import write_whole
from ...system.stopping import finishing
from ...system.targets import check_folder
from ..films.found import Film
from ..films.scoring import Scored

FILMS = "films"
_HEAD, _TAIL = "film(", ");\n"
_NOTE = "score "  # in front of a key, in the notes of a ledger
Values = dict[str, Any]


class KeptScores:
    """The scores in a folder. source: what is scored; where it is bulk rendering's output, its ledger keeps them too.
    Raises TargetError where the folder cannot be written."""

    def __init__(self, folder: Path, source: Path) -> None:
        check_folder(folder, "-o")
        self.folder = folder
        self._ledger = source / FILE if source.is_dir() and (source / FILE).exists() else None

    def read(self, film: Film) -> Values | None:
        """What is kept of a film as it is; None where it has to be scored."""
        with contextlib.suppress(OSError, ValueError):
            text = self._path(film.key).read_text(encoding="utf-8")
            found = json.loads(text.removeprefix(_HEAD).removesuffix(_TAIL))
            if found["key"] == film.key:
                return found
        noted = self._noted(film.key)
        if noted is not None:
            self._write(film.key, noted)
        return noted

    def keep(self, film: Film, scored: Scored) -> Values:
        """Keep a score; returns it as it is kept. One with an error is tried again next time."""
        found = scored.about()
        found["shots"] = {frame: f"{film.key}_{frame}.jpg" for frame in scored.pictures}
        with finishing():
            try:
                (self.folder / FILMS).mkdir(parents=True, exist_ok=True)
                for frame, data in scored.pictures.items():
                    write_whole(self.folder / FILMS / f"{film.key}_{frame}.jpg", data)
                if scored.score is not None:
                    self._write(film.key, found)
            except OSError as error:
                raise TargetError(f"{self.folder} cannot be written: {error.strerror or error}.") from None
            if scored.score is not None:
                self._note(film.key, found)
        return found

    def _path(self, key: str) -> Path:
        return self.folder / FILMS / f"{key}.js"

    def _write(self, key: str, found: Values) -> None:
        self._path(key).parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(found, separators=(",", ":"), ensure_ascii=False)
        write_whole(self._path(key), f"{_HEAD}{text}{_TAIL}".encode(errors="backslashreplace"))

    def _noted(self, key: str) -> Values | None:
        """From the ledger, which a run may be writing meanwhile."""
        if self._ledger is None:
            return None
        with contextlib.suppress(sqlite3.Error, ValueError):
            with contextlib.closing(self._open("ro")) as ledger:
                row = ledger.execute("select value from notes where name = ?", (_NOTE + key,)).fetchone()
            return json.loads(row[0]) if row else None
        return None

    def _note(self, key: str, found: Values) -> None:
        if self._ledger is None:
            return
        value = json.dumps(found | {"shots": {}})
        # one that cannot be written, such as another's, is no loss: the folder has it
        with contextlib.suppress(sqlite3.Error), contextlib.closing(self._open("rw")) as ledger, ledger:
            ledger.execute("insert or replace into notes values (?, ?)", (_NOTE + key, value))

    def _open(self, mode: str) -> sqlite3.Connection:
        assert self._ledger is not None
        return sqlite3.connect(f"{self._ledger.resolve().as_uri()}?mode={mode}", uri=True, timeout=30)
