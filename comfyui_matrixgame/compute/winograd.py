"""3x3 convolutions of a CPU in float32 with a quarter of the products: Winograd's F(4x4, 3x3).

Every tile of 4x4 results comes from 6x6 inputs: both the inputs and the kernel are taken through small fixed sums
(Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016), multiplied place by place, and the
products taken back. A place's products over all channels are one matrix product for many tiles at a time. Rounding is
that of float32, about four times as large as a direct convolution's (tests/compute/test_winograd.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

SIDE, REACH = 4, 6  # of a tile's results, and of the inputs they come from
ROWS, COLUMNS = 11, 20  # most tiles at a time: intermediate values should stay in a CPU's caches
CHANNELS = 96  # fewer, and the sums cost more than the products they save
PLACES = 3000  # of a frame; on fewer, the kernel's own sums cost more
KERNEL_SUMS = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether `convolve` is worth its sums for inputs x [..., H, W] and weight [O, C, ..., 3, 3]."""
    height, width = x.shape[-2:]
    return min(weight.shape[:2]) >= CHANNELS and height * width >= PLACES and min(height, width) >= SIDE


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x [B, C, T, H, W] with weight [O, C, D, 3, 3], padded by one in space -> [B, O, T - D + 1, H, W], channels last.

    All in float32; H and W at least 4. Besides inputs and results it takes memory for the transformed kernel (4 times
    the weight) and the current tiles. A frame's results do not depend on how many come with it.
    """
    depth = weight.shape[2]
    height, width = x.shape[-2:]
    tiles = Tiles(_even(height, ROWS), _even(width, COLUMNS), _transform_kernel(weight))
    size = (x.shape[0], weight.shape[0], x.shape[2] - depth + 1, height, width)
    y = torch.empty(size, dtype=x.dtype, memory_format=torch.channels_last_3d)
    frames, results = x.permute(0, 2, 3, 4, 1), y.permute(0, 2, 3, 4, 1)  # [B, T, H, W, C]
    for b, row, column in itertools.product(range(size[0]), _starts(height, tiles.height), _starts(width, tiles.width)):
        for t, frame in enumerate(frames[b]):
            tiles.take(frame, row, column)
            for d in range(max(0, t - size[2] + 1), min(depth, t + 1)):
                tiles.multiply(t - d, d)
            if t >= depth - 1:
                tiles.give(results[b, t - depth + 1], t - depth + 1, row, column, bias)
    return y


def _even(length: int, most: int) -> int:
    """Tiles at a time, in about equal shares, that together cover `length` places."""
    tiles = -(-length // SIDE)
    return min(-(-tiles // -(-tiles // most)), length // SIDE)


def _starts(length: int, step: int) -> list[int]:
    """Where pieces of `step` places begin; the last one ends where the places do, even if some are covered twice."""
    return [min(start, length - step) for start in range(0, length, step)]


def _transform_kernel(weight: Tensor) -> Tensor:
    """Weight [O, C, D, 3, 3] -> [D, 36, C, O]."""
    sums = torch.tensor(KERNEL_SUMS, dtype=weight.dtype)
    both = torch.kron(sums, sums)  # [36, 9]
    wide = weight.permute(2, 3, 4, 1, 0).flatten(1, 2).flatten(2)  # [D, 9, C * O]
    return torch.matmul(both, wide).unflatten(2, (weight.shape[1], weight.shape[0]))


class Tiles:
    """Buffers for some rows and columns of tiles on their way through, used again for the next ones."""

    def __init__(self, rows: int, columns: int, kernel: Tensor) -> None:
        """kernel: [D, 36, C, O]."""
        self.rows, self.columns, self.kernel = rows, columns, kernel
        self.height, self.width = SIDE * rows, SIDE * columns
        depth, _, channels, out = kernel.shape
        edge = self.height + 2
        new = kernel.new_empty
        # columns by their place in a tile, so that all that follows runs along whole rows of tiles
        self.phases = new(SIDE, edge, columns + 1, channels)
        self.halfway = new(REACH, edge, columns, channels)
        self.inputs = new(REACH, REACH, rows, columns, channels)
        self.products = new(depth, REACH, REACH, rows, columns, out)  # of results that are not yet whole
        self.half_back = new(SIDE, REACH, rows, columns, out)
        self.spare = [new(edge, columns, channels) for _ in range(2)]
        self.spare_inputs = [new(REACH, rows, columns, channels) for _ in range(2)]
        self.spare_back = [new(REACH, rows, columns, out) for _ in range(4)]
        self.spare_results = [new(SIDE, rows, columns, out) for _ in range(4)]

    def take(self, frame: Tensor, row: int, column: int) -> None:
        """Transform the inputs of the tiles from this row and column on; frame [H, W, C]."""
        height, width = frame.shape[:2]
        top, bottom = max(row - 1, 0), min(row + self.height + 1, height)
        inside = slice(top - row + 1, bottom - row + 1)
        if top == row:
            self.phases[:, 0] = 0
        if bottom == row + self.height:
            self.phases[:, -1] = 0
        for place, phase in enumerate(self.phases):
            count = self.columns + (place < REACH - SIDE)
            first = column - 1 + place
            begin, end = int(first < 0), count - int(first + SIDE * (count - 1) >= width)
            phase[:, :begin] = 0
            phase[:, end:count] = 0
            places = slice(first + SIDE * begin, first + SIDE * (end - 1) + 1, SIDE)
            phase[inside, begin:end] = frame[top:bottom, places]
        columns = [self.phases[j % SIDE, :, j // SIDE : j // SIDE + self.columns] for j in range(REACH)]
        _input_sums(columns, self.halfway, self.spare)
        stop = self.height - SIDE + 1
        _input_sums([self.halfway[:, i : i + stop : SIDE] for i in range(REACH)], self.inputs, self.spare_inputs)

    def multiply(self, t: int, d: int) -> None:
        """A matrix product over channels for each of the 36 places, with the kernel's d-th frame, for result t."""
        inputs = self.inputs.flatten(0, 1).flatten(1, 2)  # [36, tiles, C]
        products = self.products[t % len(self.kernel)].flatten(0, 1).flatten(1, 2)
        if d == 0:
            torch.bmm(inputs, self.kernel[d], out=products)
        else:
            torch.baddbmm(products, inputs, self.kernel[d], out=products)

    def give(self, frame: Tensor, t: int, row: int, column: int, bias: Tensor | None) -> None:
        """Write result t of the tiles into frame [H, W, O]."""
        _result_sums(self.products[t % len(self.kernel)], self.half_back, self.spare_back)
        place = frame[row : row + self.height, column : column + self.width]
        place = place.unflatten(1, (self.columns, SIDE)).unflatten(0, (self.rows, SIDE))
        places = place.permute(3, 1, 0, 2, 4)  # places in a tile: column, row; then rows and columns of tiles
        _result_sums(self.half_back.unbind(1), places, self.spare_results, bias)


