"""Text as users' programs save it: UTF-8, UTF-16 and Windows' ANSI; the error for anything else names what it is.

As in `files`, everything here raises OSError, whose `strerror` can end a sentence for the user.
"""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import NamedTuple

from .files import read_bytes

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")  # not found in text; \f is in some
_SURROGATE = re.compile("[\ud800-\udfff]")
_MARKS = ((b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"),
          (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))  # fmt: skip
_WORKBOOK = "it is a workbook, not text; save the sheet as CSV UTF-8"
_PICKLE = "it is a Python pickle, which could run any code; save the arrays as .npz"
_PACKED = "it is compressed; unpack it first"
_PICTURE = "it is a picture, not inputs"
_FILM = "it is a video, not inputs; the inputs lie in a file of their own"
# First bytes of files that are not text, and the end of the sentence on each.
_BEGINNINGS = (
    (b"\x93NUMPY", "it is a NumPy array; let its name end in .npy"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _WORKBOOK),
    (b"\x89HDF\r\n", "it is an HDF5 file; save its arrays as .npz"),
    (b"PAR1", "it is a Parquet table; save it as CSV"),
    (b"ARROW1", "it is an Arrow table; save it as CSV"),
    (b"SQLite format 3", "it is a database; export the table as CSV"),
    (b"\x89MCAP", "it is an MCAP log; export the topic as CSV"),
    (b"#ROSBAG", "it is a ROS bag; export the topic as CSV"),
    (b"{\\rtf", "it is a Rich Text document; save it as plain text"),
    (b"%PDF", "it is a PDF document, not text"),
    (b"\x1f\x8b", _PACKED), (b"BZh", _PACKED), (b"\xfd7zXZ", _PACKED), (b"\x28\xb5\x2f\xfd", _PACKED),
    (b"7z\xbc\xaf\x27\x1c", _PACKED), (b"Rar!", _PACKED),
    (b"\x89PNG", _PICTURE), (b"\xff\xd8\xff", _PICTURE), (b"GIF8", _PICTURE),
    (b"\x1aE\xdf\xa3", _FILM), (b"RIFF", _FILM),
    (b"version https://git-lfs.github.com", "it is a Git LFS pointer, not the file itself; run git lfs pull"),
)  # fmt: skip


class Text(NamedTuple):
    """Text, and a note on what had to be assumed to read it; empty where nothing had to."""

    text: str
    note: str = ""


class NotText(OSError):
    """A file of another kind, or in an encoding that cannot be determined."""


def read_text_file(path: str | Path, limit: int) -> Text:
    """The text of a regular file of at most `limit` bytes, its lines ending in newlines. Raises OSError."""
    return decode(read_bytes(path, limit))


def decode(data: bytes) -> Text:
    """The text of a file's bytes, its lines ending in newlines. Raises NotText.

    Reads UTF-8, UTF-16 and UTF-32 with a byte order mark, UTF-16 without one, and anything else as Windows-1252, which
    the note says. Text must hold ASCII: digits, key names, commas.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if encoding is None:
        kind = kind_of(data)
        if kind:
            raise _not_text(kind)
        encoding = _without_mark(data)
    if encoding is None:
        return _without_encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise _not_text(
            f"it is not text in UTF-8, and only begins as {encoding.removesuffix('-sig').upper()}"
        ) from None
    if text and not any(letter < "\x80" for letter in text[:10_000]):
        raise _not_text("it is not text that holds inputs")
    if "\0" in text:
        raise _not_text("it is not text")
    marked = not encoding.endswith(("-le", "-be"))
    return Text(lines_ended(text), "" if marked else "read as UTF-16, though it has no byte order mark")


def kind_of(data: bytes) -> str:
    """What a file that is not text is, as the end of a sentence with what to do; empty where unknown."""
    found = next((words for mark, words in _BEGINNINGS if data.startswith(mark)), "")
    if found:
        return found
    if data[4:8] == b"ftyp":
        return _FILM
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return _PICKLE
    if data.startswith(b"PK\x03\x04"):
        return _kind_of_zip(data)
    if re.match(rb"\s*<(?:!doctype\s+html|html)", data[:1000], re.IGNORECASE):
        return "it is a web page; download the file itself (the 'raw' link)"
    return ""


def lines_ended(text: str) -> str:
    """`text` without a byte order mark, and every line ended by a newline alone."""
    text = text.removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def half_character(text: str) -> int | None:
    """The line, from 1, of the first half character (a lone surrogate), which no file can hold; None without one."""
    found = None if text.isascii() else _SURROGATE.search(text)
    return text.count("\n", 0, found.start()) + 1 if found else None


def cannot_be_read(name: str | Path, error: OSError) -> str:
    """The sentence for an error of this module, or for any other on reading a file."""
    words = error.strerror or str(error)
    if isinstance(error, NotText):
        return f"{name} {words.removeprefix('it ')}."
    return f"{name} cannot be read: {words}."


def _kind_of_zip(data: bytes) -> str:
    if b"xl/" in data or b"opendocument.spreadsheet" in data[:200]:
        return _WORKBOOK
    if b"word/" in data or b"opendocument" in data[:200]:
        return "it is a document of a word processor; save it as plain text"
    if b"data.pkl" in data:
        return _PICKLE
    return "it is an .npz or .zip archive; let its name end in .npz, or unpack it"


def _without_mark(data: bytes) -> str | None:
    """UTF-16 in the byte order that gives ASCII; None where no byte is zero, as in other encodings."""
    if b"\0" not in data[:4096]:
        return None
    counts = {order: _letters(data[:4096], order) for order in ("utf-16-le", "utf-16-be")}
    best, other = sorted(counts, key=counts.__getitem__, reverse=True)
    if len(data) % 2 or counts[best] * 20 < min(len(data), 4096) or counts[best] <= 2 * counts[other]:
        raise _not_text("it is not text")
    return best


def _letters(sample: bytes, encoding: str) -> int:
    text = sample.decode(encoding, "replace")
    return sum(" " <= letter <= "~" or letter in "\n\t" for letter in text)


def _without_encoding(data: bytes) -> Text:
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")  # first: decoded, a character may take four bytes
    if b"\0" in data:
        raise _not_text("it is not text")
    try:
        return Text(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        near = data[max(0, error.start - 50_000) : error.start + 50_000].decode("utf-8", "surrogateescape")
        broken = len(_SURROGATE.findall(near))
        whole = sum(letter >= "\x80" for letter in near) - broken
    if whole >= broken:
        raise _not_text(f"it is damaged in line {line}, which is not UTF-8 as the rest is") from None
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        raise _not_text(f"it is not text in UTF-8 (line {line}); save it as UTF-8") from None
    if _CONTROLS.search(text):
        raise _not_text("it is not text")
    if "\u00ff\u00fe" in text or "\u00fe\u00ff" in text:  # the mark of UTF-16: two files in one
        raise _not_text(f"it is not text in UTF-8 (line {line}); save it as UTF-8")
    return Text(text, f"not UTF-8 (line {line}), so read as Windows-1252; save it as UTF-8 if letters are wrong")


def _not_text(words: str) -> NotText:
    return NotText(errno.EINVAL, words)
