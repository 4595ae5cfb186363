"""A LoRA's file: every tensor accounted for, and merged into a generator's weights as they are read.

The sums are those of ComfyUI's loader (comfy/lora.py and comfy/weight_adapter/lora.py), in float32: weight +
strength * alpha / rank * up @ down. `tests/host/nodes/test_lora.py` holds them to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from ...errors import CheckpointError, VariantError
from ...system.words import counted
from ..containers.tensors import WeightsFile, printable_name
from ..reader import open_weights
from ..sizes import Shape
from ..tables.other_files import is_lora
from .described import Steps, steps_of_file
from .names import ALPHA, DIFF, DIFF_BIAS, DOWN, UP, LoraNames


@dataclass(frozen=True)
class Lora:
    """A LoRA at a strength, of which no tensor is read yet.

    steps: those it was distilled to; None where unknown. parts: module -> part of its change -> the tensor's name.
    """

    file: WeightsFile = field(repr=False)
    strength: float
    steps: Steps | None
    parts: Mapping[str, Mapping[str, str]] = field(repr=False)

    @property
    def name(self) -> str:
        """Its file, with the strength where that is not 1."""
        return self.file.name if self.strength == 1 else f"{self.file.name}:{self.strength:g}"

    @cached_property
    def id(self) -> str:
        """A hash of its strength and all its tensors, which it reads."""
        digest = hashlib.sha256(f"{self.strength!r}".encode())
        for name in sorted(self.file.tensors):
            tensor = self.file.tensor(name).contiguous()
            digest.update(f"/{name}{list(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()[:16]

    def merged(self, name: str, weight: Tensor) -> Tensor:
        """A parameter of ours with its change, in float32; itself where nothing changes it. Raises CheckpointError for
        values that are not numbers."""
        if name.endswith(".bias"):
            found, bias = self.parts.get(name.removesuffix(".bias"), {}), True
        else:
            found, bias = self.parts.get(name.removesuffix(".weight"), {}), False
        part = DIFF_BIAS if bias else DIFF
        change = self._read(found[part]) if part in found else None
        if not bias and UP in found:
            up, down = self._read(found[UP]).flatten(1), self._read(found[DOWN]).flatten(1)
            alpha = self._read(found[ALPHA]).item() / len(down) if ALPHA in found else 1.0
            return weight.float() + (self.strength * alpha) * (up @ down).reshape(weight.shape)
        return weight if change is None else weight.float() + self.strength * change.reshape(weight.shape)

    def tensors(self) -> dict[str, Tensor]:
        """All its tensors by the names that ComfyUI's loader reads, prefixed with `diffusion_model.`."""
        return {
            f"diffusion_model.{module}.{part}": self.file.tensor(theirs)
            for module, found in self.parts.items()
            for part, theirs in found.items()
        }

    def _read(self, name: str) -> Tensor:
        tensor = self.file.tensor(name).float()
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{self.file.name}: {printable_name(name)} holds values that are not numbers.")
        return tensor


def open_lora(path: str | Path, strength: float, shapes: Mapping[str, Shape]) -> Lora:
    """The LoRA in a file, for a generator whose tensors have these shapes by our names. Raises CheckpointError where it
    is not a LoRA, or is for another model, and VariantError for an invalid description."""
    with open_weights(path) as file:
        if not is_lora(file.tensors):
            raise CheckpointError(f"{file.name} is not a LoRA: none of its tensors is named as a part of one.")
        names, strange = LoraNames(shapes), []
        parts: dict[str, dict[str, str]] = {}
        for key in file.tensors:
            found = names.part(key)
            if found is None:
                strange.append(key)
            elif found[1] in parts.setdefault(found[0], {}):
                raise CheckpointError(
                    f"{file.name} changes {found[0]} twice, once by {printable_name(key)}; mend the file."
                )
            else:
                parts[found[0]][found[1]] = key
        if strange:
            first = ", ".join(map(printable_name, sorted(strange)[:2]))
            raise CheckpointError(
                f"{file.name} has {counted(len(strange), 'tensor')} of {len(file.tensors)} that change nothing of this "
                f"generator, or in an unsupported way ({first}): it is for another model, or not a plain LoRA. Use one "
                "that was trained for this generator."
            )
        for module, found in parts.items():
            _check(file, module, found, shapes)
        return Lora(file, strength, steps_of_file(file), parts)


def common_steps(loras: Iterable[tuple[str, Steps | None]]) -> Steps | None:
    """The steps that LoRAs, each with its name, were distilled to; None where unknown. Raises VariantError where two
    differ."""
    said = [(name, steps) for name, steps in loras if steps is not None]
    for name, steps in said[1:]:
        if steps != said[0][1]:
            first, second = (",".join(map(str, one)) for one in (said[0][1], steps))
            raise VariantError(
                f"{said[0][0]} was distilled to the steps {first} and {name} to {second}; use one of them, or set the "
                "steps yourself."
            )
    return said[0][1] if said else None


def split_strength(text: str) -> tuple[str, float]:
    """Path and strength of FILE or FILE:STRENGTH. Raises CheckpointError for a strength out of range."""
    path, colon, strength = text.rpartition(":")
    if not colon or Path(text).exists():
        return text, 1.0
    try:
        number = float(strength)
    except ValueError:
        return text, 1.0  # a drive, or a name with a colon
    if not -100 <= number <= 100:
        raise CheckpointError(f"The strength of a LoRA is from -100 to 100, got {strength}.")
    return path, number


def _check(file: WeightsFile, module: str, found: Mapping[str, str], shapes: Mapping[str, Shape]) -> None:
    """Raise CheckpointError where the parts of a change do not belong together, or not to this module."""
    wanted = {UP: DOWN, DOWN: UP, ALPHA: UP}
    for part in found:
        if part in wanted and wanted[part] not in found:
            raise CheckpointError(
                f"{file.name} has {printable_name(found[part])} without its {wanted[part]}; it is incomplete, "
                "so get it again."
            )
    if UP in found and DIFF in found:
        raise CheckpointError(f"{file.name} changes {module} twice, by {UP} and by {DIFF}; use one that does so once.")
    weight, bias = shapes.get(f"{module}.weight", shapes.get(module)), shapes.get(f"{module}.bias")
    size = {part: file.tensors[name].shape for part, name in found.items()}
    changes: list[tuple[str, Shape, Shape | None]] = []
    if UP in found:
        up, down = size[UP], size[DOWN]
        change: Shape = ()
        if len(up) > 1 and len(down) > 1 and prod(up[1:]) == down[0] and prod(size.get(ALPHA, ())) == 1:
            change = (up[0], prod(down[1:]))
        changes.append((found[UP], change, (weight[0], prod(weight[1:])) if weight else None))
    if DIFF in found:
        changes.append((found[DIFF], size[DIFF], weight))
    if DIFF_BIAS in found:
        changes.append((found[DIFF_BIAS], size[DIFF_BIAS], bias))
    for name, change, own in changes:
        if own is None or change != own:
            raise CheckpointError(
                f"{file.name}: {printable_name(name)} changes {list(change)}, and the generator has {list(own or ())}; "
                "it is for a model of another size."
            )


def merging(loras: Sequence[Lora], name: str, weight: Tensor) -> Tensor:
    """A parameter with the changes of all LoRAs, one after the other."""
    for lora in loras:
        weight = lora.merged(name, weight)
    return weight
