"""Ready-made camera paths, as scripts that can be read and changed."""

from __future__ import annotations

import math

from ...errors import ActionError
from ...variants import CAMERA_DEFAULT, CAMERA_LIMIT, CAMERA_UNIT_DEGREES, FPS, Variant
from ..check_document import MAX_FRAMES

# preset -> variant -> steps; {n} rows of the whole, {half}, {quarter} of it, {turn} rows that turn 90 degrees
PRESETS: dict[str, dict[str, str]] = {
    "orbit_left": {"universal": "a+right {n}", "gta_drive": "w+left {n}"},
    "orbit_right": {"universal": "d+left {n}", "gta_drive": "w+right {n}"},
    "dolly_in": {"universal": "w {n}", "gta_drive": "w {n}"},
    "dolly_out": {"universal": "s {n}", "gta_drive": "s {n}"},
    "truck_left": {"universal": "a {n}"},
    "truck_right": {"universal": "d {n}"},
    "pan_left": {"universal": "left {n}", "gta_drive": "left {n}"},
    "pan_right": {"universal": "right {n}", "gta_drive": "right {n}"},
    "tilt_up": {"universal": "up {n}"},
    "tilt_down": {"universal": "down {n}"},
    "look_around": {
        "universal": "left {quarter}; right {half}; left {quarter}",
        "gta_drive": "left {quarter}; right {half}; left {quarter}",
    },
    "ease_in_out": {
        "universal": "w+yaw(0 -> {speed} smooth) {half}; w+yaw({speed} -> 0 smooth) {half}",
        "gta_drive": "w+yaw(0 -> {speed} smooth) {half}; w+yaw({speed} -> 0 smooth) {half}",
    },
    "walk_loop": {
        "universal": "repeat 4 {{ w {quarter}; w+right {turn} }}",
        "gta_drive": "repeat 4 {{ w {quarter}; w+right {turn} }}",
        "templerun": "repeat 4 {{ run {quarter}; turn_right 3; run 9 }}",
    },
    "every_action": {
        "universal": "w {part}; s {part}; a {part}; d {part}; left {part}; right {part}; up {part}; down {part}",
        "gta_drive": "w {part}; s {part}; w+left {part}; w+right {part}",
        "templerun": "jump 12; run 24; slide 12; run 24; side_left 8; run 16; side_right 8; run 16; turn_left 3; "
        "run 24; turn_right 3; run 24",
    },
}


def presets_of(variant: Variant) -> tuple[str, ...]:
    """The names of the presets that `variant` can do."""
    return tuple(name for name, scripts in PRESETS.items() if variant.name in scripts)


def preset_script(name: str, variant: Variant, seconds: float = 4.0, speed: float = CAMERA_DEFAULT) -> str:
    """The script of a preset of about `seconds`, turning at `speed` units; raises ActionError for an unknown one."""
    names = presets_of(variant)
    if name not in names:
        raise ActionError(f"There is no preset '{name}' for {variant.name}; use one of {', '.join(names)}.")
    if not (math.isfinite(seconds) and 0 < seconds <= MAX_FRAMES / FPS / 4):
        raise ActionError(f"A preset lasts up to {MAX_FRAMES // FPS // 4} seconds, got {seconds}.")
    if not CAMERA_LIMIT / 1000 <= speed <= CAMERA_LIMIT:
        raise ActionError(f"The speed of a preset is {CAMERA_LIMIT / 1000:g} to {CAMERA_LIMIT:g}, got {speed}.")
    rows = max(8, 4 * round(seconds * FPS / 4))
    steps = PRESETS[name][variant.name].format(
        n=rows,
        half=rows // 2,
        quarter=rows // 4,
        part=max(4, rows // 8),
        turn=max(1, round(90 / (speed * CAMERA_UNIT_DEGREES))),
        speed=f"{speed:g}",
    )
    head = f"@variant {variant.name}\n" + (f"@speed {speed:g}\n" if variant.mouse and speed != CAMERA_DEFAULT else "")
    return head + steps.replace("; ", "\n" if "{" not in steps else "; ") + "\n"
