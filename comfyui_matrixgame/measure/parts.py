"""Where the time of a pass and of a block goes, and how far each part is from what the machine can do."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ..actions.track import ActionTrack
from ..networks.generator import Generator
from ..networks.generator.schedule import clean_latents, renoise
from ..networks.vae import TinyDecoder, VideoDecoder, WanVAE
from ..networks.vae.base import LATENT_CHANNELS, pixels_to_frames
from ..variants import FRAMES_PER_BLOCK, LATENTS_PER_BLOCK
from ..world import Models, World
from ..world.block.inputs import block_windows
from ..world.block.noise import named_noise
from .clock import clock_name, fastest_run, synchronise

# part of a pass -> the modules at which it begins and ends, in a layer where they begin with a dot
PASS_PARTS = {
    "patch embedding": ("patch_embedding", "patch_embedding"),
    "self-attention": (".self_attn", ".self_attn"),
    "cross-attention": (".cross_attn", ".cross_attn"),
    "action module": (".action_model", ".action_model"),
    "feed-forward": (".ffn.0", ".ffn.2"),
    "head": ("head", "head"),
}
KINDS = {
    "linear": ("mm", "addmm"),
    "attention": ("bmm", "baddbmm", "scaled_dot_product", "flash_attention", "efficient_attention"),
    "convolution": ("convolution", "mkldnn"),
}


@dataclass(frozen=True)
class Part:
    """Milliseconds that a part takes in a block, its operations by kind, and the share of the machine's limit."""

    name: str
    ms: float
    flops: dict[str, int] = dataclasses.field(default_factory=dict)

    def as_json(self, limits: dict[str, float], dtype: str) -> dict[str, Any]:
        """limits: of `machine_limits`. of_limit: least time these operations take there over the time taken; more than
        1 says that the limit was measured too low, and such a report is not published (`check.faults`)."""
        ideal = [count / limits[f"{kind}_{dtype}"] / 1e9 for kind, count in self.flops.items() if count]
        comparable = bool(ideal) and self.ms > 0
        return {
            "part": self.name,
            "ms": self.ms,
            "gflop": sum(self.flops.values()) / 1e9,
            "of_limit": sum(ideal) * 1e3 / self.ms if comparable else None,
        }


def pass_parts(generator: Generator, inputs: tuple[Any, ...], passes: int) -> list[Part]:
    """Parts of a block's passes, from a pass called with what a real one was given, one kernel after the other.

    Where rollouts replay graphs the parts are still those of a pass without. What no module does (norms, modulations,
    residuals) is the rest.
    """
    device = inputs[0].device
    clocks = _device_marks(device)
    with torch.inference_mode():
        generator(*inputs)
        runs = [_watched(generator, inputs, *clocks) for _ in range(2)]
    milliseconds = {name: min(run.get(name, 0.0) for run in runs) for name in runs[0]}
    operations = _operations(generator, inputs)
    total = milliseconds.pop("pass")
    all_operations = operations.pop("pass")
    parts = [Part(name, passes * ms, _times(operations.get(name, {}), passes)) for name, ms in milliseconds.items()]
    rest = total - sum(milliseconds.values())
    unseen = {k: v - sum(o.get(k, 0) for o in operations.values()) for k, v in all_operations.items()}
    return [*parts, Part("rest of the passes", passes * max(0.0, rest), _times(unseen, passes))]


def block_parts(models: Models, world: World, decode: bool = True) -> list[Part]:
    """What a block does beside its passes. world: of the wanted size. decode: whether the decoder is among it."""
    device, generator, variant = models.device, models.generator, world.variant
    shape = (LATENT_CHANNELS, LATENTS_PER_BLOCK, *world.latent_size)
    steps = len(variant.steps)
    caches = generator.empty_caches(world.batch, *world.latent_size, device, models.cache_dtype)
    rows = [ActionTrack.idle(variant, 12)] * world.batch
    before = [ActionTrack.idle(variant, 8)] * world.batch

    def prepare() -> None:
        inputs = block_windows(before, rows, device)
        generator.prepare_block(2 * LATENTS_PER_BLOCK, LATENTS_PER_BLOCK, *world.latent_size, inputs, caches)

    latents = torch.randn(world.batch, *shape, device=device)
    work: dict[str, tuple[int, Callable[[], object]]] = {
        "inputs and rotations": (1, prepare),
        "noise": (steps, lambda: named_noise(0, 2, 0, shape).to(device)),
        "formulas": (steps, lambda: renoise(clean_latents(latents, latents, 0.9), latents, 0.7)),
    }
    if decode:
        work["decode"] = (1, decoding(models, latents))
        pixels = torch.zeros(world.batch, 3, FRAMES_PER_BLOCK, *world.size, device=device)
        work["frames to the host"] = (1, lambda: pixels_to_frames(pixels).cpu())
    parts = []
    for name, (times, run) in work.items():
        with torch.inference_mode():
            ms = 1e3 * times * fastest_run(run, device, 2).spent
        parts.append(Part(name, ms, decode_flops(models, world.latent_size) if name == "decode" else {}))
    return parts


