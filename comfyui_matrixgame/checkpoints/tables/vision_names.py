"""Names of an image tower's tensors in files of transformers and of OpenCLIP."""

from __future__ import annotations

import re


def vision_name(name: str) -> tuple[str, int | None] | None:
    """A file's name of an image tower's tensor -> transformers' name, and the parts of a fused q, k, v.

    The second value is 3 for a fused tensor, whose name has `{}` where q, k or v goes, and otherwise None. None
    alone for tensors that the tower does not use.
    """
    if name.startswith("vision_model."):
        return None if name.endswith("position_ids") else (name.removeprefix("vision_model."), None)
    if not name.startswith("visual."):
        return None
    name = name.removeprefix("visual.")
    for theirs, ours in _OPEN_CLIP.items():
        if name == theirs or name.startswith(theirs + "."):
            return ours + name[len(theirs) :], None
    if name.startswith("transformer."):
        found = _OPEN_CLIP_LAYER.fullmatch(name)
        if found is None:
            return name.replace("{", "").replace("}", ""), None  # not a name of a tower
        number, module, suffix = found.groups()
        prefix = f"encoder.layers.{number}."
        if module == "attn.to_qkv":
            return f"{prefix}self_attn.{{}}_proj.{suffix}", 3
        return f"{prefix}{_OPEN_CLIP_BLOCK.get(module, module)}.{suffix}", None
    return None


_OPEN_CLIP_LAYER = re.compile(r"transformer\.([0-9]{1,9})\.([a-z0-9_.]+)\.([a-z]+)")
_OPEN_CLIP = {
    "cls_embedding": "embeddings.class_embedding",
    "patch_embedding": "embeddings.patch_embedding",
    "pos_embedding": "embeddings.position_embedding.weight",
    "pre_norm": "pre_layrnorm",
    "post_norm": "post_layernorm",
}
_OPEN_CLIP_BLOCK = {
    "attn.proj": "self_attn.out_proj",
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "mlp.0": "mlp.fc1",
    "mlp.2": "mlp.fc2",
}
