"""The generator's tensor names in the layouts that are about, and the way between them.

Ours are the published ones without `model.`. Each row gives a module's name in the three layouts; what follows
the module (`.weight`, `.bias`) is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

LAYOUTS = ("published", "plain", "diffusion_model", "diffusers", "fastvideo")
PREFIXES = {"published": "model.", "plain": "", "diffusion_model": "diffusion_model."}

_OUTER = (
    # ours, diffusers, fastvideo
    ("patch_embedding", "patch_embedding", "patch_embedding.proj"),
    ("time_embedding.0", "condition_embedder.time_embedder.linear_1", "condition_embedder.time_embedder.mlp.fc_in"),
    ("time_embedding.2", "condition_embedder.time_embedder.linear_2", "condition_embedder.time_embedder.mlp.fc_out"),
    ("time_projection.1", "condition_embedder.time_proj", "condition_embedder.time_modulation.linear"),
    ("img_emb.proj.0", "condition_embedder.image_embedder.norm1", "condition_embedder.image_embedder.norm1"),
    ("img_emb.proj.1", "condition_embedder.image_embedder.ff.net.0.proj", "condition_embedder.image_embedder.ff.fc_in"),
    ("img_emb.proj.3", "condition_embedder.image_embedder.ff.net.2", "condition_embedder.image_embedder.ff.fc_out"),
    ("img_emb.proj.4", "condition_embedder.image_embedder.norm2", "condition_embedder.image_embedder.norm2"),
    ("head.head", "proj_out", "proj_out"),
    ("head.modulation", "scale_shift_table", "scale_shift_table"),
)
_BLOCK = (
    *((f"self_attn.{p}", f"attn1.to_{p}", f"to_{p}") for p in "qkv"),
    ("self_attn.o", "attn1.to_out.0", "to_out"),
    *((f"self_attn.norm_{p}", f"attn1.norm_{p}", f"norm_{p}") for p in "qk"),
    *((f"cross_attn.{p}", f"attn2.to_{p}", f"attn2.to_{p}") for p in "qkv"),
    ("cross_attn.o", "attn2.to_out.0", "attn2.to_out"),
    *((f"cross_attn.norm_{p}", f"attn2.norm_{p}", f"attn2.norm_{p}") for p in "qk"),
    ("ffn.0", "ffn.net.0.proj", "ffn.fc_in"),
    ("ffn.2", "ffn.net.2", "ffn.fc_out"),
    ("norm3", "norm2", "self_attn_residual_norm.norm"),
    ("modulation", "scale_shift_table", "scale_shift_table"),
)
_COLUMN = {"diffusers": 1, "fastvideo": 2}
_IN_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")


def to_layout(name: str, layout: str) -> str:
    """One of our names in another layout."""
    if layout in PREFIXES:
        return PREFIXES[layout] + name
    return _translate(name, 0, _COLUMN[layout])


def from_layout(name: str, layout: str) -> str:
    """A name in another layout as ours."""
    if layout in PREFIXES:
        return name.removeprefix(PREFIXES[layout])
    return _translate(name, _COLUMN[layout], 0)


def layout_of(names: Iterable[str]) -> str:
    """The layout that a file's names are in; `plain` where nothing speaks for another one."""
    names = set(names)
    if any(".fc_in." in name or ".mlp.fc_in" in name for name in names):
        return "fastvideo"
    if any(name.startswith("condition_embedder.") for name in names):
        return "diffusers"
    for layout in ("diffusion_model", "published"):
        if any(name.startswith(PREFIXES[layout] + "blocks.") for name in names):
            return layout
    return "plain"


def _translate(name: str, source: int, target: int) -> str:
    inside = _IN_BLOCK.fullmatch(name)
    if inside is None:
        return _swap(name, _OUTER, source, target)
    number, rest = inside.groups()
    return f"blocks.{number}." + (rest if rest.startswith("action_model.") else _swap(rest, _BLOCK, source, target))


def _swap(name: str, rows: Iterable[tuple[str, ...]], source: int, target: int) -> str:
    for row in rows:
        if name == row[source] or name.startswith(row[source] + "."):
            return row[target] + name[len(row[source]) :]
    return name