def decoding(models: Models, latents: Tensor) -> Callable[[], object]:
    """Decodes latents [B, 16, F, h, w] as those of a later block."""
    with torch.inference_mode():
        _, state = models.decoder.decode(latents)
    return lambda: models.decoder.decode(latents, state)


def decode_flops(models: Models, latent_size: tuple[int, int], latents: int = LATENTS_PER_BLOCK) -> dict[str, int]:
    """Operations of decoding so many latent frames, after the first, by kind."""
    meta = _on_meta(models.decoder)
    x = torch.empty(1, LATENT_CHANNELS, latents, *latent_size, device="meta")
    with torch.inference_mode():
        _, state = meta.decode(x)
        with FlopCounterMode(display=False) as counter:
            meta.decode(x, state)
    return _by_kind(counter)


def _watched(
    generator: nn.Module, inputs: tuple[Any, ...], mark: Callable[[], Any], elapsed: Callable[[Any, Any], float]
) -> dict[str, float]:
    """Milliseconds by part of one pass, the whole under `pass`."""
    marks = _marks_of(generator, inputs, mark)
    return {name: sum(elapsed(a, b) for a, b in pairs) for name, pairs in marks.items()}


def _operations(generator: Generator, inputs: tuple[Any, ...]) -> dict[str, dict[str, int]]:
    """Operations by part and kind of one pass, the whole under `pass`."""
    with torch.device("meta"):
        copy = Generator(generator.config)
    copy.compute_dtype = generator.compute_dtype
    copy.to(generator.compute_dtype)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        marks = _marks_of(copy, to_meta(inputs), lambda: _by_kind(counter))
    return {
        name: {kind: sum(b.get(kind, 0) - a.get(kind, 0) for a, b in pairs) for kind in KINDS}
        for name, pairs in marks.items()
    }


def _marks_of(generator: nn.Module, inputs: tuple[Any, ...], mark: Callable[[], Any]) -> dict[str, list]:
    """Pairs of marks by part, set where its modules begin and end."""
    pairs: dict[str, list] = {}
    hooks = []
    modules = dict(generator.named_modules())
    layers = [name for name in modules if name.startswith("blocks.") and name.count(".") == 1]

    def watch(part: str, first: str, last: str) -> None:
        open_marks: list[Any] = []
        begin = lambda *_: open_marks.append(mark())  # noqa: E731
        end = lambda *_: pairs.setdefault(part, []).append((open_marks.pop(), mark()))  # noqa: E731
        hooks.append(modules[first].register_forward_pre_hook(begin))
        hooks.append(modules[last].register_forward_hook(end))

    for part, (first, last) in PASS_PARTS.items():
        for place in layers if first.startswith(".") else [""]:
            if place + first in modules:
                watch(part, place + first, place + last)
    try:
        began = mark()
        generator(*inputs)
        pairs["pass"] = [(began, mark())]
    finally:
        for hook in hooks:
            hook.remove()
    return pairs


def _device_marks(device: torch.device) -> tuple[Callable[[], Any], Callable[[Any, Any], float]]:
    """How to set a mark without waiting, and the milliseconds between two."""
    if device.type != "cuda":
        clock = time.process_time if clock_name(device) == "processor" else time.perf_counter
        return clock, lambda a, b: (b - a) * 1e3

    def mark() -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def elapsed(a: torch.cuda.Event, b: torch.cuda.Event) -> float:
        synchronise(device)
        return a.elapsed_time(b)

    return mark, elapsed


def to_meta(value: Any) -> Any:
    """The same value with every tensor in it replaced by one of its shape on the meta device."""
    if isinstance(value, Tensor):
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    if isinstance(value, (list, tuple)):
        return type(value)(to_meta(part) for part in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to_meta(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        return dataclasses.replace(value, **fields)
    return value


def _on_meta(decoder: VideoDecoder) -> WanVAE | TinyDecoder:
    with torch.device("meta"):
        return WanVAE(decoder.base_dim) if isinstance(decoder, WanVAE) else TinyDecoder()


def _by_kind(counter: FlopCounterMode) -> dict[str, int]:
    counts = {
        str(op).removeprefix("aten.").lstrip("_"): n for op, n in counter.get_flop_counts().get("Global", {}).items()
    }
    return {kind: sum(n for op, n in counts.items() if op.startswith(names)) for kind, names in KINDS.items()}


def _times(operations: dict[str, int], count: int) -> dict[str, int]:
    return {kind: count * value for kind, value in operations.items()}
