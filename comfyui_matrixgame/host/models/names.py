"""What names a generator that core has patched: weights are named by what they are in their file, and this on top."""

# pyright: reportMissingImports=false

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any
from weakref import WeakKeyDictionary

import comfy.model_patcher
import torch
from torch import Tensor

log = logging.getLogger(__name__)
_INJECTED: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def generator_id(model: comfy.model_patcher.ModelPatcher) -> str:
    """The id of a generator's weights with what patches them."""
    name = model.model.generator_id
    if patches := _applied_patches(model):
        name += f"+{_patches_id(patches)}"
    if model.injections:
        name += f"+{_injections_id(model.injections)}"
    return name


def _applied_patches(model: comfy.model_patcher.ModelPatcher) -> dict[str, list[Any]]:
    """The patches that core applies. It leaves out those of parameters that stand beside other modules (modulations)
    and, with dynamic VRAM, those of layers that are not its own (RMSNorm)."""
    applied, left_out = {}, []
    for name, patches in model.patches.items():
        owner = model.model.get_submodule(name.rpartition(".")[0])
        leaf = not any(list(child.parameters()) for child in owner.children())
        if leaf and (hasattr(owner, "comfy_cast_weights") or not model.is_dynamic()):
            applied[name] = patches
        else:
            left_out.append(name)
    if left_out:
        log.warning("Matrix-Game: ComfyUI does not apply these parts of a LoRA: %s.", ", ".join(sorted(left_out)))
    return applied


def _patches_id(patches: dict[str, list[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(patches):
        for strength, adapter, *rest in patches[name]:
            digest.update(f"{name}/{strength}".encode())
            for leaf in _leaves_of([getattr(adapter, "weights", adapter), *rest]):
                if isinstance(leaf, Tensor):
                    digest.update(_summary(leaf))
                elif not callable(leaf):  # a LoRA's alpha, or the part of a weight that is patched
                    digest.update(f"/{leaf}".encode())
    return digest.hexdigest()[:8]


def _summary(tensor: Tensor) -> bytes:
    """A tensor's shape, some of its values from all over it, and the sum of all its bytes, which no order changes."""
    flat = tensor.detach().flatten()
    total = int(flat.view(torch.uint8).sum(dtype=torch.int64))
    some = flat[:: flat.numel() // 256 + 1].float().cpu().numpy().tobytes()
    return f"{list(tensor.shape)}/{total}".encode() + some


def _injections_id(injections: dict[str, list[Any]]) -> str:
    """Stands for what is put into layers, such as a bypassed LoRA. Nothing can be known of it but which it is, so it
    has another name in each process."""
    parts = [_INJECTED.setdefault(one, uuid.uuid4().hex) for name in sorted(injections) for one in injections[name]]
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:8]


def tensors_of(value: Any) -> Iterator[Tensor]:
    """All tensors inside dataclasses, lists, tuples and dicts."""
    return (leaf for leaf in _leaves_of(value) if isinstance(leaf, Tensor))


def _leaves_of(value: Any) -> Iterator[Any]:
    if is_dataclass(value) and not isinstance(value, type):
        for entry in fields(value):
            yield from _leaves_of(getattr(value, entry.name))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _leaves_of(part)
    elif isinstance(value, dict):
        yield from _leaves_of(list(value.values()))
    else:
        yield value
