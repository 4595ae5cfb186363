"""How the player's inputs enter a block: the camera token by token, the keys shared by all places.

The last 12 input rows before row 4 i act on latent frame i. What depends on the inputs alone is made once
per block of the rollout (`prepare`), not in every pass. Both attentions look along time only, at the latent
frames inside the window.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ...compute.attention import Attention, sdpa
from ...compute.fused import few_keys
from ...compute.ops import OperationsLike, is_wrapped, linear
from .kv_cache import LayerCache, Ring
from .norms import EPS, norm_rotate, norm_rotate_into
from .tokens import Tokens

HEAD_DIM = 64
INPUT_ROWS = 12  # rows that act on a latent frame


@dataclass(frozen=True)
class ActionInputs:
    """The input rows of a block, cut into windows: keyboard [B, F, 12, keys], mouse [B, F, 24] or None."""

    keyboard: Tensor
    mouse: Tensor | None


@dataclass(frozen=True)
class TimeSpan:
    """The latent frames of a block, and what attention along them needs."""

    first_frame: int
    frames: int
    places: int  # tokens of a latent frame
    rotations: Tensor  # complex64 [F, 1, 4]

    @property
    def end_frame(self) -> int:
        """The latent frame after the block."""
        return self.first_frame + self.frames


class UnusedNorm(nn.Module):
    """A norm whose weight the published files carry and the published network does not apply."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(HEAD_DIM))