def _input_sums(d: Sequence[Tensor], out: Tensor, spare: Sequence[Tensor]) -> None:
    """out[i] = sum over j of B[j, i] d[j], along one side of the tiles; 6 to 6."""
    a, b = spare
    torch.sub(d[4], d[2], alpha=4, out=a)
    torch.sub(d[3], d[1], alpha=4, out=b)
    torch.add(a, b, out=out[1])
    torch.sub(a, b, out=out[2])
    torch.sub(d[4], d[2], out=a)
    torch.sub(d[3], d[1], out=b)
    torch.add(a, b, alpha=2, out=out[3])
    torch.sub(a, b, alpha=2, out=out[4])
    torch.sub(d[5], d[3], out=out[5]).sub_(b, alpha=4)
    torch.sub(d[0], d[2], out=b)
    torch.add(a, b, alpha=4, out=out[0])


def _result_sums(
    m: Sequence[Tensor] | Tensor, out: Tensor, spare: Sequence[Tensor], bias: Tensor | None = None
) -> None:
    """out[i] = sum over j of A[j, i] m[j], plus bias, along one side of the tiles; 6 to 4."""
    a, b, c, d = spare
    torch.add(m[1], m[2], out=a)
    torch.sub(m[1], m[2], out=b)
    torch.add(m[3], m[4], out=c)
    torch.sub(m[3], m[4], out=d)
    if bias is not None:
        a.add_(bias)
        b.add_(bias)
    torch.add(a, c, alpha=4, out=out[2])
    torch.add(a.add_(m[0]), c, out=out[0])
    torch.add(b, d, alpha=2, out=out[1])
    torch.add(b.add_(m[5]), d, alpha=8, out=out[3])
