"""What a person looks at: a static page, a contact sheet, and tables, from the ledger as it stands."""

from __future__ import annotations

from pathlib import Path


def write_report(folder: Path, output: str | None = None, quick: bool = False) -> list[Path]:
    """Write it."""
    return []
