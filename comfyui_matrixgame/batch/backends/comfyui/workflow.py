"""Workflows in ComfyUI's API format with named inputs: `{seed}` stands where a job's seed goes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....checkpoints.builtin import NAME as DEMO_WORLD
from ....checkpoints.lora.merging import split_strength
from ....errors import BatchError
from ...jobs.settings import JobFile

Workflow = dict[str, dict[str, Any]]
FIELDS = (
    "generator", "vae", "clip_vision", "decoder", "dtype", "attention", "image", "clip", "clip_script", "script",
    "variant", "seed", "width", "height", "name",
)  # fmt: skip
NEEDED = ("script", "seed")
PICTURE, VIDEO, LATENTS = "frames", "video", "latents"  # what an output node gives
OUTPUTS = {"PreviewImage": PICTURE, "SaveImage": PICTURE, "SaveVideo": VIDEO, "SaveLatent": LATENTS}
_FIELD = re.compile(r"\{(\w+)\}")


def load_workflow(path: str | None) -> Workflow | None:
    """A workflow file in API format; None for the one that comes with the package. Raises BatchError."""
    if path is None:
        return None
    try:
        workflow = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BatchError(f"The workflow {path} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise BatchError(f"The workflow {path} is not JSON: {error}.") from None
    nodes = workflow.values() if isinstance(workflow, dict) else ()
    if not nodes or not all(isinstance(node, dict) and "class_type" in node and "inputs" in node for node in nodes):
        raise BatchError(f"{path} is not in API format; use Export (API) in ComfyUI's workflow menu.")
    named = fields_of(workflow)
    for field in NEEDED:
        if field not in named:
            raise BatchError(f"{path} has no {{{field}}}; write it as the value of the input where it belongs.")
    for field in named - set(FIELDS):
        raise BatchError(f"{path} has {{{field}}}, which no job fills in; use {', '.join(FIELDS)}.")
    if not {"image", "clip"} & named:
        raise BatchError(f"{path} has no {{image}} and no {{clip}}; one of them is what a world begins with.")
    return workflow


def default_workflow(jobs: JobFile, clip: bool, keep: tuple[str, ...]) -> Workflow:
    """The workflow from the start to the files that are kept, with the nodes of this pack."""
    demo = jobs.models.is_demo
    nodes: Workflow = {}

    def add(name: str, kind: str, **inputs: Any) -> None:
        nodes[name] = {"class_type": kind, "inputs": inputs}

    add("generator", "MatrixGameLoadGenerator", file="{generator}", dtype="{dtype}", attention="{attention}")
    model = "generator"
    for name, (_, strength) in _loras(jobs).items():
        add(name, "MatrixGameLoadLora", model=[model, 0], file=f"{{{name}}}", strength=strength, bypass=False)
        model = name
    add("vae", "MatrixGameLoadVAE", file="{vae}", decoder="{decoder}", dtype="{dtype}")
    add("actions", "MatrixGameActionTimeline", variant="{variant}", script="{script}")
    start: dict[str, Any] = {"model": [model, 0], "vae": ["vae", 0], "seed": "{seed}", "width": "{width}"}
    start |= {"height": "{height}"}
    if not demo:
        add("tower", "CLIPVisionLoader", clip_name="{clip_vision}")
        start["clip_vision"] = ["tower", 0]
    if clip:
        add("clip", "LoadVideo", file="{clip}")
        add("clip_actions", "MatrixGameActionTimeline", variant="{variant}", script="{clip_script}")
        start |= {"clip": ["clip", 0], "clip_actions": ["clip_actions", 0]}
    else:
        add("image", "LoadImage", image="{image}")
        start["image"] = ["image", 0]
    add("world", "MatrixGameStartWorld", **start)
    add("rollout", "MatrixGameRollOut", world=["world", 0], actions=["actions", 0], images="when connected")
    if keeps_frames(keep):
        add("frames", "PreviewImage", images=["rollout", 0])
    else:
        save = {"filename_prefix": "{name}", "format": "auto", "format.codec": "auto"}
        add("video", "SaveVideo", video=["rollout", 1], **save)
    if "latents" in keep:
        add("latents", "SaveLatent", samples=["rollout", 3], filename_prefix="{name}")
    return nodes


def for_every_host(workflow: Workflow) -> Workflow:
    """The built-in workflow for ComfyUI 0.33.0 too, whose Save Video has its codec beside the format and not in it.

    A host leaves alone what it has no input for; results keep the names that `default_workflow` gives them.
    """
    video = workflow.get("video")
    if video is None:
        return workflow
    return workflow | {"video": {**video, "inputs": {**video["inputs"], "codec": "auto"}}}


def for_host(workflow: Workflow, info: Mapping[str, Any]) -> Workflow:
    """The built-in workflow as a host needs it. info: its /object_info."""
    needed = info.get("SaveVideo", {}).get("input", {}).get("required", {})
    return for_every_host(workflow) if "codec" in needed else workflow


def keeps_frames(keep: tuple[str, ...]) -> bool:
    """Whether single frames are kept, so that they are fetched instead of the video."""
    return bool({"png", "jpeg"} & set(keep))


def model_values(jobs: JobFile, variant: str) -> dict[str, str]:
    """The names of a job file's models as a host lists them: those of its models folders."""
    models = jobs.models
    if models.is_demo:
        names = {"generator": DEMO_WORLD, "vae": DEMO_WORLD, "clip_vision": ""}
    else:
        generator = models.generators.get(variant) or models.generators.get("") or ""
        names = {"generator": generator, "vae": models.vae or "", "clip_vision": models.clip or ""}
    attention = "auto" if models.attention == "sdpa" else models.attention
    names |= {name: file for name, (file, _) in _loras(jobs).items()}
    return names | {"decoder": models.decoder or "full", "dtype": models.dtype, "attention": attention}


