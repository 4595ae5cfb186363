"""Measuring a machine with this engine: its own limits, one pass, one block, decoding, latency, memory.

Weights are random: speed does not depend on them. Times are the smallest of several, since noise only adds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F

from . import __version__
from .actions.track import ActionTrack, rows_of_blocks
from .checkpoints.load import compute_dtype, storage_dtype
from .errors import BackendError
from .generator import Generator, GeneratorConfig
from .memory import give_back
from .untrained import small_config
from .vae import TinyDecoder, WanVAE
from .vae.base import LATENT_CHANNELS
from .variants import LATENTS_PER_BLOCK, Variant, get_variant
from .world import Models, Rollout, World, rollout, start_world

SIZES = {"tiny": (96, 160), "full": (352, 640)}


def run(args: argparse.Namespace) -> int:
    """`matrixgame bench`: measure, print a table, and write JSON where asked."""
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BackendError("There is no CUDA device here; use --device cpu.")
    report = measure(get_variant(args.variant), args.size, args.dtype, device, args.decoder, args.blocks)
    print(table(report))
    if args.output:
        Path(args.output).write_text(json.dumps(report, indent=1) + "\n")
    return 0


def measure(
    variant: Variant, size: str, dtype: str, device: torch.device, decoder: str, blocks: int, layers: int | None = None
) -> dict[str, Any]:
    """All figures of one configuration, with what they were measured on.

    layers: a network cut to this many layers, for comparisons on slow machines; None: all of them.
    """
    note(f"limits of {device}")
    limits = machine_limits(device)
    height, width = SIZES[size]
    note("making random weights")
    models = random_models(variant, size, dtype, device, decoder, layers)
    features = torch.randn(1, 257, models.generator.config.visual_dim)
    image = torch.rand(3, height, width) * 2 - 1
    with torch.inference_mode():
        began = time.perf_counter()
        world = start_world(models, image, features=features)
        synchronise(device)
        start_seconds = time.perf_counter() - began
        note("one pass")
        pass_seconds = time_pass(models, world)
        note("decoding")
        decode_seconds = time_decode(models, world.latent_size, LATENTS_PER_BLOCK)
        note(f"{blocks} blocks")
        first, block_seconds = time_blocks(models, world, blocks, device)
    passes = len(variant.steps) + 1
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(device),
        "variant": variant.name,
        "size": f"{width}x{height}",
        "layers": models.generator.config.layers,
        "stored": dtype,
        "computed": str(models.generator.compute_dtype).removeprefix("torch."),
        "decoder": "tiny (taew2_1 layout)" if decoder == "tiny" else f"Wan VAE, base width {models.vae.base_dim}",
        "limits": limits,
        "start_world_s": start_seconds,
        "pass_s": pass_seconds,
        "decode_s_per_frame": decode_seconds / 12,
        "first_frames_s": first,
        "block_s": block_seconds,
        "transformer_only_fps": 12 / (passes * pass_seconds),
        "end_to_end_fps": 12 / block_seconds,
        "peak_memory_bytes": peak_memory(device),
    }


def random_models(
    variant: Variant, size: str, dtype: str, device: torch.device, decoder: str, layers: int | None = None
) -> Models:
    """Networks of the published sizes (`full`) or small ones (`tiny`), with random weights."""
    full = GeneratorConfig(keyboard_dim=len(variant.keys), mouse=variant.mouse, window=variant.window)
    config = full if size == "full" else small_config(variant)
    if layers is not None:
        config = replace(config, layers=layers, action_layers=tuple(range((layers + 1) // 2)))
    storage = storage_dtype(dtype, "float32")
    with torch.device("meta"):
        networks: list[Any] = [Generator(config), WanVAE(96 if size == "full" else 8)]
        networks += [TinyDecoder()] if decoder == "tiny" else []
    for network in networks:
        fill(network, storage, device)
        network.compute_dtype = compute_dtype(storage, device)
    return Models(*networks)


def fill(network: nn.Module, storage: torch.dtype, device: torch.device) -> None:
    """Random weights, one tensor at a time, in the wanted dtype."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in list(network.named_parameters()):
        fan_in = max(1, parameter[0].numel()) if parameter.ndim > 1 else 1
        value = torch.empty(parameter.shape).uniform_(-1, 1, generator=generator).mul_(fan_in**-0.5)
        if (parameter.ndim == 1 and name.endswith("weight")) or name.endswith("gamma"):
            value = value * 0.1 + 1
        owner = network.get_submodule(name.rpartition(".")[0])
        tensor = value.to(device=device, dtype=storage if storage.itemsize > 1 else torch.bfloat16)
        setattr(owner, name.rpartition(".")[2], nn.Parameter(tensor, requires_grad=False))
    network.eval()
    give_back(device)


def time_pass(models: Models, world: World) -> float:
    """Seconds of one pass with a full window behind it."""
    track = ActionTrack.idle(world.variant, rows_of_blocks(3))
    step = PassTimer(models.device)
    run = Rollout(models, replace(world, block=2), track, 1, lambda *name: torch.randn(name[-1]), step)
    run._world = replace(run._world, tail=tuple([track.slice(0, 8)] * world.batch))
    with contextlib.suppress(PassTimer.Enough):
        next(run)
    return min(step.seconds)


