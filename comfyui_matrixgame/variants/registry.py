"""The known variants: those of the package, and those of folders that are named at run time."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from ..errors import MatrixGameError, VariantError
from .reader import ENDING, read_file
from .variant import Variant

FOLDERS = "MATRIXGAME_VARIANTS"  # names folders with more descriptions, as PATH does programs
log = logging.getLogger(__name__)

VARIANTS: dict[str, Variant] = {}  # by name, the default first; this dict is never replaced
_BUILTIN = Path(__file__).parent
_folders: list[Path] = []
_read: dict[Path, tuple[tuple[int, int], str]] = {}  # file -> its size and time when it was read, its variant


def add_variant(variant: Variant) -> None:
    """Make a variant known under its name. Raises VariantError where another one has it."""
    if VARIANTS.get(variant.name, variant) != variant:
        raise VariantError(f"There is a variant '{variant.name}' already; give the new one another name.")
    VARIANTS[variant.name] = variant


def add_folder(folder: str | Path) -> None:
    """Make the variants known that the `.json` files of a folder describe, now and at each `refresh`."""
    if Path(folder) not in _folders:
        _folders.append(Path(folder))
    refresh()


def refresh() -> None:
    """Read what is new or changed in the folders. What cannot be used is logged once and left out."""
    for path in (path for folder in _folders for path in sorted(folder.glob(f"*{ENDING}"))):
        try:
            status = path.stat()
        except OSError:
            continue  # gone meanwhile
        state = (status.st_size, status.st_mtime_ns)
        before, name = _read.get(path, (None, ""))
        if before == state:
            continue
        _read[path] = (state, name)
        try:
            variant = read_file(path)
            if variant.name == name:
                VARIANTS[name] = variant
            add_variant(variant)
        except VariantError as error:
            log.warning("%s", error)
            continue
        _read[path] = (state, variant.name)
        if variant.unknown:
            log.warning("%s: this version does not know %s.", path.name, ", ".join(variant.unknown))


def get_variant(name: str) -> Variant:
    """The variant called `name`; raises MatrixGameError that lists the known ones."""
    if name not in VARIANTS:
        refresh()
    try:
        return VARIANTS[name]
    except KeyError:
        raise MatrixGameError(f"There is no variant '{name}'; use one of {', '.join(VARIANTS)}.") from None


def default_variant() -> Variant:
    """The variant that is used where none is named."""
    return next(iter(VARIANTS.values()))


def builtin_variants() -> list[Variant]:
    """The variants of the package, the default first."""
    found = [read_file(path) for path in sorted(_BUILTIN.glob(f"*{ENDING}")) if not path.name.startswith("variant.")]
    return sorted(found, key=lambda one: not one.default)


VARIANTS.update((one.name, one) for one in builtin_variants())
PACKAGED = frozenset(VARIANTS)
for _folder in filter(None, os.environ.get(FOLDERS, "").split(os.pathsep)):
    add_folder(_folder)
