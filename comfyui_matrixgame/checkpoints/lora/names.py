"""How LoRAs name what they change, and what each tensor is for.

A key is a program's prefix, a module in one of the layouts of names.py (with dots, or as kohya's with
underscores), and an ending that says which part of the change the tensor is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..names import to_layout, without_wrappers

UP, DOWN, ALPHA, DIFF, DIFF_BIAS = "lora_up.weight", "lora_down.weight", "alpha", "diff", "diff_b"
"""The parts, by the names that ComfyUI and kohya give them."""

_ENDINGS = (
    (re.compile(r"(?:[._]lora\.up|\.lora_up|\.lora_linear_layer\.up|\.lora_B(?:\.\w+)??)(?:\.weight)?\Z"), UP),
    (re.compile(r"(?:[._]lora\.down|\.lora_down|\.lora_linear_layer\.down|\.lora_A(?:\.\w+)??)(?:\.weight)?\Z"), DOWN),
    (re.compile(r"\.alpha\Z"), ALPHA),
    (re.compile(r"\.(?:diff|w_norm)\Z"), DIFF),
    (re.compile(r"\.(?:diff_b|b_norm)\Z"), DIFF_BIAS),
)
_IN_FRONT = re.compile(
    r"(?:base_model\.model|model\.diffusion_model|diffusion_model|transformer|unet|dit|model|generator|generator_ema"
    r"|student|module|net)\.|(?:lora_unet_?|lora_transformer|lora_dit|lycoris)_"
)
_LAYOUTS = ("plain", "diffusers", "fastvideo")
_OF_WEIGHT = ".weight"


class LoraNames:
    """The modules of a generator by every name that LoRAs have for them."""

    def __init__(self, parameters: Iterable[str]) -> None:
        """parameters: our names of a generator's tensors."""
        parameters = list(parameters)
        modules = [name.removesuffix(_OF_WEIGHT) for name in parameters if not name.endswith(".bias")]
        self._modules: dict[str, str] = {}
        for layout in _LAYOUTS:
            for module in modules:
                theirs = to_layout(module, layout)
                self._modules.setdefault(theirs, module)
                self._modules.setdefault(theirs.replace(".", "_"), module)

    def part(self, key: str) -> tuple[str, str] | None:
        """The module, by our name, that a LoRA's tensor changes, and which part of the change it is; None for a tensor
        that is no such part, or belongs to no module here."""
        name = without_wrappers(key)
        for pattern, part in _ENDINGS:
            if (end := pattern.search(name)) is not None:
                module = self._module(name[: end.start()])
                return None if module is None else (module, part)
        return None

    def _module(self, name: str) -> str | None:
        while name not in self._modules:
            front = _IN_FRONT.match(name)
            if front is None:
                return None
            name = name[front.end() :]
        return self._modules[name]