class PassTimer:
    """Counts the time between the starts of passes; stops a rollout before it decodes."""

    class Enough(Exception):
        """All passes but the last were timed."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: list[float] = []
        self._last: float | None = None

    def __call__(self, progress: Any) -> None:
        synchronise(self.device)
        now = time.perf_counter()
        if self._last is not None and progress.step > 1:  # the first pass also makes the block's constants
            self.seconds.append(now - self._last)
        self._last = now
        if progress.step == progress.steps - 1:
            raise PassTimer.Enough


def time_decode(models: Models, latent_size: tuple[int, int], latent_frames: int) -> float:
    """Seconds to decode some latent frames of a size, after the first."""
    latents = torch.randn(1, LATENT_CHANNELS, latent_frames, *latent_size, device=models.device)
    _, state = models.decoder.decode(latents)
    return best(lambda: models.decoder.decode(latents, state), models.device, 2)


def time_blocks(models: Models, world: World, blocks: int, device: torch.device) -> tuple[float, float]:
    """Seconds until the first block's frames are on the host, and of the fastest later block."""
    run = rollout(models, world, ActionTrack.idle(world.variant, rows_of_blocks(blocks + 1)))
    began = time.perf_counter()
    next(run)
    first = time.perf_counter() - began
    seconds = []
    for _ in range(blocks):
        began = time.perf_counter()
        next(run)
        seconds.append(time.perf_counter() - began)
    synchronise(device)
    return first, min(seconds)


def machine_limits(device: torch.device) -> dict[str, float]:
    """Billions of operations a second that torch reaches here, at sizes of the full model."""
    limits = {}
    for dtype in (torch.float32, torch.bfloat16):
        if device.type == "cpu" and dtype == torch.bfloat16 and compute_dtype(dtype, device) != dtype:
            continue  # emulated, 10 times slower than float32: never used
        name = str(dtype).removeprefix("torch.")
        x = torch.randn(2640, 1536, device=device, dtype=dtype)
        w = torch.randn(8960, 1536, device=device, dtype=dtype)
        limits[f"linear_{name}"] = 2 * x.numel() * 8960 / best(lambda x=x, w=w: F.linear(x, w), device) / 1e9
        q = torch.randn(1, 12, 1320, 128, device=device, dtype=dtype)
        k = torch.randn(1, 12, 5280, 128, device=device, dtype=dtype)
        operations = 4 * 1320 * 5280 * 128 * 12
        attend = lambda q=q, k=k: F.scaled_dot_product_attention(q, k, k)  # noqa: E731
        limits[f"attention_{name}"] = operations / best(attend, device) / 1e9
        c = torch.randn(1, 96, 6, 88, 160, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last_3d)
        kernel = torch.randn(96, 96, 3, 3, 3, device=device, dtype=dtype)
        convolve = lambda c=c, kernel=kernel: F.conv3d(c, kernel, padding=(0, 1, 1))  # noqa: E731
        operations = 2 * 96 * 96 * 27 * 4 * 88 * 160
        limits[f"convolution_{name}"] = operations / best(convolve, device) / 1e9
    return limits


def best(work: Callable[[], object], device: torch.device, repeats: int = 3) -> float:
    """Seconds of the fastest of several runs, after one to warm up."""
    times = []
    for _ in range(repeats + 1):
        synchronise(device)
        began = time.perf_counter()
        work()
        synchronise(device)
        times.append(time.perf_counter() - began)
    return min(times[1:])


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(device: torch.device) -> int:
    """The most memory this process has had: of the device on CUDA, resident on a CPU (0 where unknown)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures were measured on."""
    about = {
        "matrixgame": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.system(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    if device.type == "cuda":
        about["device"] = torch.cuda.get_device_name(device)
        about["cuda"] = torch.version.cuda
    return about


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def note(text: str) -> None:
    """A line on what is being measured."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def table(report: dict[str, Any]) -> str:
    """A report as lines for people."""
    machine_line = ", ".join(f"{key} {value}" for key, value in report["machine"].items())
    rows = [
        ("measured", f"{report['date']}; {machine_line}"),
        ("what", f"{report['variant']}, {report['size']}, {report['layers']} layers"),
        ("dtype", f"stored {report['stored']}, computed {report['computed']}"),
        ("decoder", report["decoder"]),
        *((f"limit: {name}", f"{value:.1f} GFLOP/s") for name, value in report["limits"].items()),
        ("start of a world", f"{report['start_world_s']:.3f} s"),
        ("one pass", f"{report['pass_s'] * 1e3:.1f} ms"),
        ("decoding", f"{report['decode_s_per_frame'] * 1e3:.1f} ms a frame"),
        ("first frames", f"{report['first_frames_s']:.3f} s after the start"),
        ("one block", f"{report['block_s']:.3f} s"),
        ("transformer only", f"{report['transformer_only_fps']:.3f} frames/s"),
        ("end to end", f"{report['end_to_end_fps']:.3f} frames/s"),
        ("peak memory", f"{report['peak_memory_bytes'] / 1e9:.2f} GB"),
    ]  # fmt: skip
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
