"""The inverse dynamics model of Video PreTraining: the keys and mouse turns behind the frames of a video.

A convolution over time, an IMPALA CNN for each frame, and transformer layers in which every frame of a chunk sees all
others. Names of parameters are those of the published weights, 4x_idm. Some of those have no effect and are not
made: relative attention has a memory of no frames, and the published code overwrites the output of its layer before
the last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 128  # pixels of a frame's side, as the network sees it
CHUNK = 128  # frames that are seen together
BUTTONS = (
    "attack", "back", "forward", "jump", "left", "right", "sneak", "sprint", "use", "drop", "inventory",
    *(f"hotbar.{number}" for number in range(1, 10)),
)  # fmt: skip
BINS = 11  # of each camera axis
MOST_TURN = 10.0  # degrees in a frame
_MU = 10.0  # of the mu-law that makes bins finer near zero
_AT_ONCE = 8  # frames whose pixels are in memory together
_LARGEST = 1 << 17  # side of a tensor
_BASIS = 10  # of relative attention, for each head


@dataclass(frozen=True)
class Sizes:
    """span: frames that the first convolution sees. channels: its outputs, then those of each CNN stack. blocks:
    of a stack. dense, width, hidden: widths of a frame's vector, of the transformer, and of its MLP."""

    span: int
    channels: tuple[int, ...]
    blocks: int
    dense: int
    width: int
    hidden: int
    layers: int
    heads: int


PUBLISHED = Sizes(5, (128, 256, 512, 512), 2, 256, 4096, 16384, 2, 32)


class Actions(NamedTuple):
    """Logits of the inputs behind each frame. buttons: [T, BUTTONS, 2], not held and held. camera: [T, 2, BINS], down
    and right."""

    buttons: Tensor
    camera: Tensor


class _Layer(nn.Module):
    """A layer with an optional norm before it and ReLU after it."""

    def __init__(self, layer: nn.Module, norm: nn.Module | None = None, relu: bool = True) -> None:
        super().__init__()
        self.norm, self.layer, self.relu = norm, layer, relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x if self.norm is None else self.norm(x))
        return F.relu(x) if self.relu else x


def _dense(inputs: int, outputs: int) -> _Layer:
    return _Layer(nn.Linear(inputs, outputs, bias=False), nn.LayerNorm(inputs))


def _conv(inputs: int, outputs: int) -> _Layer:
    return _Layer(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.GroupNorm(1, inputs))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0, self.conv1 = _conv(channels, channels), _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv1(self.conv0(x))


