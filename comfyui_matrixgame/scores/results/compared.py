"""Sets of films side by side: a column for each, a row for each measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...system.words import counted
from .. import protocol
from ..measures.signs import wilson
from ..motion.camera import AXES
from ..weighted import registry
from .shown import NO_WEIGHTS, SHOWN, Values, errors_and_notes, summary, unit_of, weight_lines


def by_set(films: Sequence[Values]) -> dict[str, list[Values]]:
    """The films of each set, in the order in which the sets were named."""
    found: dict[str, list[Values]] = {}
    for film in films:
        found.setdefault(film["set"], []).append(film)
    return found


def compare_sets(films: Sequence[Values]) -> Values:
    """For a report: the summary of each set, why a set lacks a measure, and what the sets have in common."""
    sets = by_set(films)
    summaries = {name: summary(part) for name, part in sets.items()}
    without = {
        name: {measure: why for measure in (*SHOWN, *registry.NAMES) if (why := _why(part, summaries[name], measure))}
        for name, part in sets.items()
    }
    return {"sets": summaries, "without": without, "notes": _notes(sets)}


def text_of(films: Sequence[Values], files: Mapping[str, Any] = NO_WEIGHTS) -> str:
    """For a terminal. files: measure -> the weights that it was computed with."""
    found = compare_sets(films)
    sets = found["sets"]
    wide = max(26, *(len(name) + 2 for name in sets))
    lines = [f"{protocol.NAME}, version {protocol.VERSION}; {registry.NAME}, version {registry.VERSION}"]

    def row(name: str, cells: Sequence[str]) -> None:
        lines.append((f"  {name:<26} " + "".join(f"{cell:<{wide}}" for cell in cells)).rstrip())

    row("", list(sets))
    row("films scored", [f"{each['scored']} of {each['films']}" for each in sets.values()])
    for name in (*SHOWN, *registry.NAMES):
        row(name, [_cell(name, each) for each in sets.values()])
    missing: dict[str, list[str]] = {}
    for name, whys in found["without"].items():
        for measure, why in whys.items():
            missing.setdefault(f"{measure} not computed: {why}", []).append(name)
    every = len(sets)
    lines += [f"  {text}" + ("" if len(of) == every else f" ({', '.join(of)})") for text, of in missing.items()]
    lines += weight_lines(files)
    lines += [f"  {note}" for note in found["notes"]]
    computed = [name for name in registry.NAMES if any(name in each for each in sets.values())]
    return "\n".join([*lines, *errors_and_notes(films, computed)])


def _cell(name: str, part: Values) -> str:
    if name in AXES:
        signs = part[name]
        if signs["percent"] is None:
            return "not computed"
        low, high = wilson(signs["right"], signs["right"] + signs["wrong"])
        return f"{signs['percent']:g}% ({low:g}-{high:g}), n {signs['right'] + signs['wrong']}"
    return f"{part[name]['mean']:g}{unit_of(name)}" if name in part else "not computed"


def _why(films: Sequence[Values], part: Values, name: str) -> str:
    """Why a set has no figure of a measure; "" where it has."""
    if (part[name]["percent"] is not None) if name in AXES else name in part:
        return ""
    said = sorted({film["without"][name] for film in films if name in film.get("without", {})})
    return "; ".join(said) or "no film was scored"


def _notes(sets: Mapping[str, Sequence[Values]]) -> list[str]:
    """What to bear in mind where the sets are of other films, rates or sizes."""
    names = [{film["name"] for film in part} for part in sets.values()]
    shared, found = set.intersection(*names), []
    if any(each != shared for each in names):
        found.append(
            f"The sets are of different films: {counted(len(shared), 'name')} in all of them. Each figure is of all "
            "films of its set."
        )
    for what, of in (("frame rates", lambda film: round(film["rate"], 1)), ("sizes", lambda film: tuple(film["size"]))):
        seen = {name: {of(film) for film in part if not film["error"]} for name, part in sets.items()}
        if len(set().union(*seen.values())) > 1:
            found.append(f"The films have different {what}, which changes what is seen of their motion.")
    return found
