"""The causal diffusion transformer. Parameter names are those of the published files without `model.`.

Work is done once for as long as it stays the same: `prepare_rollout` makes the image's keys and values and every step's
modulations, `prepare_block` the rotations and what the inputs alone decide, and `forward` is one pass. Numbers
are held to golden/rollout_* and golden/continue_*.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ...compute.attention import Attention, sdpa
from ...compute.devices import widest_float
from ...compute.joined import lay_together, outputs_of
from ...compute.ops import Operations, OperationsLike, cast, feed_forward, is_wrapped, upload
from ...compute.quantise import QuantisedRows
from ...compute.streaming import WeightStream
from ...variants import Variant
from ..vae.base import LATENT_CHANNELS
from .action_module import HEAD_DIM as ACTION_HEAD_DIM
from .action_module import ActionInputs, ActionModule, TimeSpan
from .kv_cache import Caches, LayerCache, Ring
from .norms import EPS, RMSNorm, norm_rotate, norm_rotate_into
from .rope import action_table, rotate, video_table
from .tokens import Tokens

HEAD_DIM = 128
PATCH = 2  # latent cells a token covers in height and in width
IN_CHANNELS = 36  # 16 noisy, 4 mask, 16 condition
TIME_FREQUENCIES = 256


@dataclass(frozen=True)
class GeneratorConfig:
    """Sizes of a generator; all follow from a checkpoint's shapes except window and sink, which are the variant's."""

    dim: int = 1536
    ffn_dim: int = 8960
    layers: int = 30
    visual_dim: int = 1280
    action_layers: tuple[int, ...] = tuple(range(15))
    action_dim: int = 1024
    keyboard_dim: int = 4
    keyboard_hidden: int = 128
    mouse: bool = True
    window: int = 6
    sink: int = 0

    @property
    def heads(self) -> int:
        """Attention heads of 128."""
        return self.dim // HEAD_DIM


class Modulation(NamedTuple):
    """Shifts, scales and gates of a layer's norms and sums at a step, [dim] each; a scale is 1 + scale."""

    shift1: Tensor
    scale1: Tensor
    gate1: Tensor
    shift2: Tensor
    scale2: Tensor
    gate2: Tensor


@dataclass(frozen=True)
class RolloutConstants:
    """What stays the same for a rollout: image keys and values per layer, modulations per step and layer."""

    image_kv: list[tuple[Tensor, Tensor]]
    modulations: Tensor  # [steps, layers, 6, dim]: a Modulation each
    head_modulations: Tensor  # [steps, 2, dim]: shift, 1 + scale


@dataclass(frozen=True)
class BlockConstants:
    """What stays the same for a block: its place in time, rotations, and the camera's share per layer."""

    span: TimeSpan
    rotations: Tensor
    cameras: list[Tensor | None]


