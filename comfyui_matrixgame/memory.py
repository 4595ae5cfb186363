"""How much memory a rollout will need, before it starts.

Caches and the decoder's state are exact: their shapes follow from the networks, which are laid out on torch's meta
device and not run. The working memory is an estimate from the largest activations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch

from .errors import BackendError
from .networks.generator import Generator, GeneratorConfig
from .networks.vae import TinyDecoder, WanVAE
from .networks.vae.base import SPATIAL_STRIDE, State
from .networks.vae.history import AT_ONCE, MEMORY
from .networks.vae.low_memory import tiles_of
from .system.resources import gigabytes
from .variants import LATENTS_PER_BLOCK

MODES = ("auto", "full", "fp8", "stream")
TILES = (1, 2, 4)  # tiles that frames are decoded in; the fewest that fit are used
# bytes of a GPU left for what lies between allocations, and for recorded passes: on an H100 a rollout that had 10.28 GB
# in use could not have all of 11.3 GB (measured: bench/results/h100-2026-11-26.md)
RESERVE = 1_200_000_000
WORLD_BYTES = 2e9  # for worlds kept while one is played, so that going back is quick
MOST_WORLDS = 32
ENCODER_COPIES = 5  # of the widest full-size activation that live at once while four frames are encoded
DECODER_COPIES = 6  # the same, while a latent frame is decoded
DECODED_AT_ONCE = {"cpu": MEMORY + AT_ONCE}  # frames of that activation, with those before them; 6 elsewhere


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes by purpose, all on the device that computes."""

    weights: int
    caches: int
    decoder_state: int
    working: int
    encoder_state: int = 0
    worlds: int = 0  # that are kept to go back to

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.caches + self.decoder_state + self.working + self.encoder_state + self.worlds

    def __str__(self) -> str:
        parts = (
            f"weights {gigabytes(self.weights)}",
            f"caches {gigabytes(self.caches)}",
            f"decoder state {gigabytes(self.decoder_state)}",
            f"working {gigabytes(self.working)}",
            *([f"encoder state {gigabytes(self.encoder_state)}"] if self.encoder_state else []),
            *([f"worlds to go back to {gigabytes(self.worlds)}"] if self.worlds else []),
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
    kept: bool = True,
    played: bool = False,
    encode_at_once: bool = False,
    tiles: int = 1,
) -> MemoryEstimate:
    """The memory of a rollout of `batch` worlds with frames of height x width; weights in bytes.

    device: where it runs; None for a GPU. kept: whether the world that it goes on from stays on the device. played:
    whether it is played, which keeps the last world and, where they are small, some before it.
    encode_at_once, tiles: see vae/low_memory.py.
    """
    rows, columns = height // SPATIAL_STRIDE, width // SPATIAL_STRIDE
    meta = torch.device("meta")
    with meta:
        caches = Generator(config).empty_caches(batch, rows, columns, meta, cache_dtype)
        vae = WanVAE(vae_width)
        decoder = TinyDecoder() if tiny else vae
    spans = tiles_of(columns, tiles)
    rings = sum(part.nbytes for layer in caches for ring in layer.rings().values() for part in (ring.k, ring.v))
    # a World stays as it is while the rollout that goes on from it has caches of its own
    ring_bytes = rings * (1 + (kept or played))
    # where there is room, the next block's first pass is launched before the last one's frames are there (see
    # world/block/making.py): beside it are kept the ring entries that it overwrites, and the decoder's state before the
    # last block
    begins = not played and not encode_at_once and (device is None or device.type == "cuda")
    ring_bytes += rings * LATENTS_PER_BLOCK // config.window if begins else 0
    # the decoder's last state is kept until its next one is whole: of one tile, since those of others are elsewhere.
    # On a GPU with room there is a third between them, after the first latent frame (see Rollout)
    copies = 2 if encode_at_once or (device is not None and device.type == "cpu") else 3
    one_state = decoder.decoder_state_elements(batch * rows * spans[0][1]) * cache_dtype.itemsize
    state_bytes = one_state * copies
    one_world = rings + one_state
    worlds_bytes = one_world * (worlds_kept(one_world) - 1) if played else 0
    seen_bytes = vae.encoder_state_elements(batch * height * columns * SPATIAL_STRIDE) * cache_dtype.itemsize
    encoder_bytes = 0 if encode_at_once else seen_bytes
    widest = 64 if tiny else vae_width
    frames = 4 if tiny else DECODED_AT_ONCE.get("" if device is None else device.type, 6)
    across = spans[0][1] * SPATIAL_STRIDE
    pixels = batch * widest * frames * height * across * compute_dtype.itemsize * (3 if tiny else DECODER_COPIES)
    whole_frames = batch * 3 * 12 * height * columns * SPATIAL_STRIDE * compute_dtype.itemsize * 4
    pixels += whole_frames if len(spans) > 1 else 0
    tokens = batch * LATENTS_PER_BLOCK * rows * columns // 4
    passes = tokens * (config.ffn_dim + 10 * config.dim) * compute_dtype.itemsize
    encoding = batch * vae_width * min(frames, 4) * height * columns * SPATIAL_STRIDE * compute_dtype.itemsize
    encoding = encoding * ENCODER_COPIES + 2 * seen_bytes
    # attention of the VAE over a whole frame: scores and weights in float32, and the weights once more
    scores = 10 * batch * (rows * columns) ** 2 if compute_dtype.itemsize == 2 else 0
    if encode_at_once:  # before there is anything else
        encoding -= ring_bytes + state_bytes
    else:  # while nothing is being decoded, beside the decoder's last state, or the last two
        encoding -= encoder_bytes + state_bytes - one_state * (1 + begins)
    return MemoryEstimate(
        weights, ring_bytes, state_bytes, max(pixels, passes, encoding, scores), encoder_bytes, worlds_bytes
    )


