"""The engine's networks, made for training: layers that start from random values instead of from a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F

from comfyui_matrixgame.checkpoints.formats import HEAD_DIM_OF_SMALL
from comfyui_matrixgame.compute.ops import weights_in_use
from comfyui_matrixgame.networks.generator.action_module import ActionModule
from comfyui_matrixgame.networks.generator.model import HEAD_DIM, PATCH, Generator, GeneratorConfig, SelfAttention
from comfyui_matrixgame.networks.vae.base import LATENT_CHANNELS, LATENT_MEAN, LATENT_STD, denormalise, normalise
from comfyui_matrixgame.networks.vae.history import History
from comfyui_matrixgame.networks.vae.wan import WanVAE
from comfyui_matrixgame.networks.vae.wan_layers import ResidualBlock, SpatialAttention
from comfyui_matrixgame.networks.vision import ImageEncoder
from comfyui_matrixgame.variants import UNIVERSAL

from .config import Preset

KEYBOARD_HIDDEN = 32
VISION_LAYERS = 2  # the last is in the file and never run
MOUSE_GAIN, KEYBOARD_GAIN = 40.0, 3.0  # make a usual input about as large as what else a layer sees
NEAR_PAIRS = 3  # of each axis' RoPE pairs
PAIRS_OF_TIME = HEAD_DIM // 2 - 2 * (HEAD_DIM // 6)
FIRST_PAIRS = (0, PAIRS_OF_TIME, PAIRS_OF_TIME + HEAD_DIM // 6)  # of time, rows, columns
NEAR_BIAS, NEAR_GAIN = 1.5, 1.6
PERSISTENCE = 0.5  # share of what was there that the untrained network expects to find again
CONTEXT_BEHIND = 2.0  # latent frames from a block's middle to the last one before it
EARLIER = 0.1  # how much of their random weights the taps on earlier frames start with
LATENT_NOISE = 0.1  # deviation of the noise on normalised latents while the VAE learns


class Conv3d(nn.Conv3d):
    """nn.Conv3d by plain convolutions: on a CPU as a sum of them, one for each frame it looks at, whose gradient takes
    a fifth to a tenth of the time (measured); elsewhere as one, which sees those frames as further channels.
    """

    still = False  # for all layers at once, set by `still_frames`: leave out the taps that would only see zeros

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        taps, step = self.kernel_size[0], self.stride[0]
        batch, _, frames, height, width = input.shape
        made = 1 if Conv3d.still else (frames - taps) // step + 1
        if taps == 1 and self.kernel_size[1] == 1:
            return super().forward(input)
        if input.device.type != "cpu" and not Conv3d.still:
            return self._frames_as_channels(input, made)
        total, bias = None, self.bias
        for tap in range(taps - 1 if Conv3d.still else 0, taps):
            x = input[:, :, -1:] if Conv3d.still else input[:, :, tap : tap + step * (made - 1) + 1 : step]
            x = x.transpose(1, 2).reshape(batch * made, -1, height, width)
            y = F.conv2d(x, self.weight[:, :, tap], bias, self.stride[1:], self.padding[1:])  # type: ignore[arg-type]
            total, bias = y if total is None else total + y, None
        assert total is not None
        return total.unflatten(0, (batch, made)).transpose(1, 2)

    def _frames_as_channels(self, input: torch.Tensor, made: int) -> torch.Tensor:
        taps, step = self.kernel_size[0], self.stride[0]
        seen = torch.cat([input[:, :, tap : tap + step * (made - 1) + 1 : step] for tap in range(taps)], dim=1)
        x = seen.transpose(1, 2).flatten(0, 1)  # [B * made, taps * C, H, W]
        weight = self.weight.transpose(1, 2).flatten(1, 2)
        y = F.conv2d(x, weight, self.bias, self.stride[1:], self.padding[1:])  # type: ignore[arg-type]
        return y.unflatten(0, (input.shape[0], made)).transpose(1, 2)


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
    weights_in_use = staticmethod(weights_in_use)


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
    """A generator that begins where learning is quick: norms at one, gates open, attention on what is near in space
    and just before in time, inputs that are felt, and a velocity that is the noise it is given.
    """
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
            parameter.data.mul_(0.35)
    for layer in generator.blocks:
        _look_near(layer.self_attn)  # type: ignore[arg-type]
        if layer.action_model is not None:
            _feel_inputs(layer.action_model, preset.dim)  # type: ignore[arg-type]
    _hand_on_noise(generator)
    for name, parameter in generator.time_projection.named_parameters():
        nn.init.normal_(parameter, std=0.01 if name.endswith("weight") else 0.0)
    return generator


@torch.no_grad()
def _look_near(attention: SelfAttention) -> None:
    """Biases of queries and keys whose product, turned by RoPE, is largest where a token should look first.

    Only the pairs that turn quickest tell neighbours apart. The first head looks two latent frames back, where a
    block's context is; all look at the same place and its neighbours.
    """
    time, rows, columns = (torch.arange(start, start + NEAR_PAIRS) for start in FIRST_PAIRS)
    angles = 10000.0 ** (-torch.arange(NEAR_PAIRS) / PAIRS_OF_TIME)  # a frame's turn
    for layer, norm in ((attention.q, attention.norm_q), (attention.k, attention.norm_k)):
        bias, weight = layer.bias.view(-1, HEAD_DIM), norm.weight.view(-1, HEAD_DIM)
        bias.zero_()
        for pairs in (rows, columns):
            bias[:, 2 * pairs] = NEAR_BIAS
            weight[:, 2 * pairs], weight[:, 2 * pairs + 1] = NEAR_GAIN, NEAR_GAIN
        turn = -CONTEXT_BEHIND * angles if layer is attention.q else torch.zeros(NEAR_PAIRS)
        bias[0, 2 * time], bias[0, 2 * time + 1] = NEAR_BIAS * turn.cos(), NEAR_BIAS * turn.sin()


@torch.no_grad()
def _feel_inputs(module: ActionModule, dim: int) -> None:
    """Inputs come as small numbers (0.1 is a usual turn); let them move the network from the first step on."""
    assert module.mouse_mlp is not None
    for layer, columns, gain in (
        (module.mouse_mlp["0"], slice(dim, None), MOUSE_GAIN),
        (module.keyboard_embed["2"], slice(None), KEYBOARD_GAIN),
        (module.keyboard_attn_kv, slice(None), KEYBOARD_GAIN),
    ):
        layer.weight.data[:, columns] *= gain  # type: ignore[operator]


@torch.no_grad()
def _hand_on_noise(generator: Generator) -> None:
    """The noisy latents go through the network's first values unchanged, and are its first answer."""
    size = PATCH * PATCH * LATENT_CHANNELS
    weight = generator.patch_embedding.weight  # [dim, 36, 1, 2, 2]
    weight[:, :LATENT_CHANNELS] = 0
    for place in range(PATCH * PATCH):
        channels = torch.arange(LATENT_CHANNELS)
        # the order of the head's values: place in the patch, then channel
        weight[place * LATENT_CHANNELS + channels, channels, 0, place // PATCH, place % PATCH] = 1.0
    nn.init.zeros_(generator.patch_embedding.bias)
    head = generator.head.head
    _zero(head)
    head.weight[:, :size] = torch.eye(size)
    # the first layer brings along the latents it sees two frames back: less of them is left in the answer
    attention: SelfAttention = generator.blocks[0].self_attn  # type: ignore[assignment]
    attention.v.weight[:size] = 0
    attention.v.weight[:size, :size] = torch.eye(size)
    attention.v.bias[:size] = 0
    attention.o.weight[-size:] = 0
    attention.o.weight[-size:, :size] = torch.eye(size)
    head.weight[:, -size:] = -PERSISTENCE * torch.eye(size)


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
