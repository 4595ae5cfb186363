"""Weights files of other models, recognised so that a message can say what was chosen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from ...variants import VARIANTS
from ..containers.gguf_file import ARCHITECTURE
from ..containers.tensors import printable_name

# a pattern of names, what such a file is, and what to do; tried first, because these look like models of ours
_LORA = re.compile(
    r"lora_(A|B|up|down)\b|[._]lora\.(up|down)\.|\.(hada_w[12]|lokr_w[12]|oft_|boft_|diff_b?$)|^(lora|lycoris)_"
)
OTHERS_FIRST = (
    (
        _LORA,
        "a LoRA",
        "Load it with a LoRA loader, on top of a generator.",
    ),
    (
        re.compile(r"(decoder|encoder)\.(up|down)samples\.\d+\.(up|down)samples\.\d+\."),
        "the Wan 2.2 VAE",
        "The generators were trained with Wan 2.1's; use Wan2.1_VAE.pth or wan_2.1_vae.safetensors.",
    ),
    (
        re.compile(r"^(vision_model\.)?(embeddings\.patch_embedding\.bias|head\.probe)$"),
        "a SigLIP image tower",
        "The generators were trained with CLIP's; use clip_vision_h.safetensors.",
    ),
)
_PUBLISHED = [PurePosixPath(variant.published.path).stem for variant in VARIANTS.values() if variant.published]
_GENERATORS = f"Use a Matrix-Game 2.0 file: {', '.join(_PUBLISHED[:-1])} or {_PUBLISHED[-1]}."
_OTHERS = (
    (
        re.compile(r"double_blocks|input_blocks|single_transformer"),
        "an image or video model of another family",
        _GENERATORS,
    ),
    (
        re.compile(r"^(encoder\.down_blocks|decoder\.up_blocks|decoder\.up\.)"),
        "a VAE in another layout or of another model",
        "Use Wan2.1_VAE.pth or wan_2.1_vae.safetensors.",
    ),
    (
        re.compile(r"^(encoder\.block\.|text_model\.|token_embedding)"),
        "a text encoder",
        "Matrix-Game 2.0 has none; an image tower is clip_vision_h.safetensors.",
    ),
)


def is_lora(names: Iterable[str]) -> bool:
    """Whether any tensor is named as a LoRA's are."""
    return any(_LORA.search(name) for name in names)


def guess_other_file(names: set[str], metadata: Mapping[str, str]) -> tuple[str, str, str]:
    """The kind of a file that this program cannot use, what it probably is, and what to use instead."""
    if any("cross_attn" in n or "attn2" in n for n in names) and any("patch_embedding" in n for n in names):
        return "other", "a Wan video model without action modules", _GENERATORS
    for pattern, title, advice in _OTHERS:
        if any(pattern.search(name) for name in names):
            return "other", title, advice
    if ARCHITECTURE in metadata or not names:
        family = printable_name(metadata.get(ARCHITECTURE, ""), 40)
        return "other", f"a file of another model{f' ({family})' if family else ', without tensors'}", _GENERATORS
    return "unknown", "not a file this program knows", _GENERATORS
