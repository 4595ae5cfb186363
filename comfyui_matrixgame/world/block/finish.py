"""The end of a block: caches refreshed with its clean latents, and frames decoded from them.

Both at once where the device can, else the frames first, since somebody may be waiting for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...compute.devices import side_stream
from ...errors import BackendError
from ...networks.vae import VideoDecoder
from ...networks.vae.base import State, pixels_to_frames

Whole = Callable[[Callable[[], Tensor]], Tensor]
"""Does a part of a block that nothing may stop half-way, and returns what it makes."""


def at_once(part: Callable[[], Tensor]) -> Tensor:
    """Do a part of a block; whatever stops it stops the block."""
    return part()


@dataclass(frozen=True)
class Block:
    """A finished block, in main memory: its index in the world's life, frames [B, 9 or 12, H, W, 3] of 8 bits, and
    clean latents [B, 16, 3, h, w], normalised, float32. name: one per world."""

    index: int
    frames: Tensor
    latents: Tensor
    names: tuple[str, ...]


@dataclass(frozen=True)
class Finishing:
    """A block whose frames and latents are on their way to main memory.

    state: the decoder's, after it. frames: [B, 9 or 12, H, W, 3] of 8 bits. latents: [B, 16, 3, h, w]. finite: whether
    all latents are; None where they cannot be else. there: when all of it has come; None where it has.
    """

    state: State
    frames: Tensor
    latents: Tensor
    finite: Tensor | None
    there: torch.cuda.Event | torch.Event | None = None

    @property
    def under_way(self) -> bool:
        """Whether the device works at them still, so that the host has time for something else."""
        return self.there is not None

    def wait(self) -> tuple[Tensor, Tensor]:
        """Frames and latents. Raises BackendError where the network's numbers ran over."""
        if self.there is not None:
            self.there.synchronize()
        if self.finite is not None and not self.finite:
            raise BackendError(
                "The network's numbers are too large for float16, and its frames would be noise; load it with dtype "
                "float32."
            )
        # of page-locked memory there is little, and latents are kept
        return self.frames, self.latents.clone() if self.under_way else self.latents


def finish_block(
    decoder: VideoDecoder,
    state: State | None,
    latents: Tensor,
    refresh: Callable[[], Tensor],
    *,
    whole: Whole,
    first_alone: bool,
    may_run_over: bool,
) -> Finishing:
    """Launch both. state: the decoder's, before the block. refresh: the clean pass, done by `whole`. first_alone:
    whether the first frames are decoded before it, which takes room for one state more."""
    if latents.device.type != "cuda":
        pixels, state = decoder.decode(latents, state)
        whole(refresh)
        finite = torch.isfinite(latents).all() if may_run_over else None
        return Finishing(state, pixels_to_frames(pixels).cpu(), latents.cpu(), finite)
    main, side = torch.cuda.current_stream(latents.device), side_stream(latents.device)
    ready = main.record_event()
    ahead = 1 if first_alone else 0
    first, rest = latents[:, :, :ahead], latents[:, :, ahead:]
    parts: list[Tensor] = []
    with torch.cuda.stream(side):
        side.wait_event(ready)
        if ahead:  # the first frames have the device for themselves
            part, state = decoder.decode(first, state)
            parts.append(part)
            main.wait_event(side.record_event())
    whole(refresh)
    with torch.cuda.stream(side):
        part, state = decoder.decode(rest, state)
        frames = _to_host(pixels_to_frames(torch.cat([*parts, part], dim=2)))
        del parts, part
        clean_on_host = _to_host(latents)
        finite = _to_host(torch.isfinite(latents).all()) if may_run_over else None
        there = side.record_event()
    main.wait_event(there)  # what comes next leaves the device to these frames
    return Finishing(state, frames, clean_on_host, finite, there)


def _to_host(tensor: Tensor) -> Tensor:
    """A copy in page-locked memory, which is there once the stream is through with it."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)
