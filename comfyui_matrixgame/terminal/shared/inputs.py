"""Inputs that an argument names: what is wrong with them is said with the name of their file."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...actions.read import Loaded, load_actions, read_file
from ...actions.script.lexer import ScriptError
from ...actions.sources import read_source
from ...actions.track import ActionTrack, row_of_seed
from ...errors import ActionError
from ...system.files import readable_name
from ...variants import Variant


def load_inputs(
    source: str, variant: Variant | str | None, kind: str | None = None, branch: str | None = None, text: bool = False
) -> Loaded:
    """The inputs of a file, a folder, a preset, a benchmark's sequence or what is piped in; with `text` also those that
    the argument itself says. kind: one of KINDS, instead of guessing. Raises ActionError."""
    here = not text or os.path.lexists(source)
    try:
        loaded = read_source(source, variant, kind)
        if loaded is None:
            loaded = read_file(source, variant, kind) if here else load_actions(source, variant, kind)
        return loaded.on_branch(branch) if branch else loaded
    except ScriptError as error:
        raise ActionError(error.format(source if here else "script")) from None
    except ActionError as error:
        if not os.path.lexists(source) or readable_name(source) in str(error):
            raise
        raise ActionError(f"{readable_name(source)}: {error}") from None


def with_seeds_at(track: ActionTrack, changes: Sequence[tuple[int, int]], blocks: int) -> ActionTrack:
    """Inputs of so many blocks with other seeds: (block, seed), the block counted from the first of them; a track that
    ends before one repeats its last row. Raises ActionError where there is no such block."""
    seeds, given = dict(track.seeds), set[int]()
    for block, seed in changes:
        if block >= blocks:
            raise ActionError(f"--seed-at {block}:{seed}: this render has blocks 0 to {blocks - 1}; name one of them.")
        if block in given:
            raise ActionError(f"--seed-at names block {block} twice; give it one seed.")
        given.add(block)
        seeds[row_of_seed(block)] = seed
        track = track.padded(row_of_seed(block) + 1)
    return track.with_seeds(sorted(seeds.items()))