def worlds_kept(nbytes: int, budget: float = WORLD_BYTES) -> int:
    """How many worlds of so many bytes stay while one is played: the last, and some before it."""
    return max(1, min(MOST_WORLDS, int(budget // max(1, nbytes))))


@dataclass(frozen=True)
class MemoryPlan:
    """How a rollout is fitted into a device, and what that takes.

    mode: `full` (weights stay on the device), `fp8` (they stay there as float8_e4m3fn) or `stream` (the large ones
    stay in main memory and come layer by layer). encode_at_once: whether the encoder leaves the device as soon as a
    world has begun. tiles: how many frames are decoded in. free: available bytes of the device; None where nothing
    limits them.
    """

    mode: str
    encode_at_once: bool
    tiles: int
    estimate: MemoryEstimate
    free: int | None = None

    @property
    def fits(self) -> bool:
        """Whether it fits, as far as the estimate goes."""
        return self.free is None or self.estimate.total + RESERVE <= self.free

    def __str__(self) -> str:
        how = {
            "full": "all weights on the device",
            "fp8": "weights on the device as float8, which changes the frames",
            "stream": "weights come from main memory layer by layer, with the same frames",
        }[self.mode]
        how += "; the encoder leaves after the start" if self.encode_at_once else ""
        how += f"; frames decoded in {self.tiles} tiles, which changes pixels a little" if self.tiles > 1 else ""
        of = "" if self.free is None else f" of {gigabytes(self.free)} free"
        short = "" if self.fits else "; this may not fit: use a tiny decoder (--decoder) or a smaller --size"
        return f"{self.mode}: {how}; {self.estimate}{of}{short}"


def plan_memory(
    wanted: str,
    free: int | None,
    weights: Mapping[str, int],
    rest: Callable[[bool, int], MemoryEstimate],
    tiny: bool,
    tiles: int | None = None,
) -> MemoryPlan:
    """The first plan that fits, or the smallest where none does.

    wanted: one of MODES; `auto` takes only plans that keep every latent: full, then stream. weights: bytes on the
    device in each mode. rest: (encode_at_once, tiles) -> all but the weights. tiny: whether the decoder is tiny,
    and needs no tiles. tiles: those that a world to be continued was made in, so that its frames stay the same.
    Raises BackendError for an unknown mode.
    """
    if wanted not in MODES:
        raise BackendError(f"There is no memory mode '{wanted}'; use {', '.join(MODES)}.")
    last = "stream" if wanted == "auto" else wanted
    first = "full" if wanted == "auto" else wanted
    least = tiles or 1
    choices = (tiles,) if tiles else TILES[: 1 if tiny else None]
    steps = [(first, False, least), (first, True, least), *((last, True, count) for count in choices)]
    steps = steps[2 if first == "stream" else 0 :]
    plans = (
        MemoryPlan(mode, at_once, tiles, replace(rest(at_once, tiles), weights=weights[mode]), free)
        for mode, at_once, tiles in steps
    )
    smallest = next(plans)
    while not smallest.fits and (smaller := next(plans, None)) is not None:
        smallest = smaller
    return smallest


def tiles_of_state(state: State | None, columns: int) -> int | None:
    """The tiles that a decoder's state was made in, for frames of so many latent columns; None without a state."""
    if not state:
        return None
    width = state[0].shape[-1]
    return next((tiles for tiles in TILES if tiles_of(columns, tiles)[0] == (0, width)), None)


def free_memory(device: torch.device) -> int | None:
    """Available bytes of a CUDA device; None for others, whose memory the system manages."""
    if device.type != "cuda":
        return None
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused
