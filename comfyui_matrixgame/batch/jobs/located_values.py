"""Values that know their line, and reading YAML into them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from ...errors import BatchError

MAX_DIGITS = 100  # of a whole number
MAX_SHOWN = 80  # characters of a value in a message
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAGS = "tag:yaml.org,2002:"
_TAGS_READ = [_TAGS + name for name in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge")]
_NOTHING = ("", "~", "null", "Null", "NULL")
_DIGITS = re.compile(r"\+?[0-9]+(?:_[0-9]+)*")
_BOOL = re.compile("yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF")
_GROUPS = (None, "!", _TAGS + "map", _TAGS + "seq")  # tags of lists and groups
_HALF = re.compile(r"(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]")  # after an even number of backslashes
_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


@dataclass(frozen=True)
class Value:
    """A scalar, a list of Values, or a dict of names to Values, and the line (from 1) it begins on.

    A scalar is text as it is written (007, 1.10, 1:30 and 2026-11-29 stay that), None, or what YAML takes for yes and
    no, whose `written` is the word. notes: of the whole file, sentences on how it was read.
    """

    data: Any
    line: int
    file: str
    written: str = ""
    notes: tuple[str, ...] = ()

    def fail(self, message: str) -> NoReturn:
        """Raise BatchError with the file and the line in front."""
        raise BatchError(f"{self.file}, line {self.line}: {message}")

    def items(self, what: str) -> dict[str, Value]:
        """The entries of a dict; raises BatchError for any other value."""
        if not isinstance(self.data, dict):
            self.fail(f"{what} needs `key: value` lines, got {quoted_value(self.data)}.")
        return self.data

    def list(self) -> list[Value]:
        """The entries of a list; anything else stands for a list of itself."""
        return self.data if isinstance(self.data, list) else [self]

    def text(self, what: str) -> str:
        """A string as it is written; raises BatchError for a list, a group, and nothing."""
        if isinstance(self.data, bool):
            return self.written
        if not isinstance(self.data, str) or self.data == "":
            hint = "; in YAML ~ alone is nothing, so put it in quotes" if self.written == "~" else ""
            self.fail(f"{what} needs text, got {quoted_value(self.data)}{hint}.")
        return self.data

    def whole(self, what: str, least: int = 0) -> int:
        """A whole number of at least `least`, in plain digits; raises BatchError for anything else."""
        text = self.data.strip() if isinstance(self.data, str) else ""
        if not _DIGITS.fullmatch(text) or len(text) >= MAX_DIGITS or int(text) < least:
            self.fail(f"{what} needs a whole number of {least} or more, got {quoted_value(self.data)}.")
        return int(text)


def quoted_value(data: Any) -> str:
    """A value as a message quotes it."""
    if isinstance(data, dict):
        return "a group of keys"
    if isinstance(data, list):
        return "a list"
    if data is None:
        return "nothing"
    text = str(data).lower() if isinstance(data, bool) else str(data)
    return f"'{text}'" if len(text) <= MAX_SHOWN else f"'{text[:MAX_SHOWN]} ...'"


def read_yaml(text: str, file: str, first_line: int = 1) -> Value:
    """The values of a text. file: its name, for errors. Raises BatchError that names file and line."""
    text = _halves_joined(text, file, first_line)
    try:
        events = yaml.parse(text, Loader=_LOADER)
        next(events)  # the stream's beginning
        if not isinstance(next(events), yaml.DocumentStartEvent):
            return Value({}, 1, file)
        value = _Reader(events, file, first_line).value(next(events))
        next(events)  # the document's end
        more = next(events)
        if isinstance(more, yaml.DocumentStartEvent):
            raise BatchError(
                f"{file}, line {more.start_mark.line + first_line}: a second document begins here (---); make it a "
                "file of its own."
            )
        return value
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line, text.count("\n")) + first_line if mark else first_line
        words = [words for words in (error.problem, error.context) if words]
        raise BatchError(f"{file}, line {line}: this is not YAML: {' '.join(words)}.") from None
    except RecursionError:
        raise BatchError(f"{file} is nested too deeply to be a job file.") from None
    except (yaml.YAMLError, ValueError) as error:
        raise BatchError(f"{file} is not YAML: {str(error).splitlines()[0]}.") from None


class _Reader:
    """The values of one YAML document, made as it is parsed; what an alias repeats is one value."""

    def __init__(self, events: Iterator[yaml.Event], file: str, first_line: int) -> None:
        self._events, self._file, self._first_line = events, file, first_line
        self._anchors: dict[str, Value | None] = {}  # None while it is being read

    def value(self, event: yaml.Event) -> Value:
        """The value that begins with `event`. Raises BatchError."""
        line = self._line(event)
        if isinstance(event, yaml.AliasEvent):
            return self._repeated(event.anchor, line)
        assert isinstance(event, yaml.NodeEvent)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event, self._file, line)
        else:
            assert isinstance(event, yaml.CollectionStartEvent)
            if event.tag not in _GROUPS:
                raise _tagged(self._file, line, str(event.tag))
            data = self._group() if isinstance(event, yaml.MappingStartEvent) else self._list()
            value = Value(data, line, self._file)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _line(self, event: yaml.Event) -> int:
        return event.start_mark.line + self._first_line

    def _repeated(self, anchor: str, line: int) -> Value:
        if anchor not in self._anchors:
            raise BatchError(f"{self._file}, line {line}: there is no &{anchor[:MAX_SHOWN]} before this.")
        value = self._anchors[anchor]
        if value is None:
            raise BatchError(f"{self._file}, line {line}: this refers to itself.")
        return value

    def _list(self) -> list[Value]:
        found = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self.value(event))
        return found

    def _group(self) -> dict[str, Value]:
        data: dict[str, Value] = {}
        merged: dict[str, Value] = {}
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            at = self._line(key)
            if not isinstance(key, yaml.ScalarEvent):
                raise BatchError(f"{self._file}, line {at}: a name is text, not a list or a group.")
            if key.anchor is not None:
                self._anchors[key.anchor] = _scalar(key, self._file, at)
            value = self.value(next(self._events))
            if key.value == "<<" and not key.style:
                for group in value.list():
                    merged = group.items("What << takes over") | merged
            elif key.value in data:
                raise BatchError(f"{self._file}, line {at}: '{key.value[:MAX_SHOWN]}' is given twice.")
            else:
                data[key.value] = value
        return merged | data


def _scalar(event: yaml.ScalarEvent, file: str, line: int) -> Value:
    """A scalar as it is written: YAML's own reading would make 12 of 014, 90 of 1:30 and a date of 2026-11-29."""
    text = str(event.value)
    if event.tag not in (None, "!") and event.tag not in _TAGS_READ:
        raise _tagged(file, line, event.tag)
    if event.style:  # in quotes, or a block
        return Value(text, line, file, text)
    if text in _NOTHING:
        return Value(None, line, file, text)
    if _BOOL.fullmatch(text) and event.tag in (None, _TAGS + "bool"):
        return Value(text.lower() in ("yes", "true", "on"), line, file, text)
    return Value(text, line, file, text)


def _tagged(file: str, line: int, tag: str) -> BatchError:
    return BatchError(f"{file}, line {line}: a job file has no tags such as {tag[:60]}; leave it out.")


def _halves_joined(text: str, file: str, first_line: int) -> str:
    """Text in which no character is written in halves, as JSON does: "\\ud83d\\ude00"."""
    if not _HALF.search(text):
        return text
    text = _PAIR.sub(lambda m: m[1] + chr(0x10000 + ((int(m[2], 16) & 0x3FF) << 10) + (int(m[3], 16) & 0x3FF)), text)
    if (left := _HALF.search(text)) is not None:
        line = text.count("\n", 0, left.start()) + first_line
        raise BatchError(f"{file}, line {line}: this holds half a character; write it whole.")
    return text
