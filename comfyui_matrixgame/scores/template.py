"""A job file for bulk rendering whose films go a way and come back: what scenario consistency is measured on."""

from __future__ import annotations

from ..errors import VariantError
from ..variants import Variant, first_input_of_block, get_variant

MARK = "# Films that go a way and come back"
BLOCKS = 5  # 57 frames of 56 rows: 28 there, 28 back


def scenario_jobs(name: str) -> str:
    """The text of a job file for a variant. Raises VariantError where none of its inputs undo each other."""
    variant = get_variant(name)
    ways = _ways(variant)
    if not ways:
        raise VariantError(f"{variant.name} has no inputs that undo each other, so no film of it comes back.")
    half = first_input_of_block(BLOCKS) // 2
    scripts = [f'  - {{name: {there}_{back}, text: "{there} {half}; {back} {half}"}}' for there, back in ways]
    return "\n".join(
        (
            f"{MARK}: `matrixgame batch run` this, then `matrixgame score` its output.",
            "# The published benchmark's own lists are not public; these are each input and its opposite.",
            f"variants: [{variant.name}]",
            "# images: [photos/*.jpg]    # and models: without both, the demo world",
            "scripts:",
            *scripts,
            "seeds: 0",
            "keep: [mp4]",
            "output: scenario",
            "",
        )
    )


def _ways(variant: Variant) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = [(one, other) for one, other in variant.opposites]
    if variant.mouse:
        pairs.append(("left", "right"))
        if variant.pitch:
            pairs.append(("up", "down"))
    return [way for one, other in pairs for way in ((one, other), (other, one))]
