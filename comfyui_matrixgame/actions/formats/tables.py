"""Tables of inputs as programs and spreadsheets write them: CSV with any separator, decimal commas, TRUE and WAHR."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence

import numpy as np

from ...errors import ActionError
from ...system.words import counted
from ...variants import FPS, Variant
from ..check_document import MAX_FRAMES
from ..track import ActionTrack
from ..vocabulary import key_words
from .imported import Imported, Notes, keyboard_of, parse_number, track_of

MAX_LINE = 20_000  # characters: hundreds of columns
MAX_COLUMNS = 1000
MAX_COMMENTS = 1000  # lines beside the rows
SEPARATORS = "\t;,|"  # the first of them that the first line has outside of quotes
_SEP = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
# how spreadsheets in the languages of ComfyUI's users write yes and no
_TRUE = frozenset(
    ("true", "wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar", "sant", "sand", "prawda", "истина", "真",
     "yes", "on", "x")
)  # fmt: skip
_FALSE = frozenset(
    ("false", "falsch", "faux", "falso", "onwaar", "falskt", "falsk", "usand", "fałsz", "ложь", "假", "no", "off")
)  # fmt: skip
_AXES = {"pitch": "pitch", "yaw": "yaw", "camera_pitch": "pitch", "camera_yaw": "yaw"}
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:[.,]\d{3})+")  # a whole number as spreadsheets group its digits
_EPOCH = 1e11  # no clock says as many seconds
_STAMPS = (("seconds", 1), ("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9))
_SEED = "seed"  # a column of its changes
_PLACES = {name: ("frame", 1.0) for name in ("frame", "t", "row", "frame_index")}
_PLACES |= {name: ("time", FPS) for name in ("time", "time_s", "time (s)", "seconds", "sec", "timestamp")}
_PLACES |= {name: ("time", FPS / 1000) for name in ("ms", "time_ms", "time (ms)", "milliseconds")}


class _Table:
    """Column names and rows of cells, read line by line. names: None where the first row is one of numbers."""

    def __init__(self, text: str) -> None:
        self._text, self._line = text, 0
        lines = self._lines()
        first = next(lines, None)
        if first is None:
            raise ActionError("The table is empty.")
        self.separator = separator_of(first)
        if (said := _SEP.fullmatch(first)) is not None:  # Excel's own first line
            self.separator, first = said[1], next(lines, "")
        self._rows = self._split(first, lines)
        self.names: list[str] | None = None
        self.first: list[str] | None = next(self._rows, None)
        if self.first is None:
            raise ActionError("The table is empty.")
        if any(cell.strip() and cell_value(cell) is None for cell in self.first):
            self.names = [name.strip().strip("\ufeff").lower() for name in self.first]
            self.first = None

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line, cells; at most MAX_FRAMES of them."""
        count = 0
        if self.first is not None:
            count = 1
            yield self._line, self.first
        for cells in self._rows:
            count += 1
            if count > MAX_FRAMES:
                raise ActionError(f"The table has more than {MAX_FRAMES} rows, which is one hour; split it.")
            yield self._line, cells

    def _lines(self) -> Iterator[str]:
        """Lines that say something; a comment is one of them only where it names the columns, as numpy writes it."""
        heading = ""
        for number, line in enumerate(lines_of(self._text), 1):
            self._line = number
            if len(line) > MAX_LINE:
                raise ActionError(f"Row {self._line} of the table has more than {MAX_LINE} characters.")
            if line.startswith("#"):
                heading = heading or line.lstrip("# ")
            elif line.strip():
                if heading and _names_columns(heading, line):
                    yield heading
                heading = "#"  # names stand above the first row, or nowhere
                yield line

    def _split(self, first: str, rest: Iterator[str]) -> Iterator[list[str]]:
        def every() -> Iterator[str]:
            yield first + "\n"
            yield from (line + "\n" for line in rest)

        spaces = self.separator == " "
        lines = (re.sub(r"\s+", " ", line.strip()) for line in every()) if spaces else every()
        try:
            for cells in csv.reader(lines, delimiter=self.separator, skipinitialspace=True):
                if len(cells) > MAX_COLUMNS:
                    raise ActionError(f"Row {self._line} of the table has more than {MAX_COLUMNS} columns.")
                if any(cell.strip() for cell in cells):
                    yield cells
        except csv.Error as error:
            raise ActionError(f"Row {self._line} of the table cannot be read: {error}.") from None


