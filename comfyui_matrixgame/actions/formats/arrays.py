"""Arrays of .npy and .npz files: the header is looked at before anything is read, and pickles never are."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from ...errors import ActionError
from ...system.files import open_regular
from ...system.text_files import kind_of
from ..check_document import MAX_FRAMES

MOST_BYTES = 64 << 20  # of one array
MOST_HEADER = 10_000  # bytes
MOST_DIRECTORY = 1 << 20  # bytes of the list of an archive's members
ENDINGS = (".npy", ".npz")
_MAGIC = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"


class Arrays:
    """The arrays of a file, by name; a .npy file has one, which is called "". None is read before it is asked for.

    Use as a context. Raises ActionError that names the file, whatever is wrong with it.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._archive: zipfile.ZipFile | None = None
        try:
            self._file: IO[bytes] = open_regular(path)
        except OSError as error:
            raise ActionError(f"{self._path} cannot be read: {error.strerror or error}.") from None
        try:
            self.names = self._look()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Arrays:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def first(self, names: Iterable[str]) -> str | None:
        """The first of `names` that the file has."""
        return next((name for name in names if name in self.names), None)

    def read(self, name: str = "") -> np.ndarray:
        """One array of plain numbers with at most MAX_FRAMES rows."""
        try:
            if self._archive is None:
                self._file.seek(0)
                return _array(self._file)
            with self._archive.open(self.names[name]) as member:
                return _array(member)
        except ActionError as error:
            raise ActionError(f"{self._path.name}{f', {name}' if name else ''}: {str(error).rstrip('.')}.") from None
        except Exception as error:  # of numpy, zipfile, zlib, bz2, lzma: they raise what they like at damaged files
            raise self._unreadable(error) from None

    def _look(self) -> dict[str, str]:
        """Names of the arrays -> members of the archive."""
        begin = self._file.read(1024)
        if begin.startswith(_MAGIC):
            return {"": ""}
        if not begin.startswith((_ZIP, b"PK\x05\x06")):
            raise ActionError(
                f"{self._path.name} is not a readable array file: {kind_of(begin) or 'it is not .npy or .npz'}."
            )
        try:
            _check_directory(self._file)
            self._archive = zipfile.ZipFile(self._file)
            members = [info.filename for info in self._archive.infolist()]
        except ActionError as error:
            raise ActionError(f"{self._path.name}: {error}") from None
        except Exception as error:
            raise self._unreadable(error) from None
        return {member.removesuffix(".npy"): member for member in members}

    def _unreadable(self, error: Exception) -> ActionError:
        words = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        return ActionError(f"{self._path.name} is not a readable array file: {words.rstrip('.')}.")


def _check_directory(file: IO[bytes]) -> None:
    """Raise ActionError for an archive with more members than any of ours: listing them alone takes seconds."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 65_557))
    end = file.read()
    at = end.rfind(b"PK\x05\x06")
    directory = int.from_bytes(end[at + 12 : at + 16], "little") if at >= 0 else 0
    if directory > MOST_DIRECTORY or (at >= 20 and end[at - 20 : at - 16] == b"PK\x06\x07"):
        raise ActionError("it has more members than inputs need; it is not an .npz of inputs.")
    file.seek(0)


def _array(file: IO[bytes]) -> np.ndarray:
    """The array that begins here; raises ActionError for one that no input can be, before its values are read."""
    shape, fortran, dtype = _header(file)
    if dtype.hasobject:
        raise ActionError("it is not a readable array: it holds Python objects, which are never loaded")
    if dtype.kind not in "biuf":
        raise ActionError(f"it holds {dtype}, not numbers")
    rows = max((n for n in shape[:-1] or shape), default=0)
    if rows > MAX_FRAMES:
        raise ActionError(f"it has {rows} rows, and inputs have at most {MAX_FRAMES}")
    size = math.prod(shape) * dtype.itemsize
    if size > MOST_BYTES:
        raise ActionError(f"it is of shape {shape}, far more numbers than inputs need")
    data = file.read(size)
    if len(data) < size:
        raise ActionError(f"it is cut off: {len(data)} of {size} bytes are there; copy it again")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and kind of the array that begins here."""
    begin = file.read(8)
    if begin[:6] != _MAGIC or begin[6:7] not in (b"\x01", b"\x02"):
        raise ActionError("it is not a .npy array of plain numbers")
    length = file.read(2 if begin[6] == 1 else 4)
    wanted = int.from_bytes(length, "little")
    if wanted > MOST_HEADER:
        raise ActionError("its header is longer than one of plain numbers")
    header = io.BytesIO(length + file.read(wanted))
    read = npy.read_array_header_1_0 if begin[6] == 1 else npy.read_array_header_2_0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            shape, fortran, dtype = read(header)
    except Exception:  # numpy lets those of Python's own tokenizer through
        raise ActionError("it is not a readable array: its header is damaged") from None
    if any(n < 0 for n in shape) or len(shape) > 8:
        raise ActionError(f"it is of shape {shape}, which no array is")
    return shape, fortran, dtype
