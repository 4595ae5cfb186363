"""A LoRA that a host computes beside a layer, by a `forward` of the instance's own, equals the one that is merged into
the layer's weight: for every layer of every network, with every kind of watcher that torch knows."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comfyui_matrixgame.compute import quantise as q
from comfyui_matrixgame.compute.ops import feed_forward, is_wrapped
from comfyui_matrixgame.compute.streaming import stream_weights
from comfyui_matrixgame.networks.generator import Generator, GeneratorConfig
from comfyui_matrixgame.networks.generator.norms import RMSNorm
from comfyui_matrixgame.networks.vae import TinyDecoder, WanVAE
from comfyui_matrixgame.networks.vae.base import State
from comfyui_matrixgame.networks.vae.wan_layers import RMSNorm as ChannelNorm
from comfyui_matrixgame.variants import VARIANTS, Variant
from comfyui_matrixgame.world import Models, rollout, start_world

from ..support.networks import random_track, small_image, small_models, stream, with_streams

RANK = 2


class Bypass:
    """A LoRA beside a layer, injected and taken away as ComfyUI's comfy/weight_adapter/bypass.py does it."""

    def __init__(self, name: str, layer: nn.Module) -> None:
        self.layer = layer
        weight = layer.gamma if isinstance(layer, ChannelNorm) else layer.weight
        assert isinstance(weight, Tensor)
        self.weight = weight
        self.down = stream(f"{name}/down", (RANK, weight[0].numel()))
        self.up = stream(f"{name}/up", (weight.shape[0], RANK))
        size = weight.std() if weight.numel() > 1 and weight.std() > 0 else weight.abs().mean()
        self.up *= size / (self.up @ self.down).std()

    def share(self, x: Tensor) -> Tensor:
        """What the LoRA adds to the layer's output for an input."""
        layer, down, up = self.layer, self.down, self.up
        if isinstance(layer, (nn.Conv2d, nn.Conv3d)):
            convolve = F.conv2d if isinstance(layer, nn.Conv2d) else F.conv3d
            inner = convolve(x, down.view(RANK, *layer.weight.shape[1:]), None, layer.stride, layer.padding)  # type: ignore[arg-type]
            return convolve(inner, up.view(*up.shape, *[1] * len(layer.kernel_size)))
        if isinstance(layer, nn.Linear):
            return F.linear(F.linear(x, down), up)
        change = (up @ down).view(-1)  # of a norm's weight
        if isinstance(layer, nn.LayerNorm):
            return F.layer_norm(x, layer.normalized_shape, change, None, layer.eps)
        if isinstance(layer, RMSNorm):
            return F.rms_norm(x, x.shape[-1:], change, 1e-6)
        return F.normalize(x, dim=1) * change.view(self.weight.shape) * x.shape[1] ** 0.5

    def inject(self) -> None:
        self.before = self.layer.forward
        self.layer.forward = self._forward

    def _forward(self, x: Tensor, *args: object, **options: object) -> Tensor:
        return self.before(x, *args, **options) + self.share(x)

    def eject(self) -> None:
        self.layer.forward = self.before

    def merge(self) -> None:
        self.weight.data += (self.up @ self.down).view(self.weight.shape)


def layers_with_weights(network: nn.Module) -> Iterator[str]:
    for name, module in network.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.Conv3d, nn.LayerNorm, RMSNorm, ChannelNorm)):
            yield name


def tiny_generator(variant: Variant) -> Generator:
    """One of every kind of layer."""
    config = GeneratorConfig(
        dim=128, ffn_dim=64, layers=1, visual_dim=32, action_layers=(0,), action_dim=64,
        keyboard_dim=len(variant.keys), keyboard_hidden=8, mouse=variant.mouse, window=variant.window,
    )  # fmt: skip
    return with_streams(Generator(config), f"bypass/{variant.name}")  # type: ignore[return-value]