class ActionModule(nn.Module):
    """Camera (where `mouse`) and keyboard of one layer. Parameter names are the published ones."""

    def __init__(
        self, ops: OperationsLike, dim: int, hidden: int, keyboard_dim: int, keyboard_hidden: int, mouse: bool
    ) -> None:
        super().__init__()
        self.dim = dim
        self.heads = hidden // HEAD_DIM
        if mouse:
            self.mouse_mlp = nn.ModuleDict(
                {
                    "0": ops.Linear(dim + 2 * INPUT_ROWS, hidden),
                    "2": ops.Linear(hidden, hidden),
                    "3": ops.LayerNorm(hidden, eps=1e-5),
                }
            )
            self.t_qkv = ops.Linear(hidden, 3 * hidden, bias=False)
            self.img_attn_q_norm, self.img_attn_k_norm = UnusedNorm(), UnusedNorm()
            self.proj_mouse = ops.Linear(hidden, dim, bias=False)
        else:
            self.mouse_mlp = None
        self.keyboard_embed = nn.ModuleDict(
            {"0": ops.Linear(keyboard_dim, keyboard_hidden), "2": ops.Linear(keyboard_hidden, keyboard_hidden)}
        )
        self.key_attn_q_norm, self.key_attn_k_norm = UnusedNorm(), UnusedNorm()
        self.mouse_attn_q = ops.Linear(dim, hidden, bias=False)  # the keyboard's query, whatever the file calls it
        self.keyboard_attn_kv = ops.Linear(keyboard_hidden * INPUT_ROWS, 2 * hidden, bias=False)
        self.proj_keyboard = ops.Linear(hidden, dim, bias=False)
        self._weights_in_use = ops.weights_in_use

    def prepare(self, inputs: ActionInputs, span: TimeSpan, cache: LayerCache, like: Tensor) -> Tensor | None:
        """What the block's inputs alone decide: the keys' entries go into the cache; returns the camera's share of the
        first mouse layer, [B, F, 1, hidden], or None without a camera. A wrapped layer must see token and
        camera side by side: for it, the camera's values themselves, [B, F, 1, 24]."""
        assert cache.keyboard is not None
        rows = self.keyboard_embed["2"](F.silu(self.keyboard_embed["0"](inputs.keyboard)))  # [B, F, 12, Hk]
        kv = self.keyboard_attn_kv(rows.flatten(2)).unflatten(-1, (2, self.heads, HEAD_DIM))
        k, v = (part.flatten(2) for part in kv.unbind(2))  # [B, F, heads * 64]
        norm_rotate_into(cache.keyboard, span.first_frame, k, v, None, span.rotations, HEAD_DIM, EPS)
        if self.mouse_mlp is None or inputs.mouse is None:
            return None
        if is_wrapped(self.mouse_mlp["0"]):
            return inputs.mouse.unsqueeze(2)
        with self._weights_in_use(self.mouse_mlp["0"], like) as (weight, bias):
            return F.linear(inputs.mouse, weight[:, self.dim :], bias).unsqueeze(2)

    def forward(
        self, x: Tokens, camera: Tensor | None, span: TimeSpan, cache: LayerCache, attention: Attention
    ) -> None:
        """Adds the camera's share to the tokens, and then the keys' share. camera: what `prepare` returned."""
        if camera is not None:
            x.add(self._mouse(x.sum(), camera, span, cache, attention))
        x.add(self._keyboard(x.sum(), span, cache, attention))

    def _mouse(self, x: Tensor, camera: Tensor, span: TimeSpan, cache: LayerCache, attention: Attention) -> Tensor:
        assert self.mouse_mlp is not None
        assert cache.mouse is not None
        h = self._first_mouse_layer(x, camera, span)
        h = self.mouse_mlp["3"](self.mouse_mlp["2"](F.gelu(h, approximate="tanh")))
        q, k, v = self.t_qkv(h).flatten(1, 2).chunk(3, dim=-1)  # three of [B, F*S, hidden]
        norm_rotate_into(cache.mouse, span.first_frame, k, v, None, span.rotations, HEAD_DIM, EPS, apart=span.places)
        q = norm_rotate(q, None, span.rotations, HEAD_DIM, EPS)
        # every place looks along its own time; for one world without a copy
        q = rearrange(q, "b (f s) heads d -> (b s) f heads d", s=span.places)
        y = attend_along_time(q, cache.mouse, span.end_frame, attention)
        return self.proj_mouse(rearrange(y, "(b s) f heads d -> b (f s) (heads d)", s=span.places))

    def _first_mouse_layer(self, x: Tensor, camera: Tensor, span: TimeSpan) -> Tensor:
        """[B, F, S, hidden]; the weight's columns for the camera were applied in `prepare`."""
        assert self.mouse_mlp is not None
        first = self.mouse_mlp["0"]
        if is_wrapped(first):
            tokens = x.unflatten(1, (span.frames, span.places))
            return first(torch.cat([tokens, camera.expand(-1, -1, span.places, -1)], dim=-1))
        with self._weights_in_use(first, x) as (weight, _):
            return linear(x, weight[:, : self.dim], None).unflatten(1, (span.frames, span.places)) + camera

    def _keyboard(self, x: Tensor, span: TimeSpan, cache: LayerCache, attention: Attention) -> Tensor:
        assert cache.keyboard is not None
        q = norm_rotate(self.mouse_attn_q(x), None, span.rotations, HEAD_DIM, EPS)  # [B, F*S, heads, 64]
        k, v = cache.keyboard.read(span.end_frame, q.dtype)  # shared by all places: one entry a latent frame
        y = few_keys(q, k, v)
        return self.proj_keyboard((attention(q, k, v) if y is None else y).flatten(2))


def attend_along_time(q: Tensor, ring: Ring, end_frame: int, attention: Attention) -> Tensor:
    """Attention of q [N, F, heads, dim] over the few frames of a ring.

    On a CPU thousands of 3 x 6 problems are faster as one batched product than as one attention call.
    """
    k, v = ring.read(end_frame, q.dtype)
    if q.device.type != "cpu" or attention != sdpa:
        y = few_keys(q, k, v)
        return attention(q, k, v) if y is None else y
    q, k, v = (y.transpose(1, 2) for y in (q.contiguous(), k, v))  # [N, heads, F, dim]
    weights = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2)).softmax(dim=-1)
    return torch.matmul(weights, v).transpose(1, 2)