class _Stack(nn.Module):
    """Halves the sides of maps [N, C, H, W]."""

    def __init__(self, inputs: int, outputs: int, blocks: int) -> None:
        super().__init__()
        self.firstconv, self.n = _conv(inputs, outputs), nn.GroupNorm(1, outputs)
        self.blocks = nn.Sequential(*(_Residual(outputs) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.n(F.max_pool2d(self.firstconv(x), 3, stride=2, padding=1)))


class _Cnn(nn.Module):
    """Maps [N, C, H, W] -> vectors [N, dense]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        pairs = zip(sizes.channels, sizes.channels[1:], strict=False)
        self.stacks = nn.Sequential(*(_Stack(*pair, sizes.blocks) for pair in pairs))
        side = SIDE >> len(self.stacks)
        self.dense = _dense(sizes.channels[-1] * side * side, sizes.dense)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(self.stacks(x).flatten(1))


class _Pictures(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.cnn, self.linear = _Cnn(sizes), _dense(sizes.dense, sizes.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.cnn(x))


class _Attention(nn.Module):
    """Every frame sees all; scores are divided by the size of a head, not by its root."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_layer, self.proj_layer = nn.Linear(width, width), nn.Linear(width, width)
        self.k_layer, self.v_layer = (nn.Linear(width, width, bias=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        layers = (self.q_layer, self.k_layer, self.v_layer)
        q, k, v = (layer(x).unflatten(-1, (self.heads, -1)).transpose(0, 1) for layer in layers)
        seen = F.scaled_dot_product_attention(q[None], k[None], v[None], scale=1 / q.shape[-1])[0]
        return x + self.proj_layer(seen.transpose(0, 1).flatten(1))


class _Recurrent(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.orc_block = _Attention(width, heads)


class _Block(nn.Module):
    """Vectors [T, width]. Attention is added to the norm's output, so nothing bypasses the norm."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.pre_r_ln, self.r = nn.LayerNorm(sizes.width), _Recurrent(sizes.width, sizes.heads)
        self.mlp0 = _dense(sizes.width, sizes.hidden)
        self.mlp1 = _Layer(nn.Linear(sizes.hidden, sizes.width), relu=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.r.orc_block(self.pre_r_ln(x))
        return x + self.mlp1(self.mlp0(x))


class _Blocks(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(_Block(sizes) for _ in range(sizes.layers)))


class _Net(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.conv3d_layer = _Layer(nn.Conv3d(3, sizes.channels[0], (sizes.span, 1, 1)))
        self.img_process, self.recurrent_layer = _Pictures(sizes), _Blocks(sizes)
        self.final_ln = nn.LayerNorm(sizes.width)


class _Head(nn.Module):
    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.linear_layer = nn.Linear(width, outputs)


class _Heads(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.buttons, self.camera = _Head(width, len(BUTTONS) * 2), _Head(width, 2 * BINS)


class InverseDynamics(nn.Module):
    """The network at these sizes, with the names of the published weights."""

    def __init__(self, sizes: Sizes = PUBLISHED) -> None:
        super().__init__()
        self.sizes = sizes
        self.net, self.pi_head = _Net(sizes), _Heads(sizes.width)

    def forward(self, frames: Tensor, on_frames: Callable[[int], object] = lambda seen: None) -> Actions:
        """Frames [T, SIDE, SIDE, 3] of 8 bits, which are seen together. on_frames: called with how many were seen."""
        x = self.net.recurrent_layer.blocks(self._vectors(frames, on_frames))
        x = self.net.final_ln(F.relu(x))
        buttons, camera = self.pi_head.buttons.linear_layer(x), self.pi_head.camera.linear_layer(x)
        return Actions(buttons.unflatten(-1, (-1, 2)), camera.unflatten(-1, (2, -1)))

    def _vectors(self, frames: Tensor, on_frames: Callable[[int], object]) -> Tensor:
        """[T, width], a few frames at a time: the maps of one take 50 MB."""
        net, around = self.net, self.sizes.span - 1
        device = net.final_ln.weight.device
        black = frames.new_zeros(around // 2, *frames.shape[1:])  # before the first and after the last
        frames = torch.cat([black, frames, black])
        found = []
        for start in range(0, len(frames) - around, _AT_ONCE):
            part = frames[start : start + _AT_ONCE + around].to(device, torch.float32) / 255
            maps = net.conv3d_layer(part.permute(3, 0, 1, 2)[None])[0].transpose(0, 1)
            found.append(net.img_process(maps))
            on_frames(start + len(maps))
        return torch.cat(found)


def degrees_of_bins(bins: Tensor) -> Tensor:
    """Bins of the camera -> degrees in a frame, float64: by a mu-law, finer near zero."""
    x = bins.double() * 2 / (BINS - 1) - 1
    return x.sign() * ((1 + _MU) ** x.abs() - 1) / _MU * MOST_TURN


def network_sizes(shapes: Mapping[str, Sequence[int]]) -> Sizes:
    """The sizes of a network, from the shapes of its weights by their published names. Raises KeyError for a missing
    name, and ValueError for shapes that no such network has."""

    def count(pattern: str) -> int:
        return next(number for number in range(len(shapes) + 1) if pattern.format(number) not in shapes)

    stack, block = "net.img_process.cnn.stacks.{}.firstconv.layer.weight", "net.recurrent_layer.blocks.{}"
    first = shapes["net.conv3d_layer.layer.weight"]
    channels = [shapes[stack.format(number)][0] for number in range(count(stack))]
    basis = shapes[f"{block.format(0)}.r.orc_block.r_layer.bias"][0]
    hidden, width = shapes[f"{block.format(0)}.mlp0.layer.weight"]
    sizes = Sizes(
        span=first[2],
        channels=(first[0], *channels),
        blocks=count("net.img_process.cnn.stacks.0.blocks.{}.conv0.layer.weight"),
        dense=shapes["net.img_process.cnn.dense.layer.weight"][0],
        width=width,
        hidden=hidden,
        layers=count(block + ".pre_r_ln.weight"),
        heads=basis // _BASIS,
    )
    if not sizes.heads or basis % _BASIS or width % sizes.heads or not 1 <= len(channels) <= math.log2(SIDE):
        raise ValueError("heads or stacks do not fit")
    numbers = (*sizes.channels, sizes.span, sizes.dense, sizes.width, sizes.hidden)
    if not all(0 < number <= _LARGEST for number in numbers):
        raise ValueError("a side is of an impossible size")
    if sizes.span % 2 == 0:
        raise ValueError("the first convolution has no middle")
    return sizes


def unused_weights(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the published weights that have no effect."""
    width, basis = sizes.width, _BASIS * sizes.heads
    last = {"norm.weight": (width,), "norm.bias": (width,), "layer.weight": (width, width)}
    found: dict[str, tuple[int, ...]] = {f"net.lastlayer.{name}": shape for name, shape in last.items()}
    for number in range(sizes.layers):
        place = f"net.recurrent_layer.blocks.{number}.r.orc_block"
        found |= {
            f"{place}.b_nd": (_BASIS, 0), f"{place}.r_layer.weight": (basis, width), f"{place}.r_layer.bias": (basis,),
        }  # fmt: skip
    return found
