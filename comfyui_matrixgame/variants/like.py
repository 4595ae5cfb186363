"""Variants that are described by what they share with another one, and those that are known from weights alone.

A description with `like` takes what it does not say itself from the variant of that name. `relatives/` holds some that
come with the package, but are not offered anywhere until weights of theirs are loaded.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import VariantError
from .reader import ENDING, read_description, read_json
from .registry import PACKAGED, VARIANTS, refresh
from .variant import Variant

LIKE = "like"
_NOT_SHARED = (LIKE, "default", "published", "action_layers", "$schema")  # each variant's own
_RELATIVES = Path(__file__).parent / "relatives"
_learned: set[str] = set()  # names of those that are known from weights or worlds


def read_like(value: Any, origin: str) -> Variant:
    """The variant of a parsed description, which may have `like`. Raises VariantError."""
    if not isinstance(value, Mapping) or value.get(LIKE) is None:
        return read_description(value, origin)
    name, known = value[LIKE], lasting_variants()
    base = next((one for one in known.values() if one.name == name), None)
    base = base or next((one for one in _relatives() if one.name == name), None)
    if base is None:
        raise VariantError(f"{origin}: like is {name!r:.60}, and must be one of {', '.join(known)}.")
    shared = {field: said for field, said in base.described.items() if field not in _NOT_SHARED}
    whole = {**shared, **{field: said for field, said in value.items() if field != LIKE}}
    return replace(read_description(whole, origin), like=base.name, described={**whole, LIKE: base.name})


def learn_variant(variant: Variant, origin: str) -> None:
    """Make known the variant that weights or a world are described as, in place of one learned under its name before.
    Raises VariantError where the package, or a folder, has a different one of this name."""
    known = VARIANTS.get(variant.name)
    if known is None or variant.name in _learned:
        VARIANTS[variant.name] = variant
        _learned.add(variant.name)
    elif known.numbers != variant.numbers:
        raise VariantError(
            f"{origin}: there is a variant '{variant.name}' already, with other keys, steps or window; give this one a "
            "name of its own."
        )


def is_packaged(variant: Variant) -> bool:
    """Whether any installation of this version knows a variant by its name."""
    return variant.name in PACKAGED and VARIANTS[variant.name] == variant


def variant_of_inputs(keys: int, camera: bool) -> Variant | None:
    """The first variant whose generator has so many keys, with or without a camera; None where there is none. Variants
    learned from single files do not count."""
    variant = _of_inputs(keys, camera)
    if variant is None:
        refresh()
        variant = _of_inputs(keys, camera)
    return variant


def _of_inputs(keys: int, camera: bool) -> Variant | None:
    choices = *lasting_variants().values(), *_relatives()
    return next((one for one in choices if (len(one.keys), one.mouse) == (keys, camera)), None)


def lasting_variants() -> dict[str, Variant]:
    """Variants of the package and of folders, by name. One learned from a single file ends with the process and is not
    offered in a node: inputs are written for the variant it is `like`."""
    return {name: variant for name, variant in VARIANTS.items() if name not in _learned}


@functools.cache
def _relatives() -> tuple[Variant, ...]:
    return tuple(read_like(read_json(path), path.name) for path in sorted(_RELATIVES.glob(f"*{ENDING}")))
