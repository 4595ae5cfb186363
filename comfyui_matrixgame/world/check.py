"""What a world's file must say to be one: fields, and shapes that fit each other. No tensor is read for that."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ..actions.track import rows_of_blocks
from ..checkpoints.containers.tensors import TensorInfo, is_weights, printable_name, torch_dtype
from ..media.fitting import SIZE_STEP
from ..networks.generator.action_module import HEAD_DIM as ACTION_HEAD_DIM
from ..networks.generator.kv_cache import Caches, LayerCache
from ..networks.generator.model import HEAD_DIM, PATCH
from ..networks.vae import tiny, wan
from ..networks.vae.base import LATENT_CHANNELS, SPATIAL_STRIDE
from ..system.words import counted
from ..variants import (
    LATENTS_PER_BLOCK,
    NEWEST,
    SAME_VIEW,
    VARIANTS,
    Tried,
    Variant,
    get_variant,
    is_packaged,
    learn_variant,
    read_like,
)
from .block.condition import CONSTANT_FROM
from .block.inputs import TAIL_ROWS
from .block.views import blocks_in_window

Shape = tuple[int, ...]
MOST_BLOCKS = 100_000_000  # one and a half years of frames
MOST_WORLDS = 1024
LARGEST_SIDE = 8192
MOST_LAYERS = 200
LONGEST_TEXT = 500
RECENT = "recent.latents"  # a tensor of worlds that know their last blocks
VIEWS = "views"  # a tensor of worlds that keep the same view in their window
TRIED = "tried"  # a field that only worlds have whose steps, window or sink are the user's
_CACHE = re.compile(r"cache\.([0-9]{1,9})\.(video|mouse|keyboard)\.([kv])")
_CHUNK = 1 << 22  # values that are looked at together


class NoWorld(ValueError):
    """Fields or tensors that are not those of a world. Its text is a clause."""


@dataclass(frozen=True)
class Fields:
    """What a world's file says beside its tensors, read by `checked_fields`. tokens: of a latent frame; 0 before the
    first block."""

    variant: Variant
    block: int
    seeds: tuple[int, ...]
    names: tuple[str, ...]
    models_id: str
    decoder_id: str
    tokens: int
    loras: tuple[str, ...] = ()

    def written(self) -> dict[str, Any]:
        """As they are in the file."""
        written = {field.name: getattr(self, field.name) for field in fields(self)} | {"variant": self.variant.name}
        if not self.loras:
            del written["loras"]
        variant = self.variant
        if not is_packaged(variant.own):
            written["described"] = dict(variant.described)
        if variant.described_as is not None:
            keeps = {} if variant.keeps == NEWEST else {"keeps": variant.keeps}
            tried = {"steps": list(variant.steps), "window": variant.window, "sink": variant.sink}
            written[TRIED] = tried | keeps
        return written


def checked_fields(about: Mapping[str, Any]) -> Fields:
    """The fields of a file. Raises NoWorld, and MatrixGameError for a variant that this program does not have."""
    seeds, names = (_list(about, name) for name in ("seeds", "names"))
    if not all(type(seed) is int for seed in seeds):
        raise NoWorld("a seed is not a whole number")
    if not all(isinstance(name, str) and 0 < len(name) <= LONGEST_TEXT for name in names):
        raise NoWorld("a name is none")
    if not 0 < len(seeds) == len(names) <= MOST_WORLDS:
        raise NoWorld(f"it has {counted(len(seeds), 'seed')} and {counted(len(names), 'name')}")
    return Fields(
        variant=_tried(about).of(_variant(about)),
        block=_whole(about, "block", MOST_BLOCKS),
        seeds=tuple(seeds),
        names=tuple(names),
        models_id=_text(about, "models_id"),
        decoder_id=_text(about, "decoder_id"),
        tokens=_whole(about, "tokens", LARGEST_SIDE**2),
        loras=_loras(about),
    )


def _loras(about: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of LoRAs, which only worlds have that were made with some."""
    names = _list(about, "loras") if "loras" in about else []
    if not all(isinstance(name, str) and 0 < len(name) <= LONGEST_TEXT for name in names):
        raise NoWorld("the name of a LoRA is none")
    return tuple(names)


def _variant(about: Mapping[str, Any]) -> Variant:
    """The variant, which a file describes where other installations need not know it."""
    name = _text(about, "variant")
    if "described" not in about:
        return get_variant(name)
    variant = read_like(about["described"], "what it says of its variant")
    if variant.name != name:
        raise NoWorld("it describes another variant than its own")
    if name not in VARIANTS:
        learn_variant(variant, "what it says of its variant")
    return variant


