"""Ways of computing on trial: off unless asked for, and then with the same numbers within rounding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from comfyui_matrixgame.compute.devices import computing_on
from comfyui_matrixgame.compute.trials import SWITCH, TRIALS, trial_is_chosen, with_trials
from comfyui_matrixgame.errors import BackendError
from comfyui_matrixgame.networks.vae import planes, wan_layers

from ..cuda.networks import CUDA, blocks_of, small_on
from ..pretend_gpu import Machine
from ..support.networks import small_models

OF_THE_DECODER = ["convolve-in-planes", "latents-together", "cudnn-benchmark"]
NARROW = 4  # channels: all convolutions of the small VAE are wide in these tests


def test_none_is_chosen_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SWITCH, raising=False)
    assert not any(trial_is_chosen(trial) for trial in TRIALS)
    with with_trials("latents-together", "cudnn-benchmark"):
        assert [trial for trial in TRIALS if trial_is_chosen(trial)] == ["latents-together", "cudnn-benchmark"]
        with with_trials():
            assert not trial_is_chosen("latents-together")
        assert trial_is_chosen("latents-together")
    assert not trial_is_chosen("latents-together")


def test_an_unknown_one_is_named() -> None:
    with with_trials("faster"), pytest.raises(BackendError, match="names faster; use some of fp8-by-tensor, "):
        trial_is_chosen("cudnn-benchmark")


@pytest.mark.parametrize("sizes", [(1, 3, 3), (3, 2, 1), (2, 1, 3)])
@torch.inference_mode()
def test_latents_together_leave_the_same_frames_and_state(sizes: tuple[int, ...]) -> None:
    """From the start of a clip and later, whatever comes at once."""
    vae: Any = small_models().vae
    latents = torch.randn(2, 16, sum(sizes), 4, 6)

    def decode() -> tuple[torch.Tensor, Any]:
        state, frames = None, []
        for part in latents.split(list(sizes), dim=2):
            pixels, state = vae.decode(part, state)
            frames.append(pixels)
        return torch.cat(frames, dim=2), state

    seen: list[int] = []
    hook = vae.decoder.middle[0].register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[2]))
    one, state = decode()
    assert set(seen) == {1}
    with with_trials("latents-together"):
        together, after = decode()
    hook.remove()
    assert seen[sum(sizes) :] == list(sizes)
    torch.testing.assert_close(together, one, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(after, state, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_convolution_in_planes(batch: int) -> None:
    x = torch.randn(batch, 5, 6, 4, 7, dtype=torch.float64).contiguous(memory_format=torch.channels_last_3d)
    weight = torch.randn(3, 5, 3, 3, 3, dtype=torch.float64)
    ours = planes.convolve_in_planes(x, weight)
    torch.testing.assert_close(ours, F.conv3d(x, weight, padding=(0, 1, 1)))
    assert ours.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("trial", OF_THE_DECODER)
def test_rollouts_with_a_trial_of_the_decoder(gpus: Machine, monkeypatch: pytest.MonkeyPatch, trial: str) -> None:
    """Latents to the bit, and frames within rounding of them to 8 bits."""
    monkeypatch.setattr(planes, "WIDE", NARROW)
    used: list[object] = []
    in_planes = planes.convolve_in_planes
    monkeypatch.setattr(wan_layers, "convolve_in_planes", lambda *args: used.append(args) or in_planes(*args))
    plain = blocks_of(small_on(CUDA[0]), blocks=2)
    assert not used
    with with_trials(trial):
        tried = blocks_of(small_on(CUDA[0]), blocks=2)
    assert bool(used) == (trial == "convolve-in-planes")
    for ours, theirs in zip(tried, plain, strict=True):
        assert torch.equal(ours.latents, theirs.latents) or trial == "convolve-in-planes"  # which the encoder has, too
        assert torch.allclose(ours.latents, theirs.latents, atol=1e-4)
        assert (ours.frames.int() - theirs.frames.int()).abs().max() <= 1


def test_cudnn_chooses_only_while_the_engine_computes(gpus: Machine) -> None:
    before = torch.backends.cudnn.benchmark
    with computing_on(CUDA[0]):
        assert torch.backends.cudnn.benchmark == before
    with with_trials("cudnn-benchmark"), computing_on(CUDA[0]):
        assert torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.benchmark == before
