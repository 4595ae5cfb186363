"""The inputs of jobs: files, text, presets and benchmark seeds, each under the name that the output gets."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...actions.document import MAX_FILE
from ...actions.formats.arrays import ENDINGS as ARRAY_ENDINGS
from ...actions.read import ENDINGS, KINDS, Loaded, read_file, read_text, read_texts, rows_of_text, split_texts
from ...actions.ready_made.bench import bench_track
from ...actions.ready_made.presets import preset_script
from ...actions.script.lexer import ScriptError
from ...actions.sources import BENCH_ROWS
from ...actions.track import ActionTrack
from ...errors import ActionError, BatchError, MatrixGameError
from ...system.text_files import cannot_be_read, read_text_file
from ...variants import get_variant
from .located_values import Value, quoted_value
from .patterns import find_files

MOST_SEEDS = 10**12  # of a range
_BENCH = re.compile(r"bench:(\d{1,30})(?:\.\.(\d{1,30}))?(?::(\d{1,9}))?")


@dataclass(frozen=True)
class Script:
    """Inputs that can be read for a variant.

    label: what `{script}` stands for; scripts that differ in nothing else are equal. kind: `text`, `file`, `preset` or
    `bench`. source: the text, path, or name. part: which of the texts in a file with lines `---` or `--- NAME`; None
    where it has no such line. format: one of `actions.text.KINDS`, or None to recognise it.
    """

    label: str = field(compare=False)
    kind: str
    source: str
    part: int | None = None
    rows: int = BENCH_ROWS
    format: str | None = None

    def track(self, variant: str) -> ActionTrack:
        """The inputs for a variant; raises MatrixGameError where they are for another one."""
        return _kept.read(self, variant)[0]

    def length(self, variant: str) -> int:
        """Rows of the inputs; remembered for far more scripts than their inputs are. Raises MatrixGameError as
        `track`."""
        return self.rows if self.kind == "bench" else _length(self, variant)

    def notes(self, variant: str) -> tuple[str, ...]:
        """Sentences on what was left out of the inputs, or may disappoint; raises MatrixGameError as `track`."""
        return _kept.read(self, variant)[1]


_Read = tuple[ActionTrack, tuple[str, ...]]


class KeptInputs:
    """Inputs that were read, as long as those read after them leave room: a script may have a thousand rows or a
    million, so their bytes are counted and not they."""

    def __init__(self, most_bytes: int) -> None:
        self.nbytes, self._most_bytes = 0, most_bytes
        self._kept: dict[tuple[Script, str], _Read] = {}  # the one that was asked for last is last

    def read(self, script: Script, variant: str) -> _Read:
        """The inputs and the notes on them; raises MatrixGameError."""
        key = (script, variant)
        read = self._kept.pop(key, None)
        if read is None:
            read = _read(script, variant)
            self.nbytes += read[0].nbytes
        self._kept[key] = read
        while self.nbytes > self._most_bytes and len(self._kept) > 1:
            oldest, _ = self._kept.pop(next(iter(self._kept)))
            self.nbytes -= oldest.nbytes
        return read


_kept = KeptInputs(64 << 20)


def _read(script: Script, variant: str) -> _Read:
    """The inputs, and the notes on what is in them without effect."""
    game = get_variant(variant)
    if script.kind == "bench":
        return bench_track(game, int(script.source), script.rows), ()
    with _named_errors(script):
        if script.kind == "preset":
            loaded = read_text(preset_script(script.source, game), game)
        elif script.part is not None:
            loaded = _texts(script.source, variant, script.format)[script.part]
        elif script.kind == "file":
            loaded = read_file(script.source, game, script.format)
        else:
            loaded = read_text(script.source, game, script.format)
    return loaded.track, loaded.notes


@contextmanager
def _named_errors(script: Script) -> Iterator[None]:
    """An error in a script says which one it is."""
    try:
        yield
    except ScriptError as error:
        raise MatrixGameError(
            error.format(Path(script.source).name if script.kind == "file" else "the script")
        ) from None


@functools.lru_cache(maxsize=1 << 18)
def _length(script: Script, variant: str) -> int:
    if script.kind == "text" and script.format is None:  # a job file may have tens of thousands
        with _named_errors(script):
            return rows_of_text(script.source, get_variant(variant))
    return len(script.track(variant))


@functools.lru_cache(maxsize=8)
def _texts(path: str, variant: str, kind: str | None) -> list[Loaded]:
    return read_texts(_text_of(Path(path)), get_variant(variant), kind)


def _text_of(path: Path) -> str:
    """The text of a file with scripts; raises ActionError that names it."""
    try:
        return read_text_file(path, MAX_FILE).text
    except OSError as error:
        raise ActionError(cannot_be_read(path.name, error)) from None


class BenchScripts(Sequence[Script]):
    """The benchmark's inputs of a range of seeds, made when they are asked for."""

    def __init__(self, seeds: range, rows: int) -> None:
        self.seeds, self.rows = seeds, rows

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return BenchScripts(self.seeds[index], self.rows)
        seed = self.seeds[index]
        return Script(f"bench{seed}", "bench", str(seed), rows=self.rows)


