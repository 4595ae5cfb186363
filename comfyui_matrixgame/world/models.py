"""The networks of a rollout, together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ..checkpoints.sizes import variant_of
from ..compute.quantise import EXACT, precision_of
from ..errors import WorldError
from ..networks.generator import Generator
from ..networks.vae import VideoAutoencoder, VideoDecoder
from ..networks.vision import ImageEncoder
from ..variants import Variant

COMPUTED_IN = (torch.float32, torch.bfloat16, torch.float16)
_SAMPLES = 64  # values of each tensor that enter its id


class Identified(Protocol):
    """A network that has an id: the generator, an image tower, and every encoder and decoder (vae/base.py)."""

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """What the id follows from."""
        ...


@dataclass
class Models:
    """What a rollout needs to run.

    generator: predicts latents. vae: encodes the start image. decoder: makes frames; the VAE itself unless a
    tiny decoder is given. vision: only needed where a world is started.
    generator_id: where it is known already, or says more than the weights as they are now do. loras: names of those
    that are in the generator, as far as they are known.
    """

    generator: Generator
    vae: VideoAutoencoder
    decoder: VideoDecoder = None  # type: ignore[assignment]
    vision: ImageEncoder | None = None
    generator_id: str | None = None
    loras: tuple[str, ...] = ()
    variant: Variant = field(init=False)

    def __post_init__(self) -> None:
        if self.decoder is None:
            self.decoder = self.vae
        variant = variant_of(self.generator)
        if variant is None:
            raise WorldError("The generator takes inputs that no known variant has; load a published file.")
        self.variant = variant

    @property
    def device(self) -> torch.device:
        """Where the generator is."""
        return next(self.generator.parameters()).device

    @property
    def cache_dtype(self) -> torch.dtype:
        """What keys and values are kept in: 16 bits where the weights are no wider."""
        return self._cache_dtype(self.generator.compute_dtype)

    def _cache_dtype(self, compute: torch.dtype) -> torch.dtype:
        stored = self.generator.blocks[0].self_attn.q.weight.dtype  # type: ignore[union-attr]
        return compute if compute.itemsize == 2 or stored == torch.float32 else torch.bfloat16

    def id(self) -> str:
        """Stands for generator and VAE; it changes with their weights and with what they compute in."""
        return self.ids()[0]

    def ids(self) -> list[str]:
        """That id, and those that the same weights have on devices that compute in another dtype: it is the device's
        choice, not the user's, and a world goes on there."""
        weights, vae, own = self.generator_id or network_id(self.generator), network_id(self.vae), self.generator
        ids, precision = [], precision_of(own)
        for compute in sorted(COMPUTED_IN, key=lambda dtype: dtype != own.compute_dtype):
            parts: list[object] = [weights, vae, compute, self._cache_dtype(compute)]
            parts += [precision] if precision != EXACT else []
            ids.append(hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:16])
        return ids


@torch.no_grad()
def network_id(network: Identified) -> str:
    """Stands for a network's weights: every tensor's name, shape, dtype and a sample of its values, in the order of the
    names. It is the same wherever the tensors lie."""
    digest = hashlib.sha256()
    found: list[Tensor] = []
    for name, parameter in sorted(network.named_parameters()):
        flat = parameter.flatten()
        step = max(1, flat.numel() // _SAMPLES)
        sample = flat[: step * _SAMPLES : step]
        found.append(sample.float() if sample.itemsize == 1 else sample)  # older torch joins no 8-bit floats
        digest.update(f"{name}{list(parameter.shape)}{parameter.dtype}".encode())
    if found:
        digest.update(torch.cat(_in_main_memory(found)).numpy().tobytes())
    return digest.hexdigest()


def _in_main_memory(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The same flat tensors in main memory as float32, in the same order; one copy from each device for each dtype, not
    one for each tensor."""
    kinds: dict[tuple[torch.device, torch.dtype], list[int]] = {}
    for index, tensor in enumerate(tensors):
        kinds.setdefault((tensor.device, tensor.dtype), []).append(index)
    here = list(tensors)
    for at in kinds.values():
        together = torch.cat([tensors[index] for index in at]).float().cpu()
        for index, part in zip(at, together.split([tensors[i].numel() for i in at]), strict=True):
            here[index] = part
    return here
