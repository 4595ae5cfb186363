"""How files name a generator's tensors, and how one naming is translated into another.

Ours are the published ones without `model.`. Each row gives a module's name in the three layouts; what follows
the module (`.weight`, `.bias`) stays as it is. Prefixes and wrappers of other programs are below them.
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

WRAPPERS = ("_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod.", "_forward_module.")
"""What training and torch.compile put between a module and its name, anywhere."""

CONTAINERS = (
    "generator_ema", "ema_generator", "generator", "ema", "model_ema", "ema_model", "state_dict_ema", "state_dict",
    "model_state_dict", "model", "module", "net", "network", "transformer", "dit", "params_ema", "params", "weights",
)  # fmt: skip
"""The dicts in which training programs save weights, in order of preference: averaged weights are what they run."""

BESIDE = (
    "generator", "generator_ema", "critic", "fake_score", "real_score", "discriminator", "optimizer", "ema",
    "model_ema", "first_stage_model", "cond_stage_model", "conditioner", "text_encoder", "text_encoders",
    "clip_vision", "vae",
)  # fmt: skip
"""First words of other networks' names, which may lie in the same file and are ignored."""

_ANCHORS = ("patch_embedding.weight", "patch_embedding.proj.weight")  # names that every layout has, outside the blocks


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
    """The layout that a file's names are in; `plain` where nothing indicates another one."""
    names = set(names)
    if any(".fc_in." in name or ".mlp.fc_in" in name for name in names):
        return "fastvideo"
    if any(name.startswith("condition_embedder.") for name in names):
        return "diffusers"
    for layout in ("diffusion_model", "published"):
        if any(name.startswith(PREFIXES[layout] + "blocks.") for name in names):
            return layout
    return "plain"


def generator_names(names: Iterable[str]) -> tuple[dict[str, str], str, str]:
    """Our name -> the file's, of a generator's tensors; the layout; and what else stands in front of each name.

    Names of other networks in the file are left out; unexplained names are kept as they are.
    """
    bare = {without_wrappers(name): name for name in names}
    prefix = _prefix_of(bare)
    inner = {name[len(prefix) :]: theirs for name, theirs in bare.items() if name.startswith(prefix)}
    others = {name: theirs for name, theirs in bare.items() if not name.startswith(prefix)}
    strange = {name: theirs for name, theirs in others.items() if name.partition(".")[0] not in BESIDE}
    layout = layout_of(inner)
    if layout in _COLUMN:
        return _from_either(inner, layout) | strange, layout, prefix
    layout = next((layout for layout, own in PREFIXES.items() if own == prefix), None)
    return inner | strange, layout or "plain", "" if layout else prefix


def _from_either(names: dict[str, str], layout: str) -> dict[str, str]:
    """Our name -> the file's, of names that are mostly in a layout: FastVideo's own checkpoints have Diffusers' names
    with some exceptions. A name whose translation is taken stays as it is."""
    found: dict[str, str] = {}
    for name, theirs in names.items():
        either = (from_layout(name, one) for one in (layout, *_COLUMN))
        ours = next((ours for ours in either if ours != name), name)
        found[name if ours in found else ours] = theirs
    return found


def without_wrappers(name: str) -> str:
    """A name without what training and torch.compile put into it."""
    for wrapper in WRAPPERS:
        name = name.replace(wrapper, "")
    return name


def _prefix_of(names: Iterable[str]) -> str:
    """The prefix of a generator's names; of several generators, that of the one to use."""
    found = {name[: -len(end)] for name in names for end in _ANCHORS if name.endswith(end)}
    found = {prefix for prefix in found if not prefix or prefix.endswith(".")}
    return min(found, key=lambda prefix: (_rank(prefix), len(prefix), prefix), default="")


def _rank(prefix: str) -> int:
    first = prefix.partition(".")[0]
    if first in CONTAINERS:
        return CONTAINERS.index(first)
    return 2 * len(CONTAINERS) if first in BESIDE else len(CONTAINERS)


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
