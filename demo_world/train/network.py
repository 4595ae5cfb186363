"""The engine's networks, made for training: layers that start from random values instead of from a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F

from comfyui_matrixgame.checkpoints.formats import HEAD_DIM_OF_SMALL
from comfyui_matrixgame.generator.model import Generator, GeneratorConfig
from comfyui_matrixgame.ops import weights_of
from comfyui_matrixgame.vae.base import LATENT_CHANNELS, LATENT_MEAN, LATENT_STD, denormalise, normalise
from comfyui_matrixgame.vae.wan import History, ResidualBlock, SpatialAttention, WanVAE
from comfyui_matrixgame.variants import UNIVERSAL
from comfyui_matrixgame.vision import ImageEncoder

from .config import Preset

KEYBOARD_HIDDEN = 32
VISION_LAYERS = 2  # the last is in the file and never run
EARLIER = 0.1  # how much of their random weights the taps on earlier frames start with
LATENT_NOISE = 0.1  # deviation of the noise on normalised latents while the VAE learns


class Conv3d(nn.Conv3d):
    """nn.Conv3d that, for the first frame of a clip, leaves out the taps that would only see zeros."""

    still = False  # set for all layers at once by `still_frames`

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not Conv3d.still or self.kernel_size[0] == 1:
            return super().forward(input)
        y = F.conv2d(input[:, :, -1], self.weight[:, :, -1], self.bias, padding=self.padding[1:])  # type: ignore[index]
        return y.unsqueeze(2)


@contextmanager
def still_frames() -> Iterator[None]:
    """Inside, networks get clips of a single frame, and run three times as fast for it."""
    Conv3d.still = True
    try:
        yield
    finally:
        Conv3d.still = False


class TrainOperations:
    """Torch's own layers: initialised, and with autocast on a GPU."""

    Linear: Any = nn.Linear
    LayerNorm: Any = nn.LayerNorm
    Conv2d: Any = nn.Conv2d
    Conv3d: Any = Conv3d
    weights_of = staticmethod(weights_of)


def make_vae(preset: Preset) -> WanVAE:
    """A VAE that begins as a plain chain of convolutions on single frames: the residual branches start at zero,
    the convolutions look at no earlier frame, and time is halved by leaving out and doubled by repeating.

    conv1 and conv2 start as Wan's latent scale and its inverse, so that the network in between works with
    latents of about unit size.
    """
    vae = WanVAE(preset.vae_dim, TrainOperations)
    for module in vae.modules():
        if isinstance(module, ResidualBlock):
            _zero(module.residual["6"])
        if isinstance(module, SpatialAttention):
            _zero(module.proj)
        if isinstance(module, Conv3d) and module.kernel_size == (3, 3, 3):
            module.weight.data[:, :, :2] *= EARLIER
            module.weight.data[:, :, 2] *= 3**0.5
        if isinstance(module, Conv3d) and module.kernel_size == (3, 1, 1):
            _repeat(module)
    mean, std = torch.tensor(LATENT_MEAN), torch.tensor(LATENT_STD)
    c = LATENT_CHANNELS
    with torch.no_grad():
        vae.conv1.weight.zero_()
        vae.conv1.weight[:c, :c, 0, 0, 0] = torch.diag(std)
        vae.conv1.bias[:c] = mean
        vae.conv1.bias[c:] = 2 * torch.log(LATENT_NOISE * std)
        vae.conv2.weight[:, :, 0, 0, 0] = torch.diag(1 / std)
        vae.conv2.bias.copy_(-mean / std)
    return vae


@torch.no_grad()
def fold_statistics(vae: WanVAE, mean: torch.Tensor, std: torch.Tensor) -> None:
    """Make normalised latents whose channels have this mean and deviation [16] zero-mean and of unit size.

    The change goes into the two 1x1x1 convolutions around the latents and undoes itself: pixels stay the same.
    """
    wan_mean, wan_std = torch.tensor(LATENT_MEAN), torch.tensor(LATENT_STD)
    c, mean, std = LATENT_CHANNELS, mean.cpu().float(), std.cpu().float()
    weight1, bias1 = vae.conv1.weight.detach().cpu(), vae.conv1.bias.detach().cpu()
    weight2, bias2 = vae.conv2.weight.detach().cpu(), vae.conv2.bias.detach().cpu()
    # encoder: n' = (n - mean) / std with n = (raw - wan_mean) / wan_std, so raw' = raw a + b
    a = 1 / std
    b = wan_mean - (wan_mean + mean * wan_std) / std
    weight1[:c] *= a.view(c, 1, 1, 1, 1)
    bias1[:c] = bias1[:c] * a + b
    bias1[c:] += 2 * torch.log(a)
    # decoder: it sees raw' and needs raw = (raw' - b) / a
    bias2 = bias2 - weight2[:, :, 0, 0, 0] @ (b / a)
    weight2 = weight2 / a.view(1, c, 1, 1, 1)
    for target, value in ((vae.conv1.weight, weight1), (vae.conv1.bias, bias1)):
        target.copy_(value)
    for target, value in ((vae.conv2.weight, weight2), (vae.conv2.bias, bias2)):
        target.copy_(value)


