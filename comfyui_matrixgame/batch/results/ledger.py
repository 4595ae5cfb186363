"""The ledger: which jobs are finished or failed, in one SQLite file that survives being killed at any point.

The results themselves are what counts: a result folder that is whole is finished, whatever the ledger says.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import BatchError
from .result import Result, result_of_text

FILE, LOCK = "batch.sqlite", "batch.lock"
TABLES = frozenset({"results", "jobs", "notes"})
SCHEMA = """
create table if not exists results (
    key text primary key, about text not null, bytes integer, frames integer, blocks integer, model_seconds real,
    signature text, finished real);
create table if not exists jobs (
    name text primary key, key text not null, state text not null, error text, attempts integer not null default 0,
    updated real, labels text);
create index if not exists jobs_by_key on jobs (key);
create index if not exists results_by_signature on results (signature);
create table if not exists notes (name text primary key, value text);
"""


@dataclass(frozen=True)
class LedgerRow:
    """One job as the ledger knows it. result: which other jobs may share; None where it failed.

    labels: what the fields of its name stand for; those of the result where an older program wrote the ledger.
    """

    name: str
    key: str
    state: str
    error: str | None
    attempts: int
    updated: float
    result: Result | None
    labels: dict[str, str]


class Ledger:
    """The ledger of a folder. write: refuse where another run is writing. Raises BatchError."""

    def __init__(self, folder: Path, write: bool = True) -> None:
        path = folder / FILE
        if not write and not path.exists():
            raise BatchError(f"There is no bulk rendering in {folder}; name the output folder of a `batch run`.")
        self._lock: sqlite3.Connection | None = None
        try:
            if write:
                folder.mkdir(parents=True, exist_ok=True)
                self._lock = _take_lock(folder)
            mode = "rwc" if write else "ro"
            self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=30)
            if write:
                self._db.execute("pragma journal_mode = wal")
                self._db.execute("pragma synchronous = normal")
                self._db.executescript(SCHEMA)
                if not self._has_labels():
                    self._db.execute("alter table jobs add column labels text")
            self._labels = "jobs.labels" if self._has_labels() else "null"
            self._db.execute("select count(*) from notes")
        except (sqlite3.Error, OSError) as error:
            raise BatchError(f"The ledger {path} cannot be used ({error}); check the folder's rights.") from None

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
        if self._lock is not None:
            self._lock.close()

    def finish(self, name: str, labels: dict[str, str], result: Result, signature: str) -> None:
        """A job is done, and this is its result."""
        seconds = result.seconds.get("model") or None
        row = (result.key, result.text(), result.bytes, result.frames, result.blocks, seconds, signature)
        with self._writing():
            self._db.execute("insert or replace into results values (?, ?, ?, ?, ?, ?, ?, ?)", (*row, result.finished))
            self._job(name, labels, result.key, "done", None, 0)

    def fail(self, name: str, labels: dict[str, str], key: str, error: str) -> None:
        """A job failed; it stays so until it is asked for again."""
        with self._writing():
            self._job(name, labels, key, "failed", error, 1)

    def state(self, name: str, key: str) -> str | None:
        """`done` or `failed` where this name stands for this result; None where it is new or stands for another."""
        row = self._db.execute("select state from jobs where name = ? and key = ?", (name, key)).fetchone()
        return row[0] if row else None

    def labels(self, name: str) -> dict[str, str] | None:
        """What the fields of a job's name stand for; None where that was not written down."""
        row = self._db.execute(f"select {self._labels} from jobs where name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row and row[0] else None

    def result(self, key: str) -> Result | None:
        """A finished result."""
        row = self._db.execute("select about from results where key = ?", (key,)).fetchone()
        return result_of_text(row[0]) if row else None

    def finished(self) -> dict[str, dict[str, str] | None]:
        """The names of the jobs that are done, with what their fields stand for where that was written down."""
        rows = self._db.execute(f"select name, {self._labels} from jobs where state = 'done'")
        return {name: json.loads(labels) if labels else None for name, labels in rows}

    def entries(self) -> Iterator[LedgerRow]:
        """All jobs by name, one at a time."""
        rows = self._db.execute(
            f"select name, jobs.key, state, error, attempts, updated, about, {self._labels} from jobs "
            "left join results on results.key = jobs.key order by name"
        )
        for name, key, state, error, attempts, updated, about, text in rows:
            result = result_of_text(about) if about and state == "done" else None
            labels = json.loads(text) if text else result.labels if result is not None else {}
            yield LedgerRow(name, key, state, error, attempts, updated, result, labels)

    def seconds_per_block(self, signature: str) -> tuple[float, int] | None:
        """Seconds of the models for a block, and in how many jobs that was measured; None where never."""
        row = self._db.execute(
            "select sum(model_seconds), sum(blocks), count(*) from results where signature = ? and model_seconds > 0",
            (signature,),
        ).fetchone()
        return (row[0] / row[1], row[2]) if row and row[1] else None

    def bytes_per_frame(self, signature: str, items: tuple[str, ...]) -> dict[str, float]:
        """Measured bytes of a frame for each item that was kept before with these models at this size."""
        sums: dict[str, list[int]] = {}
        query = "select about from results where signature = ? order by finished desc limit 200"
        for (about,) in self._db.execute(query, (signature,)):
            result = result_of_text(about)
            for item in items:
                if item in result.items:
                    total = sums.setdefault(item, [0, 0])
                    total[0] += result.items[item].bytes
                    total[1] += result.frames
        return {item: size / frames for item, (size, frames) in sums.items() if frames}

    def note(self, name: str) -> Any:
        """A value that `put_note` kept; None where there is none."""
        row = self._db.execute("select value from notes where name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def put_note(self, name: str, value: Any) -> None:
        """Keep a value."""
        with self._writing():
            self._db.execute("insert or replace into notes values (?, ?)", (name, json.dumps(value)))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One change, whole or not at all; raises BatchError where the disk does not take it."""
        try:
            with self._db:
                yield
        except sqlite3.Error as error:
            raise BatchError(
                f"Stopped: the ledger cannot be written ({error}). What is finished stays; free some space, and run "
                "the same command again."
            ) from None

    def _has_labels(self) -> bool:
        return "labels" in {row[1] for row in self._db.execute("pragma table_info(jobs)")}

    def _job(self, name: str, labels: dict[str, str], key: str, state: str, error: str | None, failed: int) -> None:
        before = self._db.execute("select attempts from jobs where name = ? and key = ?", (name, key)).fetchone()
        attempts = (before[0] if before else 0) + failed
        self._db.execute(
            "insert or replace into jobs values (?, ?, ?, ?, ?, ?, ?)",
            (name, key, state, error, attempts, time.time(), json.dumps(labels)),
        )


def _take_lock(folder: Path) -> sqlite3.Connection:
    """A lock that the system gives back when the process ends, however it ends."""
    lock = sqlite3.connect(folder / LOCK, timeout=0, isolation_level=None)
    try:
        lock.execute("pragma journal_mode = delete")
        lock.execute("begin exclusive")
    except sqlite3.OperationalError as error:
        lock.close()
        if "locked" in str(error):
            raise BatchError(
                f"Another run is writing to {folder}; wait until it is done, or choose another --output."
            ) from None
        raise
    return lock
