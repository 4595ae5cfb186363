"""The VAE and the tiny decoder compute the published numbers, whole or streamed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from comfyui_matrixgame.errors import ImageError
from comfyui_matrixgame.networks.vae import TinyDecoder, WanVAE
from comfyui_matrixgame.networks.vae.base import denormalise, normalise, pixels_to_frames

from ..support.networks import golden, largest_difference, manifest, shapes_of, stream, weights

TOLERANCE = 1e-4


@pytest.fixture(autouse=True, params=[False, True], ids=["rendering", "training"])
def gradients(request: pytest.FixtureRequest) -> Iterator[None]:
    """Without gradients a CPU takes a few large frames at a time and reuses buffers of its own."""
    with torch.set_grad_enabled(request.param):
        yield


@pytest.fixture(scope="module")
def vae() -> WanVAE:
    model = WanVAE(base_dim=16).eval().requires_grad_(False)
    model.load_state_dict(weights("vae", shapes_of(model)))
    return model


@pytest.fixture(scope="module")
def answers() -> dict[str, torch.Tensor]:
    return golden("vae")


def test_names_and_shapes_are_the_published_ones() -> None:
    with torch.device("meta"):
        assert shapes_of(WanVAE(base_dim=96)) == manifest("wan_vae")


def test_encode(vae: WanVAE, answers: dict[str, torch.Tensor]) -> None:
    latents, _ = vae.encode(stream("vae/video", (1, 3, 21, 64, 96)).tanh())
    assert largest_difference(latents, answers["encode"]) < TOLERANCE


def test_decode(vae: WanVAE, answers: dict[str, torch.Tensor]) -> None:
    pixels, _ = vae.decode(stream("vae/latents", (1, 16, 6, 8, 12)))
    assert largest_difference(pixels, answers["decode"]) < TOLERANCE
    assert largest_difference(pixels.clamp(-1, 1), answers["stream_decode"]) < TOLERANCE  # the reference clamps here


def test_streamed_decode_equals_whole(vae: WanVAE) -> None:
    latents = stream("vae/latents", (1, 16, 6, 8, 12))
    whole, _ = vae.decode(latents)
    first, state = vae.decode(latents[:, :, :3])
    second, _ = vae.decode(latents[:, :, 3:], state)
    assert first.shape[2] == 9
    assert second.shape[2] == 12
    assert largest_difference(torch.cat([first, second], 2), whole) == 0.0


def test_decoder_state_is_a_value(vae: WanVAE) -> None:
    latents = stream("vae/latents", (1, 16, 6, 8, 12))
    _, state = vae.decode(latents[:, :, :3])
    kept = [tensor.clone() for tensor in state]
    once, after = vae.decode(latents[:, :, 3:], state)
    kept_after = [tensor.clone() for tensor in after]
    again, _ = vae.decode(latents[:, :, 3:], state)
    vae.decode(latents[:, :, :2], after)
    assert torch.equal(once, again)
    assert all(torch.equal(a, b) for a, b in zip([*kept, *kept_after], [*state, *after], strict=True))


def test_encoder_state_is_a_value(vae: WanVAE) -> None:
    clip = stream("vae/video", (1, 3, 21, 64, 96)).tanh()
    _, state = vae.encode(clip[:, :, :5])
    kept = [tensor.clone() for tensor in state]
    once, _ = vae.encode(clip[:, :, 5:], state)
    again, _ = vae.encode(clip[:, :, 5:], state)
    whole, _ = vae.encode(clip)
    assert torch.equal(once, again)
    assert largest_difference(whole[:, :, 2:], once) < 1e-6
    assert all(torch.equal(a, b) for a, b in zip(kept, state, strict=True))


@pytest.mark.parametrize("decoder", [WanVAE(4), WanVAE(8), TinyDecoder()], ids=["wan4", "wan8", "tiny"])
def test_decoder_state_is_as_large_as_the_estimate_says(decoder: WanVAE | TinyDecoder) -> None:
    latents = torch.zeros(2, 16, 1, 2, 3)
    with torch.inference_mode():
        _, first = decoder.decode(latents)
        _, later = decoder.decode(latents, first)
    counted = decoder.decoder_state_elements(2 * 2 * 3)
    assert counted == sum(part.numel() for part in first) == sum(part.numel() for part in later)


def test_condition_streamed(vae: WanVAE, answers: dict[str, torch.Tensor]) -> None:
    """Latents of an image and zeros, 1 at a time; from latent frame 29 on they are constant."""
    image = stream("vae/video", (1, 3, 21, 64, 96)).tanh()[:, :, :1]
    latent, state = vae.encode(image)
    latents = [latent]
    for _ in range(39):
        latent, state = vae.encode(torch.zeros(1, 3, 4, 64, 96), state)
        latents.append(latent)
    condition = torch.cat(latents, 2)
    assert largest_difference(condition[:, :, :, ::2, ::2], answers["condition"]) < TOLERANCE
    assert largest_difference(condition[:, :, 29:], condition[:, :, 29:30].expand(-1, -1, 11, -1, -1)) == 0.0


def test_normalisation_is_its_own_inverse() -> None:
    latents = stream("any", (2, 16, 3, 4, 5))
    assert largest_difference(denormalise(normalise(latents)), latents) < 1e-6


def test_to_uint8_rounds_and_clamps() -> None:
    pixels = torch.tensor([-2.0, -1.0, 0.0, 0.999, 5.0]).reshape(1, 1, 1, 1, 5).expand(1, 3, 1, 1, 5)
    assert pixels_to_frames(pixels)[0, 0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("shape", [(1, 3, 2, 64, 96), (1, 3, 1, 63, 96), (1, 3, 0, 64, 96)])
def test_impossible_clips_are_refused(vae: WanVAE, shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError):
        vae.encode(torch.zeros(shape))