def read_csv(text: str, variant: Variant) -> Imported:
    """Rows of a table. Columns are keys (any of their names), `pitch`, `yaw`, `seed` (where it changes), and
    `frame` or a time or nothing.

    With a `frame` or time column a row holds until the next one. Without a header the columns are the variant's keys
    in their order, then pitch and yaw. Separators: comma, semicolon, tab, | or spaces.
    """
    if more_lines_than(text, MAX_FRAMES + MAX_COMMENTS):  # before a line is looked at
        raise ActionError(f"The table has more than {MAX_FRAMES} rows, which is one hour; split it.")
    table = _Table(text)
    notes = Notes()
    names = table.names
    if names is None:
        plain = [*variant.keys, *(("pitch", "yaw") if variant.mouse else ())]
        names = plain[: len(table.first or ())]
        if len(table.first or ()) not in (len(variant.keys), len(plain)):
            raise ActionError(
                f"A table for {variant.name} has the columns {', '.join(plain)}; name them in a first row."
            )
    rows, frames = _cells(names, table, variant, notes)
    seeds = {frame: int(row.pop(_SEED)) for row, frame in zip(rows, frames, strict=True) if _SEED in row}
    return Imported(_held_until(rows, frames, variant, notes).with_seeds(seeds.items()), notes.all())


def _cells(
    names: Sequence[str], table: _Table, variant: Variant, notes: Notes
) -> tuple[list[dict[str, float]], list[int]]:
    ours = _columns(names, variant, notes)
    clock = _Clock(names[ours.index("place")], notes) if "place" in ours else None
    rows, frames = [], []
    unnamed = False
    for number, cells in table.rows():
        if any(cell.strip() for cell in cells[len(ours) :]):
            raise ActionError(
                f"Row {number} of the table has {counted(len(cells), 'value')}, and the table "
                f"{counted(len(ours), 'column')}."
            )
        row: dict[str, float] = {}
        at: float | None = None  # the value of the column that says when
        for name, mine, cell in zip(names, ours, cells, strict=False):
            if mine is None or not cell.strip():
                unnamed = unnamed or (not name and bool(cell.strip()))
                continue
            if mine == "place" and clock is not None:
                at = _value(clock.plain(cell), number, name, True)
            elif mine == _SEED:
                row[mine] = _value(cell, number, name, True)
                if row[mine] != int(row[mine]):
                    raise ActionError(f"Row {number} of the table: a seed is a whole number, got {cell.strip()[:40]}.")
            else:
                value = _value(cell, number, name, mine in ("pitch", "yaw"))
                row[mine] = value if mine in ("pitch", "yaw") else max(value, row.get(mine, 0.0))
        place = frames[-1] + 1 if frames else 0
        frames.append(place if clock is None or at is None else clock.row(at, frames[-1] if frames else -1, number))
        rows.append(row)
    if unnamed:
        notes.add("a column without a name was left out")
    return rows, frames


def _columns(names: Sequence[str], variant: Variant, notes: Notes) -> list[str | None]:
    """What each column is: a key, an axis, `place`, or None; raises ActionError where none is a key or an axis."""
    words = key_words(variant)
    ours: list[str | None] = []
    for name in names:
        mine = words.get(name.removeprefix("key.keyboard."), _AXES.get(name))
        if mine is None and name in _PLACES and "place" not in ours:
            mine = "place"
        elif mine is None and name == _SEED and _SEED not in ours:
            mine = _SEED
        elif mine is None and name:
            notes.add(f"the column '{name[:40]}' means nothing to {variant.name}")
        elif mine is not None and mine in ours:
            both = "either of them holds it" if mine in variant.keys else "the last of them counts"
            notes.add(f"two columns are '{mine}'; {both}")
        ours.append(mine)
    if not any(mine for mine in ours if mine not in ("place", _SEED)):
        wanted = ", ".join([*variant.keys, *(("pitch", "yaw") if variant.mouse else ())])
        shown = ", ".join(repr(name[:20]) for name in names[:8])
        raise ActionError(f"None of the table's columns ({shown}) means anything to {variant.name}; it has {wanted}.")
    return ours


def _value(cell: str, number: int, name: str, plain: bool) -> float:
    value = parse_number(cell) if plain else cell_value(cell)
    if value is None:
        raise ActionError(f"Row {number} of the table, column {name}: '{cell.strip()[:40]}' is not a number.")
    return value


