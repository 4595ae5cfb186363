"""The doctor's report in ComfyUI: what core adds to it, its files, its plan, and the last error of a node of ours."""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comfy.model_management as memory
import comfy.model_patcher
import folder_paths
import torch
from comfy.cli_args import args
from comfyui_version import __version__ as comfyui_version
from server import PromptServer

from ..checkpoints.load import compute_dtype, generator_bytes
from ..measure.doctor.files import ENDINGS, OURS
from ..measure.doctor.report import report
from ..measure.doctor.versions import version
from ..media.fitting import HEIGHT, WIDTH
from ..networks.generator import GeneratorConfig
from ..system.resources import gigabytes
from .models.residency import bytes_to_stay

_TOLD = (
    "lowvram", "novram", "highvram", "cpu", "reserve_vram", "disable_dynamic_vram", "force_fp32", "force_fp16",
    "use_sage_attention", "use_flash_attention", "use_split_cross_attention", "use_quad_cross_attention",
    "use_pytorch_cross_attention", "disable_xformers", "fast", "deterministic", "preview_method", "cache_none",
    "cache_lru", "async_offload", "disable_pinned_memory",
)  # fmt: skip
"""Options of core that change what our nodes do; none of them holds a path or a name."""


def doctor_report() -> str:
    """The report as text, without personal paths."""
    return report(
        {folder: _files(folder) for folder in OURS},
        last_error=last_node_error,
        device=str(memory.get_torch_device()),
        more=[("ComfyUI", about_comfyui)],
        plan=about_plan,
    )


def _files(folder: str) -> list[Path]:
    names = (name for name in folder_paths.get_filename_list(folder) if name.lower().endswith(ENDINGS))
    return [Path(path) for name in names if (path := folder_paths.get_full_path(folder, name))]


def about_comfyui() -> Iterator[tuple[str, str]]:
    """Core's version and the packages that come with it, and the options it was started with."""
    yield "comfyui", comfyui_version
    for package in ("comfyui-frontend-package", "comfy-aimdo", "comfy-kitchen", "comfyui-manager"):
        if found := version(package):
            yield package.removeprefix("comfyui-").removesuffix("-package"), found
    yield "options", ", ".join(_options()) or "none that matter"


def _options() -> Iterator[str]:
    if getattr(args, "front_end_root", None):
        yield "another frontend than the installed one"
    for name in _TOLD:
        value = getattr(args, name, None)
        if value not in (None, False, [], set(), 0):
            yield name if value is True else f"{name} {_plain(value)}"


def _plain(value: Any) -> str:
    if isinstance(value, (set, frozenset, list, tuple)):
        return " ".join(sorted(map(_plain, value)))
    return str(getattr(value, "value", value))


def about_plan() -> Iterator[tuple[str, str]]:
    """Where core would keep a published generator in bfloat16 while frames of 640x352 are made."""
    device, config = memory.get_torch_device(), GeneratorConfig()
    dtype = compute_dtype(torch.bfloat16, device)
    needed = bytes_to_stay(config, HEIGHT, WIDTH, dtype, generator_bytes(config, torch.bfloat16)[0])
    total = memory.get_total_memory(device)
    yield "vram state", memory.vram_state.name
    dynamic = comfy.model_patcher.CoreModelPatcher is not comfy.model_patcher.ModelPatcher
    yield "dynamic vram", "on" if dynamic else "off"
    yield "core says", f"{gigabytes(memory.get_free_memory(device))} of {gigabytes(total)} free"
    fits = "weights stay on the device" if total >= needed else "ComfyUI brings weights layer by layer"
    yield "plan", f"{fits}: a rollout of the published size takes {gigabytes(needed)} of {gigabytes(total)}"


def last_node_error() -> str:
    """The last error that a node of ours ended a run with, as the history has it; empty where there is none."""
    history = PromptServer.instance.prompt_queue.get_history(max_items=50)
    for entry in reversed(list(history.values())):
        messages = (entry.get("status") or {}).get("messages") or ()
        for kind, told in messages:
            if kind == "execution_error" and str(told.get("node_type", "")).startswith("MatrixGame"):
                return _as_text(told)
    return ""


def _as_text(told: dict[str, Any]) -> str:
    said = f"{told['node_type']}: {told.get('exception_type', '')}: {str(told.get('exception_message', '')).strip()}"
    if "comfyui_matrixgame.errors" in str(told.get("exception_type", "")):  # a sentence, which says it all
        return said
    return "\n".join([said, "".join(map(str, told.get("traceback") or ())).rstrip()])
