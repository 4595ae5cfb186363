"""Users' descriptions of weights that are not published ones: in a file beside them, or in their own metadata.

A description is that of a variant (variants/variant.schema.json), and may have `like` for all that it shares with a
known one. It takes precedence over what the weights look like, and must not contradict them.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import VariantError
from ..networks.generator import GeneratorConfig
from ..system.files import readable_name
from ..system.state import recall, remember
from ..system.words import counted
from ..variants import VARIANTS, Variant, learn_variant, read_like
from ..variants.reader import read_json
from .builtin import FOLDER as BUILTIN_FOLDER
from .containers.shards import INDEX, WEIGHTS
from .download import sha256_of
from .reader import WeightsFile

ENDING = ".matrixgame.json"
IN_METADATA = "matrixgame"  # the key of a description in a safetensors file
CONVERTED_FROM = "matrixgame.variant"  # and of the variant's name in one that was made from a published file
_PART = re.compile(r"-[0-9]{5}-of-[0-9]{5}$")
_CHECKSUMS = "checksums"  # the name they are kept under
_SLOW = 1 << 28  # bytes of a file whose checksum is worth keeping
_NEARLY = 0.01  # of a published size, which is rounded
# published weights in the layout of another program: FastVideo/Matrix-Game-2.0-Base-Distilled-Diffusers
_IN_OTHER_LAYOUTS = {"1a8976aeac99a9ee62f3c51c6a359cb9cc2a52264eeff745deef1413a50dbd12"}


def path_beside(weights: Path) -> Path:
    """Where the description of a weights file lies: NAME.matrixgame.json beside NAME.safetensors, beside an index of
    that name, or beside its parts."""
    stem = weights.name.removesuffix(INDEX)
    stem = next((stem.removesuffix(ending) for ending in WEIGHTS if stem.endswith(ending)), stem)
    return weights.with_name(_PART.sub("", stem) + ENDING)


def description_of(file: WeightsFile) -> tuple[Mapping[str, Any], str] | None:
    """A file's description, and what errors call its source; None without one. Raises VariantError."""
    beside = path_beside(file.path)
    if beside.is_file():
        value, origin = read_json(beside), readable_name(beside)
    elif IN_METADATA in file.metadata:
        origin = f"the metadata of {file.name}"
        try:
            value = json.loads(file.metadata[IN_METADATA])
        except (ValueError, RecursionError):
            raise VariantError(
                f"{origin}: `{IN_METADATA}` is not JSON; put a description beside the file, as {beside.name}."
            ) from None
    else:
        return None
    if not isinstance(value, Mapping):
        raise VariantError(f"{origin} is not a JSON object; `matrixgame describe` writes one.")
    return value, origin


def described_variant(file: WeightsFile, config: GeneratorConfig) -> Variant | None:
    """The variant that a file is described as, which from now on is known by its name; None without a description.
    config: from its shapes. Raises VariantError where the description is invalid, or contradicts the shapes."""
    found = description_of(file)
    if found is None:
        return None
    value, origin = found
    variant = read_like(value, origin)
    _check_shapes(variant, config, value, origin)
    learn_variant(variant, origin)
    return variant


def check_chosen(file: WeightsFile, variant: Variant, config: GeneratorConfig) -> None:
    """Raise VariantError where a variant that was chosen for a file takes other inputs than its weights."""
    if (len(variant.keys), variant.mouse) != (config.keyboard_dim, config.mouse):
        takes, has = _inputs(config.keyboard_dim, config.mouse), _inputs(len(variant.keys), variant.mouse)
        raise VariantError(
            f"{file.name} takes {takes}, and the variant {variant.name} has {has}; choose auto, or the variant that "
            "the file was made for."
        )


def _inputs(keys: int, camera: bool) -> str:
    return f"{counted(keys, 'key')} and {'a' if camera else 'no'} camera"


def _check_shapes(variant: Variant, config: GeneratorConfig, value: Mapping[str, Any], origin: str) -> None:
    wrong = []
    if len(variant.keys) != config.keyboard_dim:
        wrong.append(f"it says {counted(len(variant.keys), 'key')}, and the weights take {config.keyboard_dim}")
    if variant.mouse != config.mouse:
        has, have = ("a camera", "none") if variant.mouse else ("no camera", "one")
        wrong.append(f"it says {has}, and the weights have {have}")
    if "action_layers" in value and variant.action_layers != config.action_layers:
        layers = ", ".join(map(str, config.action_layers))
        wrong.append(f"its action_layers are not those of the weights, which take inputs in {layers}")
    if wrong:
        raise VariantError(f"{origin} does not fit its file: {'; '.join(wrong)}. Mend it, or describe the file anew.")


def undescribed_note(file: WeightsFile, variant: Variant) -> str:
    """A note on a file that is neither described nor published; "" for a published one."""
    if file.metadata.get(CONVERTED_FROM) == variant.name or _is_published(file.path):
        return ""
    sink = f"a sink of {variant.sink}" if variant.sink else "no sink"
    return (
        f"not a file we know; running as {variant.name}: {counted(len(variant.steps), 'step')}, {sink}. "
        "If it is a finetune, describe it."
    )


def _is_published(path: Path) -> bool:
    """Whether a file is one of those that variants are published as, by its checksum."""
    if path.parent == BUILTIN_FOLDER:  # `demo_world` checks the checksums
        return True
    try:
        state = path.stat()
    except OSError:
        return False
    sums = {
        variant.published.sha256
        for variant in VARIANTS.values()
        if variant.published and abs(state.st_size - variant.published.size) <= _NEARLY * variant.published.size
    }
    if not sums:
        return False
    return _sha256(path, state.st_size, state.st_mtime_ns, state.st_ctime_ns) in sums | _IN_OTHER_LAYOUTS


@functools.lru_cache(maxsize=64)
def _sha256(path: Path, size: int, *changed: int) -> str:
    """The checksum of a file as last changed; that of a large one is kept, because it takes seconds to compute."""
    key = "/".join(map(str, (path.absolute(), size, *changed)))
    if size >= _SLOW and (known := recall(_CHECKSUMS).get(key)):
        return known
    try:
        found = sha256_of(path)
    except OSError:
        return ""
    if size >= _SLOW:
        remember(_CHECKSUMS, key, found)
    return found
