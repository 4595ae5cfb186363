"""The foundation model: one pass over all frames of a clip, each of which attends to all others, as the teacher of the
distilled models was trained. Its layers are those of a rollout; only what they attend to differs. Numbers are held to
golden/foundation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .action_module import ActionInputs
from .kv_cache import Caches, LayerCache
from .model import Generator


class ClipEntries:
    """What kv_cache.Ring is to a rollout: keys and values of a clip's frames, from when a layer writes them until it
    reads them, as there is no past to keep.

    tokens: entries of a latent frame. for_good: whether they are read more than once, like those of the keyboard,
    which all passes share.
    """

    def __init__(self, tokens: int, for_good: bool = False) -> None:
        self.tokens, self._for_good = tokens, for_good
        self._entries: tuple[Tensor, Tensor] | None = None

    def write(self, _first_frame: int, k: Tensor, v: Tensor) -> None:
        """Entries of all frames, [N, F * tokens, heads, dim]."""
        self._entries = k, v

    def read(self, _end_frame: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The same, in a dtype."""
        assert self._entries is not None
        k, v = self._entries
        if not self._for_good:
            self._entries = None
        return k.to(dtype), v.to(dtype)


class FoundationGenerator(Generator):
    """The bidirectional network. Its passes are those of Generator over one block that is the whole clip, from frame 0;
    there may be any number of noise levels, each the same for all frames."""

    def empty_caches(self, batch: int, height: int, width: int, device: torch.device, dtype: torch.dtype) -> Caches:
        """Entries for one clip with latents of height x width, of any length."""
        places = self.places(height, width)
        acting = self.config.action_layers
        return [
            LayerCache(
                video=ClipEntries(places),  # type: ignore[arg-type]
                mouse=ClipEntries(1) if i in acting and self.config.mouse else None,  # type: ignore[arg-type]
                keyboard=ClipEntries(1, for_good=True) if i in acting else None,  # type: ignore[arg-type]
            )
            for i in range(self.config.layers)
        ]

    def velocity(
        self, latents: Tensor, condition: Tensor, features: Tensor, inputs: ActionInputs, timestep: float
    ) -> Tensor:
        """One pass alone, with what passes of a clip could share: for a sampler that keeps nothing between them.

        latents [B, 16, F, h, w], condition [B, 20, F, h, w], features [B, 257, visual_dim], and the windows of B clips;
        timestep: from 0 to 1000. Returns [B, 16, F, h, w].
        """
        batch, _, frames, height, width = latents.shape
        caches = self.empty_caches(batch, height, width, latents.device, self.compute_dtype)
        clip = self.prepare_block(0, frames, height, width, inputs, caches)
        return self(latents, condition, 0, self.prepare_rollout(features, [timestep]), clip, caches)
