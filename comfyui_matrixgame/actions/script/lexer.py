"""Script text to tokens, and the errors that point into the text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from ...errors import ActionError

MAX_TEXT = 1_000_000  # characters; longer is refused before it is read
MAX_TOKENS = 60_000  # words, numbers, signs and line ends of a script
_SHOWN = 100  # characters of a source line that an error shows
_STORE = "store a long recording as a timeline file (.json) or .npy"

# What a token is, in the order of the groups. Spaces and a comment before it belong to no token, and lines with
# nothing else belong to the newline before them.
_END = 6
_KINDS = ("", "newline", "number", "word", "string", "symbol", "end", "bad")
UNREADABLE = ("bad", "excess")  # kinds of token that `unended_text_error` speaks of
ENDS = ("end", *UNREADABLE)  # that nothing follows
_TOKEN = re.compile(
    r"(?:[ \t\u00a0]+|\#[^\n]*)*"
    r"(?:(\n(?:[ \t\u00a0]*(?:\#[^\n]*)?\n)*)"
    r"|([0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
    r"|([A-Za-z_][A-Za-z0-9_]*)"
    r'|("(?:\\["\\]|[^"\\\x00-\x1f])*")'
    r"|(->|\.\.|[@:{}()+\-,;])"
    r"|(\Z)"
    r"|([\s\S]))"
)


class Token(NamedTuple):
    """One token. kind: word, number, string, symbol, newline, or what ends a text. at: where it begins."""

    kind: str
    text: str
    at: int

    @property
    def stop(self) -> int:
        """Where the token ends."""
        return self.at + (0 if self.kind == "newline" else len(self.text))

    @property
    def shown(self) -> str:
        """The token as a message names it."""
        names = {"newline": "the end of the line", "end": "the end of the script"}
        return names.get(self.kind) or f"'{self.text[:40]}'"

    def touches(self, before: Token) -> bool:
        """Whether nothing lies between `before` and this token."""
        return self.at == before.stop


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


def line_at(text: str, at: int) -> str:
    """The line of character `at` of normalised `text`, as `source_line` gives it; costs no more far down."""
    stop = text.find("\n", at)
    return text[text.rfind("\n", 0, at) + 1 : stop if stop >= 0 else len(text)].replace("\t", " ")


def place_of(text: str, at: int) -> tuple[int, int]:
    """Line and column of character `at` of normalised `text`, from 1."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def tokens(text: str) -> list[Token]:
    """The tokens of normalised `text`, spaces and comments left out.

    The last one is `end`; or `bad` at a character that begins no token; or `excess` after MAX_TOKENS tokens:
    reading costs time with every token, and no script may take long to refuse. Of both,
    `unended_text_error` has the error.
    """
    found: list[Token] = []
    new, make, kinds, append = tuple.__new__, Token, _KINDS, found.append  # a third of the time of Token(...)
    for match in islice(_TOKEN.finditer(text), MAX_TOKENS + 1):
        group = match.lastindex or 0
        append(new(make, (kinds[group], match[group], match.start(group))))
        if group >= _END:
            return found
    found[-1] = Token("excess", "", found[-1].at)
    return found


def unended_text_error(text: str, token: Token) -> ScriptError | None:
    """The error of a token that ends the text before its end; None for others."""
    if token.kind == "bad":
        return _unreadable(text, token)
    if token.kind != "excess":
        return None
    message = f"the script has more than {MAX_TOKENS} words, numbers and signs"
    return ScriptError("too-much-text", message, text, *place_of(text, token.at), 1, _STORE)


def too_much_text(text: str) -> ScriptError | None:
    """The error of a text that is too long to be read at all."""
    if len(text) <= MAX_TEXT:
        return None
    return ScriptError("too-much-text", f"the script has more than {MAX_TEXT} characters", text[:200], 1, 1, 1, _STORE)


def _unreadable(text: str, token: Token) -> ScriptError:
    letter, (line, column) = token.text, place_of(text, token.at)
    if letter == '"':
        width = len(source_line(text, line)) - column + 1
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
