"""Memory that is free, and the plan that a rollout of the published sizes would take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from ...system.machine import main_memory

if TYPE_CHECKING:
    import torch

    from ...memory import MemoryPlan


def about_memory(name: str | None, plan: Callable[[], Iterable[tuple[str, str]]] | None) -> Iterator[tuple[str, str]]:
    """name: of the device that is used; None for the best there is. plan: the host's; else the terminal's is told."""
    total, available = main_memory()
    yield "main memory", f"{available / 1e9:.1f} GB of {total / 1e9:.1f} GB available" if total else "unknown"
    from ...compute.devices import find_device
    from ...memory import free_memory
    from ...system.resources import gigabytes

    device = find_device(name)
    free = free_memory(device)
    if free is not None:
        yield "on the device", f"{gigabytes(free)} of {gigabytes(_total(device))} free"
    if plan is not None:
        yield from plan()
        return
    for what, tiny in (("plan", False), ("tiny decoder", True)):
        yield what, str(published_plan(device, tiny, free))


def published_plan(device: torch.device, tiny: bool, free: int | None) -> MemoryPlan:
    """How `matrixgame render` fits a published generator in bfloat16 into a device, with frames of 640x352. tiny:
    with a tiny decoder in place of the VAE's. free: bytes of the device that can be had; None where nothing limits
    them."""
    import torch

    from ...checkpoints.load import compute_dtype, generator_bytes
    from ...media.fitting import HEIGHT, WIDTH
    from ...memory import MemoryEstimate, estimate_memory, plan_memory
    from ...networks.generator import GeneratorConfig
    from ...networks.vae import WanVAE

    config, stored = GeneratorConfig(), torch.bfloat16
    full, streamed = generator_bytes(config, stored)
    stored_fp8, _ = generator_bytes(config, torch.float8_e4m3fn)
    with torch.device("meta"):
        vae = sum(parameter.numel() for parameter in WanVAE().parameters()) * stored.itemsize

    def rest(encode_at_once: bool, tiles: int) -> MemoryEstimate:
        return estimate_memory(
            config, HEIGHT, WIDTH, weights=0, cache_dtype=stored, compute_dtype=compute_dtype(stored, device),
            tiny=tiny, device=device, kept=device.type == "cpu", encode_at_once=encode_at_once, tiles=tiles,
        )  # fmt: skip

    weights = {"full": full + vae, "stream": streamed + vae, "fp8": stored_fp8 + vae}
    return plan_memory("auto", free, weights, rest, tiny)


def _total(device: torch.device) -> int:
    import torch

    return torch.cuda.get_device_properties(device).total_memory
