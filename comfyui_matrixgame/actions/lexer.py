"""Script text to tokens, and the errors that point into the text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import ActionError

MAX_TEXT = 4_000_000  # characters; longer is refused before it is read
_SHOWN = 100  # characters of a source line that an error shows

_TOKEN = re.compile(
    r"(?P<space>[ \t\u00a0]+|\#[^\n]*)"
    r"|(?P<newline>\n)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r'|(?P<string>"(?:\\["\\]|[^"\\\x00-\x1f])*")'
    r"|(?P<symbol>->|\.\.|[@:{}()+\-,;])"
)


class Token(NamedTuple):
    """One token. kind: word, number, string, symbol, newline or end. line and column count from 1."""

    kind: str
    text: str
    line: int
    column: int

    @property
    def end(self) -> int:
        """The column after the token."""
        return self.column + len(self.text)

    @property
    def shown(self) -> str:
        """The token as a message names it."""
        names = {"newline": "the end of the line", "end": "the end of the script"}
        return names.get(self.kind) or f"'{self.text[:40]}'"

    def touches(self, before: Token) -> bool:
        """Whether nothing lies between `before` and this token."""
        return self.line == before.line and self.column == before.end


class ScriptError(ActionError):
    """A script that cannot be read: where, why, and a hint.

    line, column: of the first offending character, from 1, in characters (code points).
    width: characters to underline, at least 1. code: a stable name of the kind of error.
    """

    def __init__(self, code: str, message: str, text: str, line: int, column: int, width: int, hint: str = "") -> None:
        self.code, self.message, self.hint = code, message, hint
        self.line, self.column, self.width = line, column, max(1, width)
        self.source = source_line(text, line)
        super().__init__(self.format())

    def format(self, name: str = "script") -> str:
        """The error as a terminal shows it: place, message, the line with a caret, the hint."""
        return _format(name, "error", self.message, self.source, self.line, self.column, self.width, self.hint)


@dataclass(frozen=True)
class ScriptWarning:
    """Something a script may do and that may disappoint. The fields are those of ScriptError."""

    code: str
    message: str
    line: int
    column: int
    width: int
    source: str

    def format(self, name: str = "script") -> str:
        """The warning in the shape of an error."""
        return _format(name, "warning", self.message, self.source, self.line, self.column, self.width, "")


def normalise(text: str) -> str:
    """Script text with newlines as newlines and without a byte order mark."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def source_line(text: str, line: int) -> str:
    """Line `line` (from 1) of normalised `text`, tabs shown as one space."""
    lines = text.split("\n", line)
    return lines[line - 1].replace("\t", " ") if line <= len(lines) else ""


def tokens(text: str) -> Iterator[Token]:
    """The tokens of normalised `text`, spaces and comments left out, with an `end` token last."""
    line, start, at = 1, 0, 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _unreadable(text, at, line, at - start + 1)
        kind = match.lastgroup or ""
        if kind != "space":
            yield Token(kind, match.group() if kind != "newline" else "", line, at - start + 1)
        at = match.end()
        if kind == "newline":
            line, start = line + 1, at
    yield Token("end", "", line, at - start + 1)


def _unreadable(text: str, at: int, line: int, column: int) -> ScriptError:
    letter = text[at]
    if letter == '"':
        rest = text.find("\n", at)
        width = (rest if rest >= 0 else len(text)) - at
        hint = 'a name in quotes ends on its line, without tabs; in it write \\" for a quote and \\\\ for a backslash'
        return ScriptError("open-string", "this name is never closed with '\"'", text, line, column, width, hint)
    code = f"U+{ord(letter):04X}"
    if "!" <= letter <= "~":
        shown = f"'{letter}'"
    else:
        shown = code if letter < "\u00a1" or "\ud800" <= letter <= "\udfff" else f"'{letter}' ({code})"
    return ScriptError("character", f"unexpected character {shown}", text, line, column, 1)


def _format(name: str, kind: str, message: str, source: str, line: int, column: int, width: int, hint: str) -> str:
    first = max(0, column - 1 - _SHOWN // 2) if len(source) > _SHOWN else 0
    shown = source[first : first + _SHOWN]
    caret = column - 1 - first
    width = max(1, min(width, len(shown) - caret))
    gutter = f"  {line} | "
    out = f"{name}:{line}:{column}: {kind}: {message}\n{gutter}{shown}\n"
    out += " " * (len(gutter) - 2) + "| " + " " * caret + "^" * width
    return out + (f"\n  hint: {hint}" if hint else "")