def _tried(about: Mapping[str, Any]) -> Tried:
    """What was tried in place of the variant's own."""
    if TRIED not in about:
        return Tried()
    parts = {"steps", "window", "sink"}
    said = _field(
        about,
        TRIED,
        lambda value: isinstance(value, dict) and value.keys() | {"keeps"} == parts | {"keeps"},
        "steps, window and sink",
    )
    keeps = _text(said, "keeps") if "keeps" in said else None
    window, sink = (_whole(said, name, MOST_BLOCKS) for name in ("window", "sink"))
    return Tried(tuple(_list(said, "steps")), window, sink, keeps)


def check_tensors(fields: Fields, tensors: Mapping[str, TensorInfo]) -> None:
    """Raise NoWorld where the tensors are not those of a world with these fields."""
    for name, info in tensors.items():
        if not is_weights(info) or torch_dtype(info.dtype) is None:
            raise NoWorld(f"{printable_name(name)} is stored as {info.dtype}")
    shapes = {name: info.shape for name, info in tensors.items()}
    worlds, variant = len(fields.seeds), fields.variant
    height, width = _sides(shapes, "image", 4)[2:]
    if not all(0 < side <= LARGEST_SIDE and side % SIZE_STEP == 0 for side in (height, width)):
        raise NoWorld(f"its picture is {width}x{height}")
    rows, columns = height // SPATIAL_STRIDE, width // SPATIAL_STRIDE
    features, latents = _sides(shapes, "features", 3), _sides(shapes, "condition", 5)[2]
    if not 0 < latents <= CONSTANT_FROM + 1 or not features[1] or not features[2]:
        raise NoWorld("it has no condition, or no features")
    wanted: dict[str, Shape] = {
        "image": (worlds, 3, height, width),
        "features": (worlds, *features[1:]),
        "condition": (worlds, LATENT_CHANNELS, latents, rows, columns),
    }
    tokens = (rows // PATCH) * (columns // PATCH)
    wanted |= _rings(shapes, worlds, variant, tokens)
    if fields.tokens != (tokens if fields.block else 0) or bool(fields.block) != ("cache.0.video.k" in shapes):
        raise NoWorld("its caches do not belong to its picture, or to its block")
    for i in range(worlds if fields.block else 0):
        wanted[f"tail.{i}.keyboard"] = (TAIL_ROWS, len(variant.keys))
        if variant.mouse:
            wanted[f"tail.{i}.mouse"] = (TAIL_ROWS, 2)
    if fields.block and variant.keeps == SAME_VIEW:
        wanted[VIEWS] = views_shape(variant, worlds, rows, columns)
    wanted |= _decoder(shapes, worlds, rows, columns)
    if RECENT in shapes:
        wanted |= _recent(shapes, fields, rows, columns)
    _compare(shapes, wanted)


def _recent(shapes: Mapping[str, Shape], fields: Fields, rows: int, columns: int) -> dict[str, Shape]:
    """The latents of the last blocks, and the inputs that these were the first to read."""
    worlds, latents = len(fields.seeds), _sides(shapes, RECENT, 5)[2]
    blocks, rest = divmod(latents, LATENTS_PER_BLOCK)
    if rest or not 0 < blocks <= fields.block:
        raise NoWorld(f"it knows {counted(latents, 'latent frame')} of its {counted(fields.block, 'block')}")
    wanted: dict[str, Shape] = {RECENT: (worlds, LATENT_CHANNELS, latents, rows, columns)}
    inputs = rows_of_blocks(blocks, fields.block - blocks)
    for i in range(worlds):
        wanted[f"recent.{i}.keyboard"] = (inputs, len(fields.variant.keys))
        if fields.variant.mouse:
            wanted[f"recent.{i}.mouse"] = (inputs, 2)
    return wanted


def views_shape(variant: Variant, worlds: int, rows: int, columns: int) -> Shape:
    """Of `World.views`, where a variant keeps the same view."""
    return worlds, LATENT_CHANNELS, blocks_in_window(variant), rows, columns


def check_decoder(shapes: Mapping[str, Shape], worlds: int, rows: int, columns: int) -> None:
    """Raise NoWorld where a decoder's state is not that of a decoder for latents of this size."""
    state = {name: shape for name, shape in shapes.items() if name.startswith("decoder.")}
    _compare(state, _decoder(shapes, worlds, rows, columns))


def check_values(tensors: Mapping[str, Tensor]) -> None:
    """Raise NoWorld where values are not numbers."""
    for name, tensor in tensors.items():
        for part in tensor.reshape(-1).split(_CHUNK):
            if part.numel() and not torch.isfinite(torch.stack(torch.aminmax(part))).all():
                raise NoWorld(f"{name} holds values that are not numbers")


def fits_caches(caches: Caches, wanted: Caches) -> bool:
    """Whether caches have the layers and the shapes of those that a generator makes."""

    def shapes(layer: LayerCache) -> dict[str, tuple[torch.Size, torch.Size]]:
        return {name: (ring.k.shape, ring.v.shape) for name, ring in layer.rings().items()}

    return len(caches) == len(wanted) and all(shapes(a) == shapes(b) for a, b in zip(caches, wanted, strict=True))


def _compare(shapes: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> None:
    for name in sorted(wanted.keys() | shapes.keys()):
        if shapes.get(name) != wanted.get(name):
            found, right = ("none" if it is None else list(it) for it in (shapes.get(name), wanted.get(name)))
            raise NoWorld(f"{printable_name(name)} is {found}, and should be {right}")


def _rings(shapes: Mapping[str, Shape], worlds: int, variant: Variant, tokens: int) -> dict[str, Shape]:
    found = [match for name in shapes if (match := _CACHE.fullmatch(name))]
    layers = 1 + max((int(match[1]) for match in found), default=-1)
    if layers > min(MOST_LAYERS, len(found)):
        raise NoWorld(f"it names layer {layers - 1} and has {len(found)} parts of caches")
    heads = _sides(shapes, "cache.0.video.k", 4)[2] if layers else 0
    first = next((name for name in shapes if name.endswith(".keyboard.k") and _CACHE.fullmatch(name)), None)
    action_heads = _sides(shapes, first, 4)[2] if first else 0
    if layers and not (heads and (action_heads or not first)):
        raise NoWorld("its caches are empty")
    wanted: dict[str, Shape] = {}
    for layer in range(layers):
        rings = {"video": (worlds, variant.window * tokens, heads, HEAD_DIM)}
        if any(f"cache.{layer}.{name}.{part}" in shapes for name in ("mouse", "keyboard") for part in "kv"):
            rings["keyboard"] = (worlds, variant.window, action_heads, ACTION_HEAD_DIM)
            if variant.mouse:
                rings["mouse"] = (worlds * tokens, variant.window, action_heads, ACTION_HEAD_DIM)
        wanted |= {f"cache.{layer}.{name}.{part}": shape for name, shape in rings.items() for part in "kv"}
    return wanted


def _decoder(shapes: Mapping[str, Shape], worlds: int, rows: int, columns: int) -> dict[str, Shape]:
    """What the decoder's state should be, of the decoder that the first of it looks like; it may be cut into tiles."""
    count = sum(name.startswith("decoder.") for name in shapes)
    if not count:
        return {}
    first = _sides(shapes, "decoder.0", 5)
    width = first[4]
    if not 0 < width <= columns:
        raise NoWorld("its decoder's state does not belong to its picture")
    if first[1] == 1:
        one = tiny.state_shapes(worlds, rows, width)
    else:
        base, rest = divmod(_sides(shapes, "decoder.1", 5)[1], wan.STAGES[-1])
        if rest or not base:
            raise NoWorld("its decoder's state is that of no decoder")
        one = wan.state_shapes(base, worlds, rows, width)
    tiles, rest = divmod(count, len(one))
    if rest or (tiles == 1) != (width == columns):
        raise NoWorld(f"its decoder's state has {count} parts")
    return {f"decoder.{i}": one[i % len(one)] for i in range(count)}


def _sides(shapes: Mapping[str, Shape], name: str, count: int) -> Shape:
    shape = shapes.get(name)
    if shape is None or len(shape) != count:
        raise NoWorld(f"{name} is {'missing' if shape is None else list(shape)}")
    return shape


def _list(about: Mapping[str, Any], name: str) -> list[Any]:
    return _field(about, name, lambda value: isinstance(value, list), "a list")


def _text(about: Mapping[str, Any], name: str) -> str:
    return _field(about, name, lambda value: isinstance(value, str) and len(value) <= LONGEST_TEXT, "a text")


def _whole(about: Mapping[str, Any], name: str, most: int) -> int:
    return _field(about, name, lambda value: type(value) is int and 0 <= value <= most, "a number that can be")


def _field(about: Mapping[str, Any], name: str, test: Callable[[Any], bool], what: str) -> Any:
    if name not in about:
        raise NoWorld(f"it does not say its {name}")
    if not test(about[name]):
        raise NoWorld(f"its {name} is not {what}")
    return about[name]
