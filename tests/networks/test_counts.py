"""What a block costs that no machine changes: kernels, waits, memory and operations, at the published sizes.

The bounds are what the code reaches; whoever lowers a count lowers its bound.
"""

from __future__ import annotations

import gc
import math

import pytest
import torch
from torch import Tensor

from comfyui_matrixgame.actions.track import rows_of_blocks
from comfyui_matrixgame.networks.vae.base import LATENT_CHANNELS
from comfyui_matrixgame.variants import LATENTS_PER_BLOCK, TEMPLERUN, UNIVERSAL, VARIANTS
from comfyui_matrixgame.world import rollout, start_world

from ..support.counting import LATENT, Counts, block_counts, decode_counts, pass_counts_with_kernels
from ..support.networks import random_track, small_image, small_models

# Kernels of a pass; the published code launches 4,043 (counted with its own modules).
PASS_LAUNCHES = {"universal": 1336, "gta_drive": 1426, "templerun": 1006}
KERNEL_PASS_LAUNCHES = 758  # of a pass of `universal` where the Triton kernels serve
DECODE_LAUNCHES = {False: 1075, True: 388}  # of a block, by whether the decoder is a tiny one
AROUND_LAUNCHES = 1285  # of a block beside its passes: constants, formulas, decoding
UPLOADS = 5  # keys and camera, rotations of the latent frames and of the places, and the noise of all steps
SMALL_UPLOADS = 14_000  # bytes of all but the noise
BLOCK_OF_LATENTS = LATENT_CHANNELS, LATENTS_PER_BLOCK, *LATENT

# Floating-point operations of a block at 352x640, derived layer by layer from the published configurations: linears,
# attention over a full window, convolutions; 2 for each multiplication with addition. The decoders need less than their
# files ask for: where a convolution follows a doubling, 16 products of 36 (vae/doubling.py), and in the tiny decoder a
# quarter of what stands before the doubling now.
TRANSFORMER_FLOPS = {"universal": 40.5317e12, "gta_drive": 37.1034e12, "templerun": 47.7433e12}
DECODER_FLOPS = {False: 22.8866e12, True: 0.920873e12}
DOUBLED = {
    False: [(384, 192, 44, 80, 6), (384, 192, 88, 160, 12), (192, 96, 176, 320, 12)],
    True: [(256, 128, 44, 80, 3), (128, 64, 88, 160, 6), (64, 64, 176, 320, 12)],
}  # channels before and after, height and width before, frames of a block
GROWN = [(256, 256, 44, 80, 3), (128, 256, 88, 160, 3), (64, 128, 176, 320, 6)]  # 1x1, in the tiny decoder


@pytest.mark.parametrize("name", VARIANTS)
def test_kernels_of_a_pass(name: str) -> None:
    per_pass = block_counts(VARIANTS[name]).per_pass
    assert len(per_pass) == len(VARIANTS[name].steps)
    assert max(per_pass) <= PASS_LAUNCHES[name], per_pass


def test_kernels_of_a_pass_where_triton_serves() -> None:
    """The counted attention copies its result; those of a device do not."""
    counts = pass_counts_with_kernels(UNIVERSAL)
    assert counts.launches <= KERNEL_PASS_LAUNCHES
    layers, with_actions = 30, 15
    assert counts.kernels["triton norm_rotate"] == 2 * layers + 3 * with_actions  # q, k; both qs and the camera's k
    assert counts.kernels["triton few_keys"] == 2 * with_actions
    linears = counts.kernels["linear"]
    assert linears == layers * 6 + with_actions * 6 + 1  # q, k, v as one
    assert counts.kernels["copy_"] == counts.kernels["repeat_interleave"] == 0


@pytest.mark.parametrize("tiny", [False, True])
def test_kernels_of_decoding_a_block(tiny: bool) -> None:
    launches, _ = decode_counts(tiny)
    assert launches <= DECODE_LAUNCHES[tiny]


@pytest.mark.parametrize("name", VARIANTS)
def test_kernels_of_a_block(name: str) -> None:
    passes = len(VARIANTS[name].steps) + 1
    assert block_counts(VARIANTS[name]).counts.launches <= passes * PASS_LAUNCHES[name] + AROUND_LAUNCHES


@pytest.mark.parametrize("name", VARIANTS)
def test_nothing_in_a_block_waits_for_the_device(name: str) -> None:
    """Nothing is read back, and what is copied to the host is frames of 8 bits and latents, each once."""
    found = block_counts(VARIANTS[name])
    assert found.counts.reads == []
    copied = sorted((str(tensor.dtype), tensor.numel()) for tensor in found.counts.to_host)
    assert copied == [("torch.float32", math.prod(BLOCK_OF_LATENTS)), ("torch.uint8", math.prod(found.frames))]


@pytest.mark.parametrize("name", VARIANTS)
def test_bytes_to_the_device_in_a_block(name: str) -> None:
    """The noise of all steps at once, and little beside it."""
    variant = VARIANTS[name]
    sizes = sorted(tensor.nbytes for tensor in block_counts(variant).counts.to_device)
    assert len(sizes) <= UPLOADS
    assert sizes[-1] == 4 * len(variant.steps) * math.prod(BLOCK_OF_LATENTS)
    assert sum(sizes[:-1]) <= SMALL_UPLOADS


@pytest.mark.parametrize("name", VARIANTS)
def test_operations_of_the_passes(name: str) -> None:
    found = block_counts(VARIANTS[name]).flops - decode_counts(False)[1]
    assert found == pytest.approx(TRANSFORMER_FLOPS[name], rel=0.01)


@pytest.mark.parametrize("tiny", [False, True])
def test_operations_of_the_decoder(tiny: bool) -> None:
    doubled = sum(2 * 9 * c * o * 4 * h * w * frames for c, o, h, w, frames in DOUBLED[tiny])
    in_phases = sum(2 * 4 * c * 4 * o * (h + 1) * (w + 1) * frames for c, o, h, w, frames in DOUBLED[tiny])
    grown = sum(2 * c * o * 3 * h * w * frames for c, o, h, w, frames in GROWN) if tiny else 0  # three quarters
    wanted = DECODER_FLOPS[tiny] - doubled + in_phases - grown
    assert decode_counts(tiny)[1] == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("variant", [UNIVERSAL, TEMPLERUN], ids=lambda variant: variant.name)
def test_a_block_leaves_no_memory_behind(variant) -> None:
    models = small_models(variant.name, tiny=True)
    warm = 12  # the condition is complete after 10
    run = rollout(models, start_world(models, small_image()), random_track(variant, rows_of_blocks(warm + 3)))
    for _ in range(warm):
        next(run)
    living = []
    for _ in range(3):
        next(run)
        living.append(living_bytes())
    assert living[0] == living[1] == living[2], living


def living_bytes() -> int:
    """Bytes of all tensors that Python holds, each storage once."""
    gc.collect()
    tensors = [value for value in gc.get_objects() if type(value) in (Tensor, torch.nn.Parameter)]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors if t.device.type == "cpu"}
    return sum(storages.values())


def test_the_counter_sees_what_it_counts() -> None:
    here = torch.device("cpu")
    with torch.inference_mode(), Counts(here) as counts:
        x = torch.ones(2, 3)
        y = torch.nn.functional.linear(x, torch.ones(4, 3)).view(8)[:4] * 2
        y.sum().item()
        y.to("meta")
    assert counts.kernels == {"ones": 2, "linear": 1, "mul": 1, "sum": 1}
    assert "_local_scalar_dense" in counts.reads
    assert [copied.numel() for copied in counts.to_host] == [4]
