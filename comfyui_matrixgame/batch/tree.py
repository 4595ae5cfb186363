"""Reading a job file into values that know their line: YAML, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from ..errors import BatchError

MAX_BYTES = 64 << 20
MAX_ROWS = 200_000  # of a CSV
MAX_DIGITS = 100  # of a whole number


@dataclass(frozen=True)
class Value:
    """A scalar, a list of Values, or a dict of names to Values, and the line (from 1) it begins on."""

    data: Any
    line: int
    file: str

    def fail(self, message: str) -> NoReturn:
        """Raise BatchError with the file and the line in front."""
        raise BatchError(f"{self.file}, line {self.line}: {message}")

    def items(self, what: str) -> dict[str, Value]:
        """The entries of a dict; raises BatchError where it is none."""
        if not isinstance(self.data, dict):
            self.fail(f"{what} needs `key: value` lines, got {shown(self.data)}.")
        return self.data

    def list(self) -> list[Value]:
        """The entries of a list; anything else stands for a list of itself."""
        return self.data if isinstance(self.data, list) else [self]

    def text(self, what: str) -> str:
        """A string, or a number as it is written; raises BatchError for anything else."""
        if isinstance(self.data, bool) or not isinstance(self.data, (str, int, float)) or self.data == "":
            self.fail(f"{what} needs text, got {shown(self.data)}.")
        return str(self.data)

    def whole(self, what: str, least: int = 0) -> int:
        """A whole number of at least `least`; raises BatchError for anything else."""
        number = self.data
        if isinstance(number, str) and number.strip().isdecimal() and len(number) < MAX_DIGITS:
            number = int(number)
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            self.fail(f"{what} needs a whole number of {least} or more, got {shown(self.data)}.")
        return number


def shown(data: Any) -> str:
    """A value as a message quotes it."""
    if isinstance(data, dict):
        return "a group of keys"
    if isinstance(data, list):
        return "a list"
    return "nothing" if data is None else f"'{data}'"


def read_tree(path: Path) -> Value:
    """The values of a .yaml, .yml, .json or .csv file. Raises BatchError that names file and line."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BatchError(f"{path.name} has more than {MAX_BYTES >> 20} MiB; say it with lists and ranges instead.")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BatchError(f"There is no job file {path}; check the path.") from None
    except UnicodeDecodeError:
        raise BatchError(f"{path.name} is not text; a job file is YAML, JSON or CSV.") from None
    except OSError as error:
        raise BatchError(f"{path} cannot be read: {error.strerror or error}.") from None
    kind = path.suffix.lower()
    if kind == ".csv":
        return _read_csv(text, path.name)
    if kind == ".json":
        try:
            json.loads(text)
        except ValueError as error:
            line = getattr(error, "lineno", 1)
            raise BatchError(f"{path.name}, line {line}: this is not JSON ({getattr(error, 'msg', error)}).") from None
        text = text.replace("\t", " ")  # JSON is YAML but for tabs between values
    elif kind not in (".yaml", ".yml"):
        raise BatchError(f"{path.name} should end in .yaml, .json or .csv, so that it is clear what it is.")
    return _read_yaml(text, path.name)


def _read_yaml(text: str, file: str, first_line: int = 1) -> Value:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return Value({}, 1, file) if node is None else _value(node, file, first_line, {}, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + first_line if mark else first_line
        raise BatchError(f"{file}, line {line}: {error.problem or error.context or 'this is not YAML'}.") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BatchError(f"{file} is not YAML: {str(error).splitlines()[0]}.") from None


def _value(node: yaml.Node, file: str, first_line: int, made: dict[int, Value], inside: tuple[int, ...]) -> Value:
    """A node as a Value; a node that an alias repeats is converted once."""
    line = node.start_mark.line + first_line
    if id(node) in inside:
        raise BatchError(f"{file}, line {line}: this refers to itself.")
    if id(node) in made:
        return made[id(node)]
    deeper = (*inside, id(node))
    if isinstance(node, yaml.MappingNode):
        data: Any = {}
        for key, value in node.value:
            name = _joined(str(getattr(key, "value", "")), file, key.start_mark.line + first_line)
            if name in data:
                raise BatchError(f"{file}, line {key.start_mark.line + first_line}: '{name}' is given twice.")
            data[name] = _value(value, file, first_line, made, deeper)
    elif isinstance(node, yaml.SequenceNode):
        data = [_value(entry, file, first_line, made, deeper) for entry in node.value]
    else:
        data = yaml.SafeLoader("").construct_object(node)
        data = _joined(data, file, line) if isinstance(data, str) else data
    made[id(node)] = Value(data, line, file)
    return made[id(node)]


def _joined(text: str, file: str, line: int) -> str:
    """Text with the halves of a character joined, which JSON writes apart: "\\ud83d\\ude00"."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise BatchError(f"{file}, line {line}: this holds half a character; write it whole.") from None


def _read_csv(text: str, file: str) -> Value:
    """One job for each row; lines with # at the top are settings, as in YAML, and empty ones there mean nothing."""
    lines = text.splitlines()
    head = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    settings = _read_yaml("\n".join(line[1:].removeprefix(" ") for line in lines[:head]), file)
    found = dict(settings.items("The head of a CSV job file"))
    reader = csv.reader(io.StringIO("\n".join(lines[head:])))
    columns = [cell.strip() for cell in next(reader, [])]
    if not columns:
        raise BatchError(f"{file} has no rows; its first line names the columns, such as image,script,seed.")
    twice = next((name for name in columns if name and columns.count(name) > 1), None)
    if twice is not None:
        raise BatchError(f"{file}, line {head + 1}: the column '{twice}' is given twice; keep one of them.")
    rows = []
    for cells in reader:
        line = head + reader.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(columns):
            raise BatchError(f"{file}, line {line}: {len(cells)} cells for {len(columns)} columns.")
        if len(rows) == MAX_ROWS:
            raise BatchError(f"{file} has more than {MAX_ROWS:,} rows; say it with lists and ranges in YAML instead.")
        row = {name: Value(cell.strip(), line, file) for name, cell in zip(columns, cells, strict=True) if cell.strip()}
        rows.append(Value(row, line, file))
    found["jobs"] = Value(rows, head + 1, file)
    return Value(found, 1, file)
