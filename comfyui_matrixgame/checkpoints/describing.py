"""Writing a description of weights: from what can be read in their files, with notes on what cannot."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, MatrixGameError
from ..networks.generator import GeneratorConfig
from ..system.files import read_bytes, readable_name, readable_path, written_whole
from ..variants import LATENTS_PER_BLOCK, VARIANTS, Variant, default_variant, read_like, variant_of_inputs
from ..variants.reader import FORMAT, LARGEST, VERSION
from .described import path_beside
from .formats import FileReport, recognise
from .reader import open_weights

CONFIG = "config.json"
SCHEDULER = Path("scheduler", "scheduler_config.json")  # beside the folder of a Diffusers model's weights
_NO_WINDOW = -1


@dataclass
class Draft:
    """A description that was made for a weights file.

    path: where it belongs. read: what was read, and where. left: what the user must check or fill in, a clause each.
    """

    path: Path
    description: dict[str, Any]
    read: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def write(self) -> Path:
        """Write it beside its file; raises MatrixGameError where that cannot be done."""
        try:
            with written_whole(self.path) as part:
                part.write_text(json.dumps(self.description, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise MatrixGameError(
                f"{readable_path(self.path)} could not be written ({error}); check free space and permissions."
            ) from None
        return self.path


def draft_description(path: str | Path, given: Mapping[str, Any]) -> Draft:
    """A description of the generator in a file. given: fields from the user.

    Raises CheckpointError where it is not a whole generator, or one that this program cannot run, and VariantError
    where `given` is invalid, or contradicts the weights.
    """
    with open_weights(path) as file:
        report = recognise(file, described=False)
        if report.kind != "generator" or report.config is None or not report.complete:
            detail = report.problems() or f"it is {report.title}"
            raise CheckpointError(f"{file.name} is not a whole generator, so it cannot be described: {detail}.")
        draft = Draft(path_beside(file.path), {"format": FORMAT, "version": VERSION})
    draft.read.append(_inputs(report.config))
    said = _from_config(report, draft)
    like = variant_of_inputs(report.config.keyboard_dim, report.config.mouse)
    base = given.get("like") or (like.name if like else None)
    about = draft.description
    about |= {"like": base} if base else _unknown_inputs(report.config)
    about |= {"name": _name_of(draft.path), "title": draft.path.name.partition(".")[0], **said, **given}
    if base is None:
        draft.left.append("names, labels and physical keys of its keys, in the order of the weights")
    else:
        draft.left.append(
            f"whether its keys are those of {base} ({', '.join(_like(about, draft).keys)}), in that order"
        )
    variant = _like(about, draft)
    if "steps" not in given:
        about["steps"] = list(variant.steps)
        steps = ", ".join(map(str, variant.steps))
        draft.left.append(f"steps, which no file states: {steps} are those of {base or default_variant().name}")
    for name, value in (("window", variant.window), ("sink", variant.sink)):
        if name not in said and name not in given:
            about[name] = value
            draft.left.append(f"{name}, taken to be {value}")
    return draft


def _like(about: Mapping[str, Any], draft: Draft) -> Variant:
    return read_like(about, f"the description of {draft.path.name.removesuffix('.json')}")


def _inputs(config: GeneratorConfig) -> str:
    layers = len(config.action_layers)
    camera = "a camera" if config.mouse else "no camera"
    return f"from the weights: {config.keyboard_dim} keys, {camera}, inputs in {layers} of {config.layers} layers"


def _unknown_inputs(config: GeneratorConfig) -> dict[str, Any]:
    """The fields of a variant whose keys no known one has."""
    keys = [{"name": f"key{i + 1}", "codes": [f"Numpad{i}"]} for i in range(config.keyboard_dim)]
    return {
        "exclusive": False,
        "keys": keys,
        "camera": {"axes": ["yaw", "pitch"]} if config.mouse else None,
        "window": default_variant().window,
        "steps": list(default_variant().steps),
    }


def _name_of(path: Path) -> str:
    """A name for scripts and documents, made from the file's, that no known variant has."""
    words = re.sub(r"[^a-z0-9]+", "_", path.name.partition(".")[0].lower()).strip("_")[:24]
    name = words if words[:1].isalpha() else f"my_{words}".rstrip("_")
    return f"my_{name}" if name in VARIANTS else name


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_bytes(path, LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _from_config(report: FileReport, draft: Draft) -> dict[str, Any]:
    """The fields of a description that the config files of a Diffusers model state; raises CheckpointError where it
    cannot be run."""
    assert report.config is not None
    file, about = readable_name(report.path), _json(report.path.with_name(CONFIG))
    scheduler = _json(report.path.parent.parent / SCHEDULER)
    actions = about["action_config"] if isinstance(about.get("action_config"), dict) else {}
    block = about.get("num_frames_per_block", about.get("num_frame_per_block", LATENTS_PER_BLOCK))
    if block != LATENTS_PER_BLOCK:
        raise CheckpointError(
            f"{file} cannot be run here: its {CONFIG} says {block} latent frames a block, and blocks here have "
            f"{LATENTS_PER_BLOCK}."
        )
    if about.get("rope_cache_policy", "absolute") != "absolute":
        raise CheckpointError(
            f"{file} cannot be run here: its {CONFIG} asks for positions that count from the window's start "
            "(rope_cache_policy), and here they count from the rollout's."
        )
    for field_name, found in (("keyboard_dim_in", report.config.keyboard_dim), ("enable_mouse", report.config.mouse)):
        if actions.get(field_name, found) != found:
            draft.left.append(
                f"{field_name}: {CONFIG} says {actions[field_name]!r:.40}, and the weights have {found}, which counts"
            )
    said: dict[str, Any] = {}
    for theirs, ours, source in (
        ("local_attn_size", "window", actions | about),
        ("sink_size", "sink", about),
        ("shift", "shift", scheduler),
        ("flow_shift", "shift", scheduler),
    ):
        value = source.get(theirs)
        if type(value) in (int, float) and value != _NO_WINDOW:
            said[ours] = value
            draft.read.append(f"from {SCHEDULER.name if source is scheduler else CONFIG}: {ours} {value:g} ({theirs})")
    return said