class SelfAttention(nn.Module):
    """A block's tokens attend to the block and to the cached frames inside the window."""

    def __init__(self, ops: OperationsLike, dim: int) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (ops.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RMSNorm(dim), RMSNorm(dim)

    @property
    def of_one_input(self) -> list[nn.Module]:
        """The layers that take the input itself."""
        return [self.q, self.k, self.v]

    def forward(self, x: Tensor | QuantisedRows, block: BlockConstants, ring: Ring, attention: Attention) -> Tensor:
        q, k, v = outputs_of(self.of_one_input, x)
        first, turns = block.span.first_frame, block.rotations
        if is_wrapped(self.norm_q):
            q = rotate(self.norm_q(q).unflatten(-1, (-1, HEAD_DIM)), turns)
        else:
            q = norm_rotate(q, self.norm_q.scale(q), turns, HEAD_DIM, EPS)
        if is_wrapped(self.norm_k):
            k = rotate(self.norm_k(k).unflatten(-1, (-1, HEAD_DIM)), turns)
            ring.write(first, k, v.unflatten(-1, (-1, HEAD_DIM)))
        else:
            norm_rotate_into(ring, first, k, v, self.norm_k.scale(k), turns, HEAD_DIM, EPS)
        return self.o(attention(q, *ring.read(block.span.end_frame, q.dtype)).flatten(2))


class CrossAttention(nn.Module):
    """Tokens attend to the image; its keys and values are constant for a rollout."""

    def __init__(self, ops: OperationsLike, dim: int) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (ops.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RMSNorm(dim), RMSNorm(dim)

    def prepare(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Image tokens [B, 257, dim] -> keys and values [B, 257, heads, 128]."""
        return (
            self.norm_k(self.k(image)).unflatten(-1, (-1, HEAD_DIM)),
            self.v(image).unflatten(-1, (-1, HEAD_DIM)),
        )

    def forward(self, x: Tensor | QuantisedRows, image_kv: tuple[Tensor, Tensor], attention: Attention) -> Tensor:
        q = self.norm_q(self.q(x)).unflatten(-1, (-1, HEAD_DIM))
        return self.o(attention(q, *image_kv).flatten(2))


class Layer(nn.Module):
    """One transformer block: self-attention, image, inputs, feed-forward."""

    def __init__(self, ops: OperationsLike, config: GeneratorConfig, has_actions: bool) -> None:
        super().__init__()
        dim = config.dim
        self._weights_in_use = ops.weights_in_use
        self.modulation = nn.Parameter(torch.empty(1, 6, dim))
        self.self_attn = SelfAttention(ops, dim)
        self.norm3 = ops.LayerNorm(dim, eps=EPS)
        self.cross_attn = CrossAttention(ops, dim)
        self.action_model = (
            ActionModule(ops, dim, config.action_dim, config.keyboard_dim, config.keyboard_hidden, config.mouse)
            if has_actions
            else None
        )
        self.ffn = nn.ModuleDict({"0": ops.Linear(dim, config.ffn_dim), "2": ops.Linear(config.ffn_dim, dim)})

    def forward(
        self,
        x: Tokens,
        m: Modulation,
        image_kv: tuple[Tensor, Tensor],
        block: BlockConstants,
        camera: Tensor | None,
        cache: LayerCache,
        attention: Attention,
    ) -> None:
        """x += gate1 * SelfAttention(LN(x) (1 + scale1) + shift1)
        x += CrossAttention(LN_affine(x), image)
        x  = ActionModule(x), where there is one
        x += gate2 * FFN(LN(x) (1 + scale2) + shift2)
        """
        y = x.norm(m.scale1, m.shift1, self.self_attn.of_one_input)
        x.add(self.self_attn(y, block, cache.video, attention), m.gate1)
        y = self._affine_norm(x)
        x.add(self.cross_attn(y, image_kv, attention))
        if self.action_model is not None:
            self.action_model(x, camera, block.span, cache, attention)
        y = x.norm(m.scale2, m.shift2, [self.ffn["0"]])
        x.add(feed_forward(self.ffn["0"], self.ffn["2"], y), m.gate2)

    def _affine_norm(self, x: Tokens) -> Tensor | QuantisedRows:
        if is_wrapped(self.norm3):
            return self.norm3(x.sum())
        with self._weights_in_use(self.norm3, x.like) as (weight, bias):
            return x.norm(weight, bias, [self.cross_attn.q])


class Head(nn.Module):
    """Tokens, after a norm with its modulation, to the velocity of a 1x2x2 patch of 16 channels."""

    def __init__(self, ops: OperationsLike, dim: int) -> None:
        super().__init__()
        self.modulation = nn.Parameter(torch.empty(1, 2, dim))
        self.head = ops.Linear(dim, PATCH * PATCH * LATENT_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x)


class ImageEmbedding(nn.Module):
    """Image features to tokens of the network's width."""

    def __init__(self, ops: OperationsLike, visual_dim: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.ModuleDict(
            {
                "0": ops.LayerNorm(visual_dim, eps=1e-5),
                "1": ops.Linear(visual_dim, visual_dim),
                "3": ops.Linear(visual_dim, dim),
                "4": ops.LayerNorm(dim, eps=1e-5),
            }
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.proj["4"](self.proj["3"](F.gelu(self.proj["1"](self.proj["0"](features)))))


class Generator(nn.Module):
    """The network of one variant; the module's docstring says how its three entry points share the work.

    compute_dtype: dtype of the activations; weights may be stored in another one. precision: of the large linears,
    where they are quantised only when they first run (host/models/layers.py); None where their weights show it.
    weight_stream: supplies its large weights, where they are streamed.
    """

    def __init__(self, config: GeneratorConfig, operations: OperationsLike = Operations) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype = torch.float32
        self.precision: str | None = None
        self.weight_stream: WeightStream | None = None
        self.attention: Attention = sdpa
        self.variant: Variant | None = None  # the one it was loaded as; None where its shapes decide
        self.doubt = ""  # why that may be wrong, in words
        self.when_moved: Callable[[Generator], None] = lambda _: None  # set by kept.py
        dim = config.dim
        self.patch_embedding = operations.Conv3d(IN_CHANNELS, dim, (1, PATCH, PATCH), stride=(1, PATCH, PATCH))
        self.time_embedding = nn.ModuleDict(
            {"0": operations.Linear(TIME_FREQUENCIES, dim), "2": operations.Linear(dim, dim)}
        )
        self.time_projection = nn.ModuleDict({"1": operations.Linear(dim, 6 * dim)})
        self.img_emb = ImageEmbedding(operations, config.visual_dim, dim)
        self.blocks = nn.ModuleList(
            [Layer(operations, config, i in config.action_layers) for i in range(config.layers)]
        )
        self.head = Head(operations, dim)

    def run_as(self, variant: Variant) -> None:
        """Run with the steps, window and sink of a variant whose inputs it takes. Call it before caches are made."""
        self.variant = variant
        self.config = replace(self.config, window=variant.window, sink=variant.sink)

    def lay_weights(self, device: torch.device) -> None:
        """Store the weights as is fastest on `device`, once they are there for good (see joined.py)."""
        if device.type != "cpu":
            for layer in self.blocks:
                lay_together(layer.self_attn.of_one_input)  # type: ignore[union-attr, arg-type]

    def _apply(self, *arguments: Any, **named: Any) -> Generator:
        """What every `to` calls. Where a host moves the weights, what was kept with them is dropped as well."""
        before = next(self.parameters()).device
        super()._apply(*arguments, **named)
        if next(self.parameters()).device != before:
            self.when_moved(self)
        return self

    @staticmethod
    def places(height: int, width: int) -> int:
        """Tokens of a latent frame of height x width."""
        return (height // PATCH) * (width // PATCH)

    def empty_caches(self, batch: int, height: int, width: int, device: torch.device, dtype: torch.dtype) -> Caches:
        """Rings for `batch` worlds with latents of height x width."""
        config, places = self.config, self.places(height, width)
        action_heads = config.action_dim // ACTION_HEAD_DIM

        def along_time(n: int) -> Ring:
            return Ring.empty(n, config.window, 1, action_heads, ACTION_HEAD_DIM, dtype, device, config.sink)

        return [
            LayerCache(
                video=Ring.empty(batch, config.window, places, config.heads, HEAD_DIM, dtype, device, config.sink),
                mouse=along_time(batch * places) if i in config.action_layers and config.mouse else None,
                keyboard=along_time(batch) if i in config.action_layers else None,
            )
            for i in range(config.layers)
        ]

    def prepare_rollout(self, features: Tensor, timesteps: Sequence[float] | Tensor) -> RolloutConstants:
        """Image features [B, 257, visual_dim] and the timesteps of all passes -> what a rollout keeps."""
        image = self.img_emb(features.to(self.compute_dtype))
        image_kv = [layer.cross_attn.prepare(image) for layer in self.blocks]  # type: ignore[operator, union-attr]
        e = self._time_embedding(timesteps, image)  # [steps, dim]
        parts = self.time_projection["1"](F.silu(e)).unflatten(-1, (6, self.config.dim))  # [steps, 6, dim]
        own = torch.stack([cast(layer.modulation, parts)[0] for layer in self.blocks])  # type: ignore[arg-type]
        modulations = parts.unsqueeze(1) + own  # [steps, layers, 6, dim]
        heads = e.unsqueeze(1) + cast(self.head.modulation, e)  # [steps, 2, dim]
        one = e.new_zeros(6, 1)  # norms multiply by 1 + scale
        one[1::3].fill_(1.0)
        return RolloutConstants(image_kv, modulations + one, heads + one[:2])

    def prepare_block(
        self, first_frame: int, frames: int, height: int, width: int, inputs: ActionInputs, caches: Caches
    ) -> BlockConstants:
        """A block's place in time, and its inputs -> what its passes share. The keys' entries go into the caches.

        height, width: of the latents. inputs: any dtype; cast to the compute dtype here.
        """
        device = inputs.keyboard.device
        rows, columns = height // PATCH, width // PATCH
        span = TimeSpan(first_frame, frames, rows * columns, action_table(first_frame, frames, device))
        rotations = video_table(first_frame, frames, rows, columns, HEAD_DIM // 2, device)
        inputs = ActionInputs(
            inputs.keyboard.to(self.compute_dtype),
            None if inputs.mouse is None else inputs.mouse.to(self.compute_dtype),
        )
        cameras = [
            None if layer.action_model is None else layer.action_model.prepare(inputs, span, cache, inputs.keyboard)  # type: ignore[union-attr, operator]
            for layer, cache in zip(self.blocks, caches, strict=True)
        ]
        return BlockConstants(span, rotations, cameras)

    def forward(
        self,
        latents: Tensor,
        condition: Tensor,
        step: int,
        rollout: RolloutConstants,
        block: BlockConstants,
        caches: Caches,
    ) -> Tensor:
        """One pass: velocity of a block's latents at a step.

        latents: [B, 16, F, h, w]; condition: [B, 20, F, h, w] (mask, then the encoded image); step: index into
        the timesteps of `prepare_rollout`. Writes the block's entries into `caches`. Returns [B, 16, F, h, w].
        """
        given = torch.cat([latents.to(self.compute_dtype), condition.to(self.compute_dtype)], dim=1)
        patches = self.patch_embedding(given)  # [B, dim, F, h/2, w/2]
        frames, rows = patches.shape[2:4]
        # contiguous, because later sums keep its layout
        x = Tokens(patches.flatten(2).transpose(1, 2).contiguous())
        del given, patches
        modulations = rollout.modulations[step].unbind(0)
        of_layers = zip(self.blocks, modulations, rollout.image_kv, block.cameras, caches, strict=True)
        for layer, modulation, image_kv, camera, cache in of_layers:
            layer(x, Modulation(*modulation), image_kv, block, camera, cache, self.attention)
        shift, scale = rollout.head_modulations[step]
        y = self.head(x.norm(scale, shift))
        return rearrange(y, "b (f h w) (p q c) -> b c f (h p) (w q)", f=frames, h=rows, p=PATCH, q=PATCH)

    def _time_embedding(self, timesteps: Sequence[float] | Tensor, like: Tensor) -> Tensor:
        half = TIME_FREQUENCIES // 2
        place = timesteps.device if isinstance(timesteps, Tensor) else torch.device("cpu")
        times = torch.as_tensor(timesteps, dtype=widest_float(place))
        frequencies = 10000.0 ** (-torch.arange(half, dtype=times.dtype, device=times.device) / half)
        angles = torch.outer(times, frequencies)
        waves = upload(torch.cat([angles.cos(), angles.sin()], dim=1).to(like.dtype), like.device)
        return self.time_embedding["2"](F.silu(self.time_embedding["0"](waves)))