def encode_clip(vae: WanVAE, pixels: torch.Tensor) -> torch.Tensor:
    """What vae.encode gives for a whole clip [B, 3, N, H, W], in two pieces instead of a piece for every 4 frames.

    The network is causal, so the result is the same; larger pieces are quicker to learn from.
    """
    first, rest = History(None, torch.float32), pixels[:, :, 1:]
    moments = [vae.encoder(_fast(pixels[:, :, :1]), first)]
    if rest.shape[2]:
        moments.append(vae.encoder(_fast(rest), History(first.state(), torch.float32)))
    return normalise(vae.conv1(torch.cat(moments, dim=2))[:, :LATENT_CHANNELS].float())


def decode_clip(vae: WanVAE, latents: torch.Tensor) -> torch.Tensor:
    """What vae.decode gives for a whole clip [B, 16, L, h, w], in two pieces (see encode_clip)."""
    raw = vae.conv2(denormalise(latents))
    first = History(None, torch.float32)
    pixels = [vae.decoder(_fast(raw[:, :, :1]), first)]
    if raw.shape[2] > 1:
        pixels.append(vae.decoder(_fast(raw[:, :, 1:]), History(first.state(), torch.float32)))
    return torch.cat(pixels, dim=2)


def _fast(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous(memory_format=torch.channels_last_3d)


def _repeat(layer: nn.Conv3d) -> None:
    """Make a convolution over time hand on the last frame it sees, once or twice."""
    layer.weight.data *= EARLIER
    copies = layer.out_channels // layer.in_channels
    layer.weight.data[:, :, 2, 0, 0] += torch.eye(layer.in_channels).repeat(copies, 1)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)


def _zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def make_generator(preset: Preset) -> Generator:
    """A generator that begins as a plain transformer: norms at one, gates open, a velocity of zero."""
    config = GeneratorConfig(
        dim=preset.dim,
        ffn_dim=preset.ffn_dim,
        layers=preset.layers,
        visual_dim=preset.vision_dim,
        action_layers=tuple(range(preset.action_layers)),
        action_dim=64 * preset.action_heads,
        keyboard_dim=len(UNIVERSAL.keys),
        keyboard_hidden=KEYBOARD_HIDDEN,
        mouse=UNIVERSAL.mouse,
        window=UNIVERSAL.window,
    )
    generator = Generator(config, TrainOperations)
    for name, parameter in generator.named_parameters():
        if name.endswith("modulation"):
            nn.init.zeros_(parameter)
            if parameter.shape[1] == 6:  # shift, scale, gate, twice
                parameter.data[:, [2, 5]] = 1.0
        elif "norm" in name and name.endswith("weight"):
            nn.init.ones_(parameter)
        elif name.endswith(("_attn.o.weight", "ffn.2.weight", "proj_mouse.weight", "proj_keyboard.weight")):
            parameter.data.mul_((2 * preset.layers) ** -0.5)
    for name, parameter in generator.time_projection.named_parameters():
        nn.init.normal_(parameter, std=0.01 if name.endswith("weight") else 0.0)
    _zero(generator.head.head)
    return generator


def make_vision(preset: Preset, seed: int = 0) -> ImageEncoder:
    """A small image tower with random weights: the generator learns what it can read from its features."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tower = ImageEncoder(
            hidden=preset.vision_dim,
            mlp=2 * preset.vision_dim,
            layers=VISION_LAYERS,
            heads=preset.vision_dim // HEAD_DIM_OF_SMALL,
            image_size=224,
            patch_size=preset.vision_patch,
        )
    return tower.eval().requires_grad_(False)
