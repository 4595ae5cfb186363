"""Triton kernels for the sums between the matrix products: one pass over memory where torch makes several.

Only `fused.py` calls these, on CUDA. They compute in float32 and round once, so their last digit may differ from
the same sums in several steps. Triton's interpreter runs them on a CPU (tests/compute/kernel_checks.py).
"""

# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportOperatorIssue=false

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor


@triton.jit(do_not_specialize=["first_slot"])
def _norm_rotate(
    x, weight, table, v, out, v_out,
    frames, places, first_slot, window, ring,
    x_row, v_row, table_frame, table_place, out_batch, out_frame, out_place, eps,
    WIDTH: tl.constexpr, HEAD: tl.constexpr, TURNING: tl.constexpr, WEIGHTED: tl.constexpr, VALUES: tl.constexpr,
    GROUPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    group = tl.arange(0, GROUPS)[:, None] + tl.program_id(1) * GROUPS
    batch = row // (frames * places)
    frame = row // places % frames
    place = row % places
    pair = tl.arange(0, BLOCK)[None, :]
    inside = (pair < WIDTH // 2) & (group >= 0)
    start = x + row * x_row + group * WIDTH
    even = tl.load(start + 2 * pair, mask=inside, other=0.0).to(tl.float32)
    odd = tl.load(start + 2 * pair + 1, mask=inside, other=0.0).to(tl.float32)
    scale = 1.0 / tl.sqrt(tl.sum(even * even + odd * odd, axis=1) / WIDTH + eps)[:, None]
    even, odd = even * scale, odd * scale
    if WEIGHTED:
        even = even * tl.load(weight + 2 * pair, mask=inside, other=0.0).to(tl.float32)
        odd = odd * tl.load(weight + 2 * pair + 1, mask=inside, other=0.0).to(tl.float32)
    in_head = pair % (HEAD // 2)
    turning = inside & (in_head < TURNING)
    turn = table + 2 * ((frame * table_frame + place * table_place) * TURNING + in_head)
    cos = tl.load(turn, mask=turning, other=1.0)
    sin = tl.load(turn + 1, mask=turning, other=0.0)
    slot = first_slot + frame
    slot = tl.where(slot < window, slot, slot - ring)
    target = batch * out_batch + slot * out_frame + place * out_place + group * WIDTH + 2 * pair
    tl.store(out + target, (even * cos - odd * sin).to(out.dtype.element_ty), mask=inside)
    tl.store(out + target + 1, (even * sin + odd * cos).to(out.dtype.element_ty), mask=inside)
    if VALUES:
        values = v + row * v_row + group * WIDTH + 2 * pair
        tl.store(v_out + target, tl.load(values, mask=inside).to(v_out.dtype.element_ty), mask=inside)
        tl.store(v_out + target + 1, tl.load(values + 1, mask=inside).to(v_out.dtype.element_ty), mask=inside)


@triton.jit
def _residual_norm(x, gate, y, weight, bias, x_out, normed, scales, eps, largest, smallest,
                   WIDTH: tl.constexpr, GATED: tl.constexpr, QUANTISED: tl.constexpr, INTEGER: tl.constexpr,
                   BLOCK: tl.constexpr):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * WIDTH
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    added = tl.load(y + row + column, mask=inside, other=0.0).to(tl.float32)
    if GATED:
        added = added * tl.load(gate + column, mask=inside, other=0.0).to(tl.float32)
    total = (tl.load(x + row + column, mask=inside, other=0.0).to(tl.float32) + added).to(x_out.dtype.element_ty)
    tl.store(x_out + row + column, total, mask=inside)
    total = total.to(tl.float32)  # the norm sees what was stored, as it would in two steps
    centred = tl.where(inside, total - tl.sum(total) / WIDTH, 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred) / WIDTH + eps)
    weights = tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    biases = tl.load(bias + column, mask=inside, other=0.0).to(tl.float32)
    result = centred * scale * weights + biases
    if QUANTISED:
        result = result.to(x.dtype.element_ty).to(tl.float32)  # as it is when it goes through memory
        size = _scale_of_row(tl.where(inside, result, 0.0), largest, smallest)
        tl.store(scales + tl.program_id(0), size)
        result = _in_8_bits(result / size, INTEGER)
    tl.store(normed + row + column, result.to(normed.dtype.element_ty), mask=inside)


@triton.jit
def _scale_of_row(value, largest, smallest):
    return tl.maximum(tl.max(tl.abs(value)) / largest, smallest)


@triton.jit
def _in_8_bits(value, INTEGER: tl.constexpr):
    if INTEGER:
        value = (value + 12582912.0) - 12582912.0  # to the nearest integer, halves to even
    return value


@triton.jit
def _channel_norm_silu(x, gamma, out, total, positions, out_batch, scale, CHANNELS: tl.constexpr,
                       ROWS: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    channel = tl.arange(0, BLOCK)[None, :]
    inside = (row < total) & (channel < CHANNELS)
    value = tl.load(x + row * CHANNELS + channel, mask=inside, other=0.0).to(tl.float32)
    length = tl.maximum(tl.sqrt(tl.sum(value * value, axis=1)), 1e-12)[:, None]
    value = value / length * scale * tl.load(gamma + channel, mask=channel < CHANNELS, other=0.0).to(tl.float32)
    value = value / (1.0 + tl.exp(-value))
    target = out + row // positions * out_batch + row % positions * CHANNELS
    tl.store(target + channel, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _add(x, bias, y, total, CHANNELS: tl.constexpr, ADDED: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    channel = tl.arange(0, BLOCK)[None, :]
    inside = (row < total) & (channel < CHANNELS)
    place = row * CHANNELS + channel
    value = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
    value += tl.load(bias + channel, mask=channel < CHANNELS, other=0.0).to(tl.float32)
    if ADDED:
        value += tl.load(y + place, mask=inside, other=0.0).to(tl.float32)
    tl.store(x + place, value.to(x.dtype.element_ty), mask=inside)


@triton.jit
def _few_keys(q, k, v, out, queries, keys, scale, q_batch, q_row, kv_batch, kv_row, out_batch, out_row,
              HEADS: tl.constexpr, DIM: tl.constexpr, ROWS: tl.constexpr):  # fmt: skip
    batch = tl.program_id(0).to(tl.int64)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)  # a query of a head; heads lie beside each other
    dim = tl.arange(0, DIM)[None, :]
    inside = (row < queries * HEADS)[:, None]
    head = (row % HEADS)[:, None] * DIM
    query = tl.load(q + batch * q_batch + (row // HEADS)[:, None] * q_row + head + dim, mask=inside, other=0.0)
    query = query.to(tl.float32) * scale
    largest = tl.full((ROWS,), float("-inf"), dtype=tl.float32)
    total = tl.zeros((ROWS,), dtype=tl.float32)
    result = tl.zeros((ROWS, DIM), dtype=tl.float32)
    for slot in range(keys):
        at = batch * kv_batch + slot * kv_row + head + dim
        score = tl.sum(query * tl.load(k + at, mask=inside, other=0.0).to(tl.float32), axis=1)
        new = tl.maximum(largest, score)
        kept, weight = tl.exp(largest - new), tl.exp(score - new)
        total = total * kept + weight
        value = tl.load(v + at, mask=inside, other=0.0).to(tl.float32)
        result = result * kept[:, None] + weight[:, None] * value
        largest = new
    place = batch * out_batch + (row // HEADS)[:, None] * out_row + head + dim
    tl.store(out + place, (result / total[:, None]).to(out.dtype.element_ty), mask=inside)


@triton.jit
def _quantise_rows(x, values, scales, x_row, largest, smallest, WIDTH: tl.constexpr, GELU: tl.constexpr,
                   INTEGER: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    value = tl.load(x + row * x_row + column, mask=inside, other=0.0).to(tl.float32)
    if GELU:  # tanh(z) = 1 - 2 / (1 + exp(2 z)), which no z breaks
        z = 0.7978845608028654 * (value + 0.044715 * value * value * value)
        value = value * (1.0 - 1.0 / (1.0 + tl.exp(2.0 * z)))
        value = value.to(x.dtype.element_ty).to(tl.float32)  # as it is when it goes through memory
    scale = _scale_of_row(value, largest, smallest)
    value = _in_8_bits(value / scale, INTEGER)
    tl.store(values + row * WIDTH + column, value.to(values.dtype.element_ty), mask=inside)
    tl.store(scales + row, scale)


@triton.jit
def _scale_product(sums, rows, columns, bias, out, total, WIDTH: tl.constexpr, BIASED: tl.constexpr,
                   ROWS: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)[None, :]
    inside = (row < total) & (column < WIDTH)
    wide = column < WIDTH
    scale = tl.load(rows + row, mask=row < total, other=0.0) * tl.load(columns + column, mask=wide, other=0.0)
    value = tl.load(sums + row * WIDTH + column, mask=inside, other=0).to(tl.float32) * scale
    if BIASED:
        value += tl.load(bias + column, mask=wide, other=0.0).to(tl.float32)
    tl.store(out + row * WIDTH + column, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _convolve(x, weight, bias, added, out, positions, frames, height, width, x_batch, x_frame, x_row,
              ADDED: tl.constexpr, CHANNELS: tl.constexpr, WIDTH: tl.constexpr, TAPS_T: tl.constexpr,
              TAPS: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
              WHOLE: tl.constexpr, REST: tl.constexpr):  # fmt: skip
    """One tile of the convolution as a matrix product whose left side is gathered from x, tap by tap. WHOLE: channels
    in whole tiles; where they are not all of WIDTH, the REST beside them have sums of their own."""
    tiles_n: tl.constexpr = (WHOLE + BLOCK_N - 1) // BLOCK_N
    program = tl.program_id(0)
    place = (program // tiles_n) * BLOCK_M + tl.arange(0, BLOCK_M)
    channel_out = (program % tiles_n) * BLOCK_N + tl.arange(0, BLOCK_N)
    within = place < positions
    column = place % width
    row = place // width % height
    frame = place // (width * height) % frames
    batch = place // (width * height * frames)
    start = batch.to(tl.int64) * x_batch + frame.to(tl.int64) * x_frame + row * x_row + column * CHANNELS
    blocks: tl.constexpr = CHANNELS // BLOCK_K
    taps: tl.constexpr = TAPS_T * TAPS * TAPS
    half: tl.constexpr = TAPS // 2
    inner = tl.arange(0, BLOCK_K)
    wide = channel_out < WIDTH
    sums = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    channel_rest = WHOLE + tl.arange(0, REST)
    sums_rest = tl.zeros((BLOCK_M, REST), dtype=tl.float32)
    for step in range(taps * blocks):
        tap = step // blocks
        down = tap // TAPS % TAPS - half
        across = tap % TAPS - half
        channel = (step % blocks) * BLOCK_K + inner
        inside = within & (row + down >= 0) & (row + down < height) & (column + across >= 0) & (column + across < width)
        shift = (tap // (TAPS * TAPS)) * x_frame + down * x_row + across * CHANNELS
        left = tl.load(x + (start + shift)[:, None] + channel[None, :], mask=inside[:, None], other=0.0)
        right = tl.load(
            weight + channel_out[None, :] * (taps * CHANNELS) + tap * CHANNELS + channel[:, None],
            mask=wide[None, :], other=0.0,
        )  # fmt: skip
        sums = tl.dot(left, right, sums)
        if WHOLE < WIDTH:
            right_rest = tl.load(weight + channel_rest[None, :] * (taps * CHANNELS) + tap * CHANNELS + channel[:, None])
            sums_rest = tl.dot(left, right_rest, sums_rest)
    sums += tl.load(bias + channel_out, mask=wide, other=0.0).to(tl.float32)[None, :]
    target = place.to(tl.int64)[:, None] * WIDTH + channel_out[None, :]
    written = within[:, None] & wide[None, :]
    if ADDED:
        sums += tl.load(added + target, mask=written, other=0.0).to(tl.float32)
    tl.store(out + target, sums.to(out.dtype.element_ty), mask=written)
    if WHOLE < WIDTH:
        sums_rest += tl.load(bias + channel_rest).to(tl.float32)[None, :]
        target_rest = place.to(tl.int64)[:, None] * WIDTH + channel_rest[None, :]
        if ADDED:
            sums_rest += tl.load(added + target_rest, mask=within[:, None], other=0.0).to(tl.float32)
        tl.store(out + target_rest, sums_rest.to(out.dtype.element_ty), mask=within[:, None])


def norm_rotate(
    x: Tensor, weight: Tensor | None, table: Tensor, out: Tensor, v: Tensor | None = None,
    v_out: Tensor | None = None, *, frames: int, places: int, first_slot: int,
    window: int, ring: int, table_strides: tuple[int, int], out_strides: tuple[int, int, int], width: int, head: int,
    eps: float,
) -> None:  # fmt: skip
    """RMS norm of groups of `width`, rotation, and the write to its place, in one pass over x.

    x: [rows, groups * width], rows in the order batch, frame, place, any distance apart. table: float32 [..., 2],
    cos and sin; table_strides: its rows from frame to frame and from place to place. out_strides: elements from
    batch to batch, frame slot to frame slot, place to place. Frames go into consecutive slots; after the last of
    `window` comes the first of the last `ring`. v, of x's shape: copied to the same places of v_out.
    """
    rows, total = x.shape
    groups = total // width
    together = groups & -groups  # the largest power of 2 in it
    _norm_rotate[(rows, groups // together)](
        x, weight if weight is not None else x, table, x if v is None else v, out, out if v_out is None else v_out,
        frames, places, first_slot, window, ring, x.stride(0), 0 if v is None else v.stride(0), *table_strides,
        *out_strides, eps, WIDTH=width, HEAD=head, TURNING=table.shape[-2], WEIGHTED=weight is not None,
        VALUES=v is not None, GROUPS=together,
        BLOCK=triton.next_power_of_2(width // 2),
    )  # fmt: skip


def residual_norm(
    x: Tensor, gate: Tensor | None, y: Tensor, weight: Tensor, bias: Tensor, eps: float, x_out: Tensor, normed: Tensor
) -> None:
    """x + gate y into x_out, and its layer norm into normed; all contiguous, [rows, width] but for the vectors."""
    width = x.shape[-1]
    _residual_norm[(x.numel() // width,)](
        x, gate if gate is not None else x, y, weight, bias, x_out, normed, normed, eps, 1.0, 1.0,
        WIDTH=width, GATED=gate is not None, QUANTISED=False, INTEGER=False, BLOCK=triton.next_power_of_2(width),
    )  # fmt: skip


def residual_norm_rows(
    x: Tensor, gate: Tensor | None, y: Tensor, weight: Tensor, bias: Tensor, eps: float, x_out: Tensor, values: Tensor,
    scales: Tensor, largest: float, smallest: float,
) -> None:  # fmt: skip
    """residual_norm, with the norm as rows of 8 bits with a scale each."""
    width = x.shape[-1]
    _residual_norm[(x.numel() // width,)](
        x, gate if gate is not None else x, y, weight, bias, x_out, values, scales, eps, largest, smallest,
        WIDTH=width, GATED=gate is not None, QUANTISED=True, INTEGER=not values.is_floating_point(),
        BLOCK=triton.next_power_of_2(width),
    )  # fmt: skip


def scale_product(sums: Tensor, rows: Tensor, columns: Tensor, bias: Tensor | None, out: Tensor) -> None:
    """Sums [N, W] times the scales of rows [N, 1] and columns [W], plus bias [W], into out [N, W]."""
    total, width = sums.shape
    block = min(1024, triton.next_power_of_2(width))
    tile = 4096 // block
    _scale_product[(triton.cdiv(total, tile), triton.cdiv(width, block))](
        sums, rows, columns, columns if bias is None else bias, out, total,
        WIDTH=width, BIASED=bias is not None, ROWS=tile, BLOCK=block,
    )  # fmt: skip


def channel_norm_silu(x: Tensor, gamma: Tensor, out: Tensor) -> None:
    """Unit RMS over channels times gamma, then SiLU, of x [B, C, T, H, W] into out, both channels last."""
    batch, channels = x.shape[:2]
    positions = x[0, 0].numel()
    rows, block = _tile(channels)
    _channel_norm_silu[(triton.cdiv(batch * positions, rows),)](
        x, gamma, out, batch * positions, positions, out.stride(0), channels**0.5,
        CHANNELS=channels, ROWS=rows, BLOCK=block,
    )  # fmt: skip


def add(x: Tensor, bias: Tensor, y: Tensor | None) -> None:
    """x += bias + y, all [B, C, T, H, W] channels last but for bias [C]."""
    channels = x.shape[1]
    total = x.numel() // channels
    rows, block = _tile(channels)
    _add[(triton.cdiv(total, rows),)](
        x, bias, x if y is None else y, total, CHANNELS=channels, ADDED=y is not None, ROWS=rows, BLOCK=block
    )


def _tile(channels: int) -> tuple[int, int]:
    block = triton.next_power_of_2(channels)
    return max(1, 4096 // block), block


def few_keys(q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> None:
    """Attention of q [N, L, H, D] over at most 16 keys and values [N, K, H, D]; heads and dims lie together.

    General kernels make tiles of 64 keys and more: with 6 keys, most of their work is thrown away.
    """
    batch, queries, heads, dim = q.shape
    rows = min(64, triton.next_power_of_2(queries * heads))
    _few_keys[(batch, triton.cdiv(queries * heads, rows))](
        q, k, v, out, queries, k.shape[1], dim**-0.5, q.stride(0), q.stride(1), k.stride(0), k.stride(1),
        out.stride(0), out.stride(1), HEADS=heads, DIM=dim, ROWS=rows,
    )  # fmt: skip


def quantise_rows(x: Tensor, values: Tensor, scales: Tensor, largest: float, smallest: float, gelu: bool) -> None:
    """Rows of x [N, K] into 8 bits with a scale each; gelu: of their GELU (tanh form)."""
    rows, width = x.shape
    block = triton.next_power_of_2(width)
    _quantise_rows[(rows,)](
        x, values, scales, x.stride(0), largest, smallest,
        WIDTH=width, GELU=gelu, INTEGER=not values.is_floating_point(), BLOCK=block, num_warps=8 if block > 4096 else 4,
    )  # fmt: skip


def convolve(x: Tensor, weight: Tensor, bias: Tensor, added: Tensor | None, out: Tensor, in_two: bool = False) -> None:
    """Causal convolution of x [B, C, T + taps - 1, H, W] plus bias (plus `added`) into out [B, O, T, H, W], all
    channels last, with zeros around the places. weight: [O, C, taps, k, k], channels last; k odd; C a multiple of 32.
    in_two: 96 channels as 64 and 32.
    """
    batch, width, frames, height, across = out.shape
    channels, taps_t, taps = x.shape[1], weight.shape[2], weight.shape[3]
    positions = batch * frames * height * across
    block_m, block_n, block_k = 256, 128, 32  # the fastest of those measured for 96 channels on an H100
    whole, block_n = (64, 64) if in_two and width == 96 else (width, block_n)
    _convolve[(triton.cdiv(positions, block_m) * triton.cdiv(whole, block_n),)](
        x, weight, bias, out if added is None else added, out, positions, frames, height, across,
        x.stride(0), x.stride(2), x.stride(3), ADDED=added is not None,
        CHANNELS=channels, WIDTH=width, TAPS_T=taps_t, TAPS=taps,
        BLOCK_M=block_m, BLOCK_N=block_n, BLOCK_K=block_k, WHOLE=whole, REST=32, num_warps=8, num_stages=3,
    )  # fmt: skip
