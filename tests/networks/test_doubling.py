"""The doubled convolutions of both decoders as four small ones, and the layouts that decoders ask of a device."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from comfyui_matrixgame.compute.ops import Operations
from comfyui_matrixgame.networks.vae import TinyDecoder, WanVAE, doubling, tiny, wan, wan_layers
from comfyui_matrixgame.networks.vae.doubling import double_and_convolve, doubling_conv2d, in_phases

from ..support.networks import stream, with_streams


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 2)])
@torch.inference_mode()
def test_four_small_convolutions_give_what_the_large_one_gives(
    size: tuple[int, int], bias: bool, dtype: torch.dtype
) -> None:
    x = stream("doubling/x", (2, 6, *size)).to(dtype)
    weight = stream("doubling/weight", (4, 6, 3, 3), 0.2).to(dtype)
    added = stream("doubling/bias", (4,)).to(dtype) if bias else None
    wide = [None if part is None else part.double() for part in (x, weight, added)]
    wanted = F.conv2d(F.interpolate(wide[0], scale_factor=2.0, mode="nearest"), wide[1], wide[2], padding=1)  # type: ignore[arg-type]
    for layout in (torch.contiguous_format, torch.channels_last):
        y = in_phases(x.contiguous(memory_format=layout), weight, added)
        assert y.shape == wanted.shape
        assert y.dtype == dtype
        assert min(size) == 1 or y.is_contiguous(memory_format=torch.channels_last)
        tolerance = 1e-5 if dtype == torch.float32 else 3e-2
        torch.testing.assert_close(y.double(), wanted, rtol=tolerance, atol=tolerance)


@torch.inference_mode()
def test_a_cpu_convolves_the_doubled_image_itself() -> None:
    conv = doubling_conv2d(Operations, 6, 4)
    conv.weight.data, conv.bias.data = stream("doubling/weight", (4, 6, 3, 3)), stream("doubling/bias", (4,))
    x = stream("doubling/x", (2, 6, 3, 5))
    assert torch.equal(double_and_convolve(conv, x), conv(F.interpolate(x, scale_factor=2.0, mode="nearest")))


class Layouts(TorchDispatchMode):
    """Counts convolutions by whether inputs and weights lie channels last, and copies of whole weights."""

    def __init__(self, weights: set[tuple[int, ...]]) -> None:
        super().__init__()
        self.weights, self.found, self.laid_anew = weights, Counter[bool](), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        if name in ("convolution", "conv2d", "conv3d", "mkldnn_convolution"):
            layout = torch.channels_last if args[0].ndim == 4 else torch.channels_last_3d
            self.found[all(part.is_contiguous(memory_format=layout) for part in args[:2])] += 1
        if name in ("clone", "contiguous") and tuple(args[0].shape) in self.weights:
            self.laid_anew += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("kind", "worlds"), [(TinyDecoder, 2), (lambda: WanVAE(4), 1)], ids=["tiny", "wan"])
@torch.inference_mode()
def test_where_a_device_wants_it_everything_lies_channels_last(
    kind, worlds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the numbers of a CPU's own way; weights are never laid anew."""
    decoder = with_streams(kind(), "laid")
    assert isinstance(decoder, (TinyDecoder, WanVAE))
    latents = stream("laid/latents", (worlds, 16, 3, 2, 3))
    plain, state = decoder.decode(latents[:, :, :1])
    plain = torch.cat([plain, decoder.decode(latents[:, :, 1:], state)[0]], dim=2)
    for module in (doubling, tiny, wan, wan_layers):
        monkeypatch.setattr(module, "wants_channels_last", lambda _: True)
    decoder.lay_weights(torch.device("cpu"))
    with Layouts({tuple(p.shape) for p in decoder.parameters() if p.ndim > 3}) as layouts:
        made, state = decoder.decode(latents[:, :, :1])
        made = torch.cat([made, decoder.decode(latents[:, :, 1:], state)[0]], dim=2)
    torch.testing.assert_close(made, plain, rtol=1e-4, atol=1e-4)
    assert layouts.found[False] == 0
    assert layouts.found[True] > 80
    assert layouts.laid_anew == 0


@pytest.mark.parametrize("network", [TinyDecoder, lambda: WanVAE(4)])
def test_laying_weights_changes_none(network) -> None:
    made = network()
    for name, parameter in made.named_parameters():
        parameter.data = stream(f"laid/{name}", tuple(parameter.shape))
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    made.lay_weights(torch.device("cpu"))
    assert all(p.is_contiguous() for p in made.parameters())
    made.lay_weights(torch.device("cuda"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.state_dict().items())