def _loras(jobs: JobFile) -> dict[str, tuple[str, float]]:
    """File and strength of each LoRA, by the name of its node."""
    return {f"lora{i}": split_strength(text) for i, text in enumerate(jobs.models.loras, 1)}


def fields_of(workflow: Workflow) -> set[str]:
    """The named inputs of a workflow."""
    texts = [value for node in workflow.values() for value in node["inputs"].values() if isinstance(value, str)]
    return {field for text in texts for field in _FIELD.findall(text)}


def fill_workflow(workflow: Workflow, values: Mapping[str, Any]) -> Workflow:
    """A workflow with its named inputs filled in: a value that is a field alone keeps its type."""

    def filled(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        alone = _FIELD.fullmatch(value)
        if alone and alone[1] in values:
            return values[alone[1]]
        return _FIELD.sub(lambda match: str(values.get(match[1], match[0])), value)

    return {
        name: {**node, "inputs": {key: filled(value) for key, value in node["inputs"].items()}}
        for name, node in workflow.items()
    }


def problems_with_host(workflow: Workflow, info: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """What a host lacks for a workflow: nodes, inputs of nodes, files. info: its /object_info."""
    problems = []
    for node in workflow.values():
        kind = node["class_type"]
        if kind not in info:
            problems.append(f"it has no node {kind}")
            continue
        required = info[kind]["input"].get("required", {})
        inputs = {**required, **info[kind]["input"].get("optional", {})}
        problems += [f"its {kind} needs '{name}'" for name in required if name not in node["inputs"]]
        for name, value in node["inputs"].items():
            if name.split(".")[0] not in inputs:
                problems.append(f"its {kind} has no input '{name}'")
                continue
            field = _FIELD.fullmatch(value) if isinstance(value, str) else None
            wanted = values.get(field[1]) if field else None
            options = _options(inputs.get(name))
            if options is not None and wanted is not None and wanted not in options:
                problems.append(f"'{wanted}' is not among the files and choices of its {kind}")
    return list(dict.fromkeys(problems))


def pack_state(info: Mapping[str, Any]) -> str:
    """The nodes of this pack as a host describes them, without the files it has: differs with the pack's version."""
    nodes = {}
    for kind, about in sorted(info.items()):
        if kind.startswith("MatrixGame"):
            inputs = {
                group: {name: [spec[0] if isinstance(spec[0], str) else "COMBO"] for name, spec in specs.items()}
                for group, specs in about["input"].items()
                if group in ("required", "optional")
            }
            nodes[kind] = {"input": inputs, "output": about["output"], "description": about.get("description")}
    return json.dumps(nodes, sort_keys=True)


def _options(spec: Any) -> list | None:
    """The choices of an input, in the old way of saying it and in the new one."""
    if not isinstance(spec, list) or not spec:
        return None
    if isinstance(spec[0], list):
        return spec[0]
    return spec[1].get("options") if spec[0] == "COMBO" and len(spec) > 1 else None
