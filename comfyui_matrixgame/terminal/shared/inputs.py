"""Inputs that an argument names: what is wrong with them is said with the name of their file."""

from __future__ import annotations

import os

from ...actions.read import Loaded, load_actions, read_file
from ...actions.script.lexer import ScriptError
from ...actions.sources import read_source
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
