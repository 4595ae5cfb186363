"""Where results lie: a folder here, or anything that fsspec has a URL for (`url_store.py`).

results/ab/abcd...-12-34/   one folder for each result, named by `task.result_key`; result.json is written last
by_name/NAME.mp4 ...        the same files under the names of the job file (links; not on URLs)
by_name.list                which files those are (`named_links.py`)
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from ...errors import BatchError
from ...system.targets import fault_of
from ..jobs.settings import is_url
from .folder_store import FolderStore
from .ledger import Ledger, LedgerRow
from .result import Result
from .url_store import UrlStore


class Store(Protocol):
    """What engines and the runner need of it. is_near: whether looking at a result costs next to nothing."""

    is_near: bool

    def part(self, key: str) -> Path:
        """A new local folder's name, to make a result in."""
        ...

    def seen(self, key: str) -> bool:
        """Whether there may be such a result, as far as a first look told; where there is none, `read` finds none."""
        ...

    def commit(self, part: Path, key: str) -> Result:
        """Put a whole folder in its place; returns what the result now says. Does nothing where it is there already."""
        ...

    def read(self, key: str) -> Result | None:
        """What a finished result says, of items that are there; None where there is none."""
        ...

    def link(self, result: Result, name: str, items: tuple[str, ...]) -> list[Path]:
        """Show a result's files under a name of the job file; returns what lies in their place and is not the
        program's: that is kept."""
        ...

    def here(self, result: Result, item: str) -> AbstractContextManager[Path]:
        """An item of a finished result as a file, or a folder of pictures, of this machine, as long as it is used."""
        ...

    def clean(self) -> None:
        """Delete what earlier runs began on this machine and did not finish."""
        ...


def open_store(where: str) -> Store:
    """The store of a folder or a URL; raises BatchError where it cannot be written."""
    if is_url(where):
        return UrlStore(where)
    return FolderStore(Path(where))


def finished_jobs(folder: Path) -> tuple[Store, list[LedgerRow]]:
    """Where the results of a run lie, to be read, and its finished jobs. Raises BatchError where nothing ran."""
    ledger = Ledger(folder, write=False)
    try:
        where = str(ledger.note("output") or "")
        done = [row for row in ledger.entries() if row.result is not None]
    finally:
        ledger.close()
    return UrlStore(where, write=False) if is_url(where) else FolderStore(folder), done


def check_writable(where: str) -> None:
    """Raise BatchError where results could not be written, as far as that can be known without making a folder."""
    if is_url(where):
        open_store(where)
        return
    if why := fault_of(Path(where).absolute()):
        raise BatchError(f"The results cannot be written to {where}: {why}; name another folder with --output.")
