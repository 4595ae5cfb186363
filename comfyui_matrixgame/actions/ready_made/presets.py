"""Ready-made camera paths, as scripts that can be read and changed."""

from __future__ import annotations

import math

from ...errors import ActionError
from ...variants import FPS, VARIANTS, Variant
from ..check_document import MAX_FRAMES


def preset_names() -> tuple[str, ...]:
    """The presets of all variants that are known."""
    return tuple(dict.fromkeys(name for variant in VARIANTS.values() for name in variant.presets))


def presets_of(variant: Variant) -> tuple[str, ...]:
    """The names of the presets that `variant` can do."""
    return tuple(variant.presets)


def preset_script(name: str, variant: Variant, seconds: float = 4.0, speed: float | None = None) -> str:
    """The script of a preset of about `seconds`, turning at `speed` units (None: the usual).

    Raises ActionError for an unknown one.
    """
    names, camera = presets_of(variant), variant.camera
    speed = camera.speed if speed is None else speed
    if name not in names:
        raise ActionError(
            f"There is no preset '{name}' for {variant.name}; use one of {', '.join(names) or 'a script'}."
        )
    if not (math.isfinite(seconds) and 0 < seconds <= MAX_FRAMES / FPS / 4):
        raise ActionError(f"A preset lasts up to {MAX_FRAMES // FPS // 4} seconds, got {seconds}.")
    if not camera.limit / 1000 <= speed <= camera.limit:
        raise ActionError(f"The speed of a preset is {camera.limit / 1000:g} to {camera.limit:g}, got {speed}.")
    rows = max(8, 4 * round(seconds * FPS / 4))
    steps = variant.presets[name].format(
        n=rows,
        half=rows // 2,
        quarter=rows // 4,
        part=max(4, rows // 8),
        turn=max(1, round(90 / (speed * camera.unit))),
        speed=f"{speed:g}",
    )
    head = f"@variant {variant.name}\n" + (f"@speed {speed:g}\n" if variant.mouse and speed != camera.speed else "")
    return head + steps.replace("; ", "\n" if "{" not in steps else "; ") + "\n"