class _Clock:
    """The column that says when a row begins: frames, or times, which are rounded to rows of 1/25 s.

    Times of a clock, hours after its beginning, count from the first of them.
    """

    def __init__(self, name: str, notes: Notes) -> None:
        kind, self._scale = _PLACES[name]
        self._timed, self._zero, self._name, self._notes = kind == "time", 0.0, name, notes
        self._begun = self._whole = False

    def plain(self, cell: str) -> str:
        """A cell whose digits are not grouped: after rows 1 and 999, 1.000 and 1,000 are no other row 1."""
        text = cell.strip()
        if not self._timed and self._whole and _GROUPED.fullmatch(text):
            return re.sub(r"[.,]", "", text)
        self._whole = self._whole or text.isdecimal()
        return cell

    def row(self, value: float, before: int, number: int) -> int:
        """The row of a value in line `number`, after row `before`; raises ActionError where it goes back."""
        if self._timed and not self._begun:
            self._begin(value)
        row = round((value - self._zero) * self._scale) if self._timed and abs(value) < 1e20 else value
        least = max(0, before + (not self._timed))
        if row != int(row) or not least <= row <= MAX_FRAMES:
            what = f"{self._name} {value:g}"
            raise ActionError(f"Row {number} of the table: {what} does not follow the frame before it.")
        return int(row)

    def _begin(self, value: float) -> None:
        self._begun = True
        if self._name == "timestamp":
            unit, self._scale = next(((u, FPS / d) for u, d in _STAMPS if abs(value) < _EPOCH * d), ("seconds", FPS))
            self._notes.add(f"the column 'timestamp' was read as {unit}")
        if value * self._scale > MAX_FRAMES:
            self._zero = value


def _held_until(rows: list[dict[str, float]], frames: list[int], variant: Variant, notes: Notes) -> ActionTrack:
    if not rows:
        raise ActionError("The table has a header but no rows.")
    if frames[0] != 0:
        rows, frames = [{}, *rows], [0, *frames]
    lengths = np.diff([*frames, frames[-1] + 1])
    if not lengths.all():
        notes.add(
            f"left out, being closer together than 1/{FPS} s: {counted(int((lengths == 0).sum()), 'row')} of the table"
        )
    held = [[key for key, value in row.items() if key in variant.keys and value > 0.5] for row in rows]
    keyboard = np.repeat(keyboard_of(held, variant, notes), lengths, axis=0)
    units = np.repeat(np.array([[row.get("pitch", 0.0), row.get("yaw", 0.0)] for row in rows]), lengths, axis=0)
    return track_of(variant, keyboard, units, notes)


def cell_value(cell: str) -> float | None:
    """A number, or yes and no as 1 and 0; None for anything else."""
    word = cell.strip().lower()
    return 1.0 if word in _TRUE else 0.0 if word in _FALSE else parse_number(cell)


def separator_of(line: str) -> str:
    """The separator of a table with this first line; a space where it has none of SEPARATORS."""
    bare = _QUOTED.sub("", line)
    return next((sign for sign in SEPARATORS if sign in bare), " " if " " in bare.strip() else ",")


def is_table(lines: Sequence[str]) -> bool:
    """Whether stripped lines that are not empty begin a table: one of numbers follows one of as many cells."""
    lines = [line for line in lines if not line.startswith("#")]
    if not lines:
        return False
    if _SEP.fullmatch(lines[0]):
        return True
    second = lines[1] if len(lines) > 1 else lines[0]
    for separator in SEPARATORS:
        if separator in second and _count(second, separator) == _count(lines[0], separator):
            cells = _cells_of(second, separator)
            filled = [cell for cell in cells if cell.strip()]
            if filled and all(cell_value(cell) is not None for cell in filled):
                return True
    return len(second.split()) > 1 and all(
        parse_number(word) is not None for line in lines[:2] for word in line.split()
    )


def more_lines_than(text: str, most: int) -> bool:
    """Whether a text has more lines that are not empty than `most`, by a count that costs nothing beside reading."""
    return text.count("\n") - text.count("\n\n") > most


def _cells_of(line: str, separator: str) -> list[str]:
    """The cells of one line; none of a line that no table has."""
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return []


def lines_of(text: str) -> Iterator[str]:
    """The lines of a text, one at a time: a list of all may take many times what the text does."""
    start = 0
    while start <= len(text):
        stop = text.find("\n", start)
        stop = len(text) if stop < 0 else stop
        yield text[start:stop]
        start = stop + 1


def _count(line: str, separator: str) -> int:
    return _QUOTED.sub("", line).count(separator)


def _names_columns(heading: str, line: str) -> bool:
    separator = separator_of(line)
    count = _count(heading, separator)
    words = re.split(r"[\s,;|]+", heading.lower())
    return (
        bool(count)
        and count == _count(line, separator)
        and any(word in _AXES or word in ("w", "forward") for word in words)
    )
