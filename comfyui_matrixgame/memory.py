"""How much memory a rollout will need, before it starts.

Caches and the decoder's state are exact: the networks are run on torch's meta device, which computes shapes and
nothing else. The working memory is an estimate from the largest activations.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass

import torch

from .generator import Generator, GeneratorConfig
from .vae import TinyDecoder, WanVAE
from .vae.base import LATENT_CHANNELS, SPATIAL_STRIDE
from .variants import LATENTS_PER_BLOCK

DECODER_COPIES = 6  # of the widest full-size activation that live at once while a latent frame is decoded
DECODED_AT_ONCE = {"cpu": 3}  # frames of that activation, with the two before them; 6 elsewhere


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes by what they are for, all on the device that computes."""

    weights: int
    caches: int
    decoder_state: int
    working: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.caches + self.decoder_state + self.working

    def __str__(self) -> str:
        parts = (
            f"weights {gigabytes(self.weights)}",
            f"caches {gigabytes(self.caches)}",
            f"decoder state {gigabytes(self.decoder_state)}",
            f"working {gigabytes(self.working)}",
        )
        return f"{gigabytes(self.total)} ({', '.join(parts)})"


def estimate_memory(
    config: GeneratorConfig,
    height: int,
    width: int,
    *,
    weights: int,
    cache_dtype: torch.dtype,
    compute_dtype: torch.dtype,
    vae_width: int = 96,
    tiny: bool = False,
    batch: int = 1,
    device: torch.device | None = None,
) -> MemoryEstimate:
    """The memory of a rollout of `batch` worlds with frames of height x width; weights in bytes.

    device: where it runs; None for a GPU.
    """
    rows, columns = height // SPATIAL_STRIDE, width // SPATIAL_STRIDE
    meta = torch.device("meta")
    with meta:
        caches = Generator(config).empty_caches(batch, rows, columns, meta, cache_dtype)
        decoder = TinyDecoder() if tiny else WanVAE(vae_width)
        latents = torch.empty(batch, LATENT_CHANNELS, 1, rows, columns)
        _, state = decoder.decode(latents)
    ring_bytes = sum(part.nbytes for layer in caches for ring in layer.rings().values() for part in (ring.k, ring.v))
    ring_bytes *= 2  # a World stays as it is while the rollout that goes on from it has caches of its own
    state_bytes = sum(tensor.numel() for tensor in state) * cache_dtype.itemsize * 2
    widest = 64 if tiny else vae_width
    frames = 4 if tiny else DECODED_AT_ONCE.get("" if device is None else device.type, 6)
    pixels = batch * widest * frames * height * width * compute_dtype.itemsize * (2 if tiny else DECODER_COPIES)
    tokens = batch * LATENTS_PER_BLOCK * rows * columns // 4
    passes = tokens * (config.ffn_dim + 8 * config.dim) * compute_dtype.itemsize
    return MemoryEstimate(weights, ring_bytes, state_bytes, max(pixels, passes))


def give_back(device: torch.device) -> None:
    """Return memory that was freed to the system, where the C library would keep it.

    glibc holds on to freed pieces of up to 32 MB, which is what most weights and activations take: more than a
    gigabyte at full size (measured: bench/results/first_block-cpu-2026-11-22.json).
    """
    if device.type == "cpu" and sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def gigabytes(count: float) -> str:
    """Bytes as text: `3.24 GB`, or `12 MB` where that reads better."""
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
