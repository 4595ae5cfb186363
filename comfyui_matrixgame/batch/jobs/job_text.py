"""Reading a job file into values that know their line: YAML, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...actions.formats.tables import separator_of
from ...errors import BatchError
from ...system.files import TooLarge
from ...system.text_files import cannot_be_read, half_character, read_text_file
from ...system.words import counted
from .located_values import MAX_SHOWN, Value, read_yaml

MAX_BYTES = 64 << 20
MAX_YAML = 8 << 20  # characters of YAML or JSON: reading takes a second for each
MAX_ROWS = 200_000  # of a CSV
_SEP = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)


def read_values(path: Path) -> Value:
    """The values of a .yaml, .yml, .json or .csv file. Raises BatchError that names file and line."""
    try:
        text, note = read_text_file(path, MAX_BYTES)
    except FileNotFoundError:
        raise BatchError(f"There is no job file {path}; check the path.") from None
    except TooLarge:
        raise BatchError(
            f"{path.name} has more than {MAX_BYTES >> 20} MiB; say it with lists and ranges instead."
        ) from None
    except OSError as error:
        raise BatchError(cannot_be_read(path, error)) from None
    if (line := half_character(text)) is not None:
        raise BatchError(f"{path.name}, line {line}: this holds half a character; write it whole.")
    value = _read(text, path)
    return replace(value, notes=(f"{path.name} is {note}.",)) if note else value


def _read(text: str, path: Path) -> Value:
    kind = path.suffix.lower()
    if kind == ".csv":
        return _read_csv(text, path.name)
    if kind not in (".yaml", ".yml", ".json"):
        raise BatchError(f"{path.name} should end in .yaml, .json or .csv, so that it is clear what it is.")
    if len(text) > MAX_YAML:
        raise BatchError(
            f"{path.name} has more than {MAX_YAML >> 20} MiB; say it with lists and ranges, or as a CSV table."
        )
    if kind == ".json":
        try:
            json.loads(text)
        except RecursionError:
            raise BatchError(f"{path.name} is nested too deeply to be a job file.") from None
        except ValueError as error:
            line = getattr(error, "lineno", 1)
            raise BatchError(f"{path.name}, line {line}: this is not JSON ({getattr(error, 'msg', error)}).") from None
        text = text.replace("\t", " ")  # JSON is YAML but for tabs between values
    return read_yaml(text, path.name)


def _read_csv(text: str, file: str) -> Value:
    """One job for each row; lines with # at the top are settings, as in YAML, and empty ones there mean nothing.

    As spreadsheets save it: any separator, `sep=`, and columns that are empty.
    """
    lines = text.split("\n")
    head = next((i for i, line in enumerate(lines) if line.strip(' ;,\t"') and not _is_setting(line)), len(lines))
    said = next((match for line in lines[:head] if (match := _SEP.fullmatch(line))), None)
    settings = "\n".join(_setting(line) for line in lines[:head])
    found = dict(read_yaml(settings, file).items("The head of a CSV job file"))
    if len(lines) - head > MAX_ROWS and '"' not in text:
        raise _too_many(file)
    separator = said[1] if said else separator_of(lines[head] if head < len(lines) else "").replace(" ", ",")
    reader = csv.reader(io.StringIO("\n".join(lines[head:])), delimiter=separator)
    try:
        rows = _rows(reader, head, file)
    except csv.Error as error:
        raise BatchError(f"{file}, line {head + reader.line_num}: this cannot be read ({error}).") from None
    found["jobs"] = Value(rows, head + 1, file)
    return Value(found, 1, file)


def _rows(reader: Any, head: int, file: str) -> list[Value]:
    columns = [cell.strip() for cell in next(reader, [])]
    if not any(columns):
        raise BatchError(f"{file} has no rows; its first line names the columns, such as image,script,seed.")
    twice = next((name for name in columns if name and columns.count(name) > 1), None)
    if twice is not None:
        raise BatchError(f"{file}, line {head + 1}: the column '{twice[:MAX_SHOWN]}' is given twice; keep one of them.")
    rows = []
    for cells in reader:
        line = head + reader.line_num
        if not any(cell.strip() for cell in cells):
            continue
        while len(cells) > len(columns) and not cells[-1].strip():
            cells.pop()
        if len(cells) != len(columns):
            raise BatchError(
                f"{file}, line {line}: {counted(len(cells), 'cell')} for {counted(len(columns), 'column')}."
            )
        if len(rows) == MAX_ROWS:
            raise _too_many(file)
        row = {name: Value(cell.strip(), line, file) for name, cell in zip(columns, cells, strict=True) if cell.strip()}
        rows.append(Value(row, line, file))
    return rows


def _is_setting(line: str) -> bool:
    return line.lstrip('"').startswith("#") or _SEP.fullmatch(line) is not None


def _setting(line: str) -> str:
    """The YAML of a line with #, which a spreadsheet may have put in quotes and filled up with separators."""
    if not line.lstrip('"').startswith("#"):
        return ""
    if line.startswith('"'):
        try:
            line = next(csv.reader([line], delimiter=separator_of(line)), [""])[0]
        except csv.Error:
            return ""
    return line.rstrip(";,\t ")[1:].removeprefix(" ")


def _too_many(file: str) -> BatchError:
    return BatchError(f"{file} has more than {MAX_ROWS:,} rows; say it with lists and ranges in YAML instead.")