def each_layer_bypassed_is_merged(network: nn.Module, numbers: Callable[[], Tensor]) -> None:
    """Hold the numbers with a LoRA beside each layer in turn against those with it in the layer's weight."""
    plain = numbers()
    for name in layers_with_weights(network):
        bypass = Bypass(name, network.get_submodule(name))
        bypass.inject()
        bypassed = numbers()
        bypass.eject()
        assert torch.equal(numbers(), plain), name  # taken away, the quick ways are open again
        assert not is_wrapped(bypass.layer)
        saved = bypass.weight.data.clone()
        bypass.merge()
        merged = numbers()
        bypass.weight.data.copy_(saved)
        effect = (merged - plain).norm()
        assert effect > 1e-4 * plain.norm(), name  # otherwise nothing is tested
        assert (bypassed - merged).norm() < 1e-2 * effect, name


@pytest.mark.parametrize("name", ["universal", "templerun"])
def test_each_layer_of_the_generator(name: str) -> None:
    variant, others = VARIANTS[name], small_models(name)
    generator = tiny_generator(variant)
    models = Models(generator, others.vae, decoder=Undecoded(), generator_id="the same for all")
    world = start_world(models, small_image(), 3, features=stream("bypass/features", (1, 257, 32)))
    track = random_track(variant, 9)

    def numbers() -> Tensor:
        return next(rollout(models, world, track, 1)).latents

    each_layer_bypassed_is_merged(generator, numbers)


class Undecoded(nn.Module):
    """A decoder of frames that nobody looks at."""

    state_device: torch.device | None = None
    latents_behind = 1

    def decode(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        return torch.zeros(1, 3, 9, 8, 8), ()


def test_each_layer_of_the_vae() -> None:
    vae = with_streams(WanVAE(base_dim=4), "bypass/vae")
    assert isinstance(vae, WanVAE)
    latents, pixels = stream("bypass/latents", (1, 16, 2, 1, 1)), stream("bypass/pixels", (1, 3, 5, 8, 8))

    @torch.inference_mode()
    def numbers() -> Tensor:
        return torch.cat([vae.decode(latents)[0].flatten(), vae.encode(pixels)[0].flatten()])

    each_layer_bypassed_is_merged(vae, numbers)


def test_each_layer_of_a_tiny_decoder() -> None:
    decoder = with_streams(TinyDecoder(), "bypass/tiny")
    assert isinstance(decoder, TinyDecoder)
    latents = stream("bypass/latents", (1, 16, 2, 1, 1))

    @torch.inference_mode()
    def numbers() -> Tensor:
        return decoder.decode(latents)[0]

    each_layer_bypassed_is_merged(decoder, numbers)


@pytest.mark.parametrize("precision", ["exact", *q.PRECISIONS[1:]])
@pytest.mark.parametrize("watch", ["register_forward_hook", "register_forward_pre_hook"])
@torch.inference_mode()
def test_a_hook_sees_plain_inputs_and_outputs(precision: str, watch: str) -> None:
    generator = copy.deepcopy(small_models().generator)
    q.quantise(generator, precision)
    first, second = generator.blocks[0].ffn["0"], generator.blocks[0].ffn["2"]  # type: ignore[union-attr, index]
    x = stream("bypass/x", (1, 70, 128))
    wanted = feed_forward(first, second, x)
    hidden = F.gelu(first(x), approximate="tanh")
    seen: list[tuple[Tensor, ...]] = []
    handles = [
        getattr(layer, watch)(lambda _, *values: seen.append((values[0][0], values[-1]))) for layer in (first, second)
    ]
    torch.testing.assert_close(feed_forward(first, second, x), wanted)
    torch.testing.assert_close(seen[0][0], x)
    torch.testing.assert_close(seen[1][0], hidden)
    if watch == "register_forward_hook":
        torch.testing.assert_close(seen[0][1], first(x))
    for handle in handles:
        handle.remove()


def test_streamed_weights_do_not_count_as_watched() -> None:
    generator = copy.deepcopy(small_models().generator)
    stream_weights(generator, torch.device("cpu"))
    assert not any(is_wrapped(module) for module in generator.modules())
