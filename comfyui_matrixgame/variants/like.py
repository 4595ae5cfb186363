"""Variants that are described by what they share with another one, and those that are known from weights alone.

A description with `like` has all that it does not say itself from the variant of that name. `relatives/` holds some
that come with the package, but are no choice anywhere until a file of theirs is there.
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
_NOT_SHARED = (LIKE, "default", "published", "action_layers", "$schema")  # of the one alone
_RELATIVES = Path(__file__).parent / "relatives"
_learned: set[str] = set()  # names of those that are known from weights or worlds


def read_like(value: Any, origin: str) -> Variant:
    """The variant that a parsed description is of, which may have `like`. Raises VariantError."""
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
    """Make the variant known that weights or a world are described as; what was learned under its name before is
    forgotten. Raises VariantError where it is another one than that of the package, or of a folder, with this name."""
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
    """The first variant whose generator takes so many keys, and a camera or none; None: no known one. What was learned
    of single files says nothing of others."""
    variant = _of_inputs(keys, camera)
    if variant is None:
        refresh()
        variant = _of_inputs(keys, camera)
    return variant


def _of_inputs(keys: int, camera: bool) -> Variant | None:
    choices = *lasting_variants().values(), *_relatives()
    return next((one for one in choices if (len(one.keys), one.mouse) == (keys, camera)), None)


def lasting_variants() -> dict[str, Variant]:
    """By name: those of the package and of folders. What was learned of single files goes with the process, and is no
    choice in a node: inputs are written for what it is `like`."""
    return {name: variant for name, variant in VARIANTS.items() if name not in _learned}


@functools.cache
def _relatives() -> tuple[Variant, ...]:
    return tuple(read_like(read_json(path), path.name) for path in sorted(_RELATIVES.glob(f"*{ENDING}")))
