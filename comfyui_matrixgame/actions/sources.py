"""What stands in the terminal for inputs that are no file: a preset, a benchmark's sequence, and what is piped in."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from ..errors import ActionError
from ..system.text_files import cannot_be_read, decode
from ..variants import Variant, default_variant, get_variant
from .document import MAX_FILE
from .read import Loaded, read_text
from .ready_made.bench import bench_track
from .ready_made.presets import preset_script

BENCH_ROWS = 597  # of the published benchmark's sequences


def read_source(source: str, variant: Variant | str | None, kind: str | None = None) -> Loaded | None:
    """The inputs of `preset:NAME`, `bench:SEED[:ROWS]`, or - for what is piped in; None for anything else, and where
    there is a file of this name. kind: of what is piped in, one of KINDS, instead of guessing. Raises ActionError."""
    name, colon, rest = source.partition(":")
    if source == "-":
        return _read_pipe(variant, kind)
    if not colon or name not in ("preset", "bench") or os.path.lexists(source):
        return None
    chosen = (get_variant(variant) if isinstance(variant, str) else variant) or default_variant()
    if name == "preset":
        return read_text(preset_script(rest.strip(), chosen), chosen)
    seed, _, rows = rest.partition(":")
    if not seed.isdecimal() or not (rows or "1").isdecimal() or len(rest) > 60:
        raise ActionError(f"'{source[:80]}' should be bench:SEED or bench:SEED:ROWS, with whole numbers.")
    return Loaded(bench_track(chosen, int(seed), int(rows or BENCH_ROWS)), "bench")


def _read_pipe(variant: Variant | str | None, kind: str | None) -> Loaded:
    """The inputs that are piped in, in whatever letters they come."""
    pipe = getattr(sys.stdin, "buffer", None)
    if pipe is None:  # text, put there by another program's code
        return read_text(sys.stdin.read(), variant, kind)
    data = pipe.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ActionError(f"More than {MAX_FILE >> 20} MiB were piped in, which no input needs.")
    try:
        piped = decode(data)
    except OSError as error:
        raise ActionError(cannot_be_read("What is piped in", error)) from None
    loaded = read_text(piped.text, variant, kind)
    return replace(loaded, notes=(f"What is piped in is {piped.note}.", *loaded.notes)) if piped.note else loaded
