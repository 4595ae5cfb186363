"""What the browser gets of a variant: in `web/model/variants.generated.mjs`, from the pack's route, and when a player
joins a session."""

from __future__ import annotations

from typing import Any

from .variant import Key, Variant


def for_browser(variant: Variant) -> dict[str, Any]:
    """A variant as JSON: what editor, player and script language need. Fields without content are left out."""
    camera = variant.camera
    return {
        "name": variant.name,
        "title": variant.title,
        **({"titles": dict(variant.titles)} if variant.titles else {}),
        "exclusive": variant.exclusive,
        "keys": [_key(key) for key in variant.controls],
        "camera": {
            "axes": list(camera.axes),
            "unit": camera.unit,
            "speed": camera.speed,
            "tested": camera.tested,
            "limit": camera.limit,
        },
        **({"presets": dict(variant.presets)} if variant.presets else {}),
    }


def _key(key: Key) -> dict[str, Any]:
    content = {
        "name": key.name,
        "label": key.label,
        "labels": dict(key.labels),
        "aliases": list(key.aliases),
        "codes": list(key.codes),
        "gamepad": key.gamepad,
        "pad": list(key.pad or ()),
        "colour": key.colour,
        "opposite": key.opposite,
        "means": key.means,
    }
    return {name: value for name, value in content.items() if value or name == "colour"}
