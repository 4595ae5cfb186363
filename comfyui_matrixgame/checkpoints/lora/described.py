"""A LoRA's description: the denoising steps it was distilled to, in its metadata or in a file beside it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import CheckpointError, VariantError
from ...variants.fields import Fields, whole_number
from ...variants.tried import NEED, checked_steps
from ...variants.variant import TABLE_PLACES
from ..containers.tensors import WeightsFile
from ..described import IN_METADATA, description_of, path_beside
from ..reader import open_weights
from ..tables.other_files import is_lora

log = logging.getLogger(__name__)
FORMAT = "matrixgame.lora"
VERSION = 1

Steps = tuple[int, ...]


def steps_of_file(file: WeightsFile) -> Steps | None:
    """The steps that a LoRA brings along; None without a description. Raises VariantError."""
    found = description_of(file)
    return None if found is None else _steps(*found)


def steps_of_metadata(metadata: Mapping[str, Any]) -> Steps | None:
    """The same from the metadata of a file alone, as ComfyUI's own loaders pass it on."""
    text, origin = metadata.get(IN_METADATA), "a LoRA's metadata"
    if text is None:
        return None
    try:
        return _steps(json.loads(text), origin)
    except (TypeError, ValueError, RecursionError):
        raise VariantError(f"{origin}: `{IN_METADATA}` is not JSON; mend it, or remove it.") from None


def describe_lora(path: str | Path, steps: Sequence[int]) -> tuple[Path, bytes]:
    """Where the description of a LoRA lies, and what is in it. Raises CheckpointError where the file is not a LoRA,
    and VariantError for invalid steps."""
    with open_weights(path) as file:
        if not is_lora(file.tensors):
            raise CheckpointError(f"{file.name} is not a LoRA.")
        beside = path_beside(file.path)
    about = {"format": FORMAT, "version": VERSION, "steps": list(steps)}
    _steps(about, "--steps")
    return beside, (json.dumps(about, indent=2) + "\n").encode()


def _steps(value: Any, origin: str) -> Steps | None:
    fields = Fields(value, origin)
    fields.choice("format", (FORMAT,), FORMAT)
    if fields.whole("version", 1, 1_000_000, VERSION) > VERSION:
        fields.refuse(f"its description is newer than version {VERSION}, the newest known; update the node pack.")
    fields.text("title", "")
    steps = fields.items("steps", NEED, lambda step: whole_number(step, 1, TABLE_PLACES), (), least=1)
    if unknown := fields.done():
        log.warning("%s: this version does not know %s.", origin, ", ".join(unknown))
    try:
        return checked_steps(steps) if steps else None
    except VariantError as error:
        raise VariantError(f"{origin}: {error}") from None