def read_scripts(
    value: Value, folder: Path, variants: Sequence[str], notes: dict[str, None] | None = None
) -> Sequence[Script]:
    """The scripts that a `scripts` entry names, each readable for every one of `variants`.

    Each is a path (with * for many), `preset:NAME`, `bench:SEED` or `bench:FIRST..LAST[:ROWS]`, a line of script,
    or `{name: ..., text: ...}` or `{name: ..., file: ...}`, with `format` where it is not to be recognised. notes:
    takes sentences on what has no effect. Raises BatchError with the line.
    """
    entries = value.list()
    ranges = [entry for entry in entries if _is_range(entry)]
    if ranges and len(entries) > 1:
        ranges[0].fail("a range of benchmark seeds stands alone; put other scripts into an entry of their own.")
    if ranges:
        return _bench_range(ranges[0])
    found: list[Script] = []
    for entry in entries:
        for script in _scripts_of(entry, folder):
            for variant in variants:
                try:
                    said = script.notes(variant) if script.kind == "file" else ()
                    script.length(variant)  # while the inputs are at hand
                except (MatrixGameError, OSError) as error:
                    entry.fail(f"script '{script.label}' cannot be used for {variant}: {error}")
                if notes is not None:
                    notes.update(dict.fromkeys(f"{script.label}: {note}" for note in said))
            found.append(script)
    if not found:
        value.fail("there are no scripts; name at least one.")
    return found


def total_rows(scripts: Sequence[Script], variant: str) -> Iterator[tuple[int, int]]:
    """(how many scripts, rows of each), a pair for each kind of length; never as many as a range has seeds."""
    if isinstance(scripts, BenchScripts):
        yield len(scripts), scripts.rows
        return
    for script in scripts:
        yield 1, script.length(variant)


def _is_range(entry: Value) -> bool:
    return isinstance(entry.data, str) and entry.data.startswith("bench:") and ".." in entry.data


def _bench_range(entry: Value) -> BenchScripts:
    match = _BENCH.fullmatch(str(entry.data).strip())
    if match is None or int(match[1]) > int(match[2]):
        entry.fail(f"{quoted_value(entry.data)} should be bench:FIRST..LAST or bench:FIRST..LAST:ROWS.")
    if int(match[2]) - int(match[1]) >= MOST_SEEDS:
        entry.fail(f"a range has at most {MOST_SEEDS:,} seeds, got {match[1]}..{match[2]}.")
    rows = int(match[3] or BENCH_ROWS)
    if not 1 <= rows <= 1_000_000:
        entry.fail(f"a benchmark has 1 to 1,000,000 rows, got {rows}.")
    return BenchScripts(range(int(match[1]), int(match[2]) + 1), rows)


def _scripts_of(entry: Value, folder: Path) -> Iterator[Script]:
    label, kind = None, None
    if isinstance(entry.data, dict):
        entry, label, kind = _named(entry)
        if label is not None and entry.data == label:
            entry.fail("a script with a name needs its text or its file as well.")
    text = entry.text("a script")
    if text.startswith("preset:"):
        name = text.removeprefix("preset:").strip()
        yield Script(label or name, "preset", name)
    elif text.startswith("bench:"):
        match = _BENCH.fullmatch(text.strip())
        if match is None:
            entry.fail(f"{quoted_value(text)} should be bench:SEED or bench:SEED:ROWS.")
        yield Script(label or f"bench{match[1]}", "bench", match[1], rows=int(match[3] or BENCH_ROWS))
    elif paths := files_named(entry, text, folder):
        for path in paths:
            yield from _file_scripts(entry, path, label if len(paths) == 1 else None, kind)
    elif _looks_like_a_path(text):
        entry.fail(f"there is no script file {text}; paths count from the job file's folder.")
    else:
        yield Script(label or plain_name(text), "text", text, format=kind)


def _named(entry: Value) -> tuple[Value, str | None, str | None]:
    """The text or file of a `{name, text | file, format}` entry, its name, and its format."""
    fields = entry.items("A script")
    for name, value in fields.items():
        if name not in ("name", "text", "file", "format"):
            value.fail(f"a script has no '{name[:40]}'; use name, and text or file.")
    if ("text" in fields) == ("file" in fields):
        entry.fail("a script has either a text or a file.")
    label = plain_name(fields["name"].text("the name of a script")) if "name" in fields else None
    kind = fields["format"].text("the format of a script") if "format" in fields else None
    if kind is not None and kind not in KINDS:
        fields["format"].fail(f"there is no format {quoted_value(kind)}; use {', '.join(KINDS)}.")
    return fields.get("text") or fields["file"], label, kind


def _file_scripts(entry: Value, path: Path, label: str | None, kind: str | None) -> Iterator[Script]:
    name = label or plain_name(path.stem if path.suffix else path.name)
    if not path.is_dir() and path.suffix.lower() not in ARRAY_ENDINGS:
        try:
            text = _text_of(path)
        except ActionError as error:
            entry.fail(str(error))
        parts = split_texts(text)
        if parts[0].text != text:
            for number, part in enumerate(parts):
                own = plain_name(part.name) if part.name else name if len(parts) == 1 else f"{name}.{number + 1}"
                yield Script(own, "file", str(path), number, format=kind)
            return
    yield Script(name, "file", str(path), format=kind)


def files_named(entry: Value, text: str, folder: Path) -> list[Path]:
    """What a path or pattern names, as `patterns.find_files`; its errors have the line of the entry."""
    try:
        return find_files(text, folder)
    except BatchError as error:
        entry.fail(str(error))


def plain_name(text: str) -> str:
    """Text as a part of a file name: letters, digits, - . and _."""
    return re.sub(r"[^\w\-.+]+", "-", text.strip()).strip("-.")[:60] or "unnamed"


def _looks_like_a_path(text: str) -> bool:
    last = text.strip().rsplit("/", 1)[-1]
    endings = (*ENDINGS, ".txt")
    return "\n" not in text and ("*" in text or (" " not in text and (last.lower().endswith(endings) or "/" in text)))
