"""Linears of one input as one product, and what ends that."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from comfyui_matrixgame.compute import joined
from comfyui_matrixgame.compute import quantise as q
from comfyui_matrixgame.compute.ops import Linear

from ..support.networks import small_models, stream

PRECISIONS = ("exact", "fp8", "int8")


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the weights of the CPU count as those of another device."""
    monkeypatch.setattr(joined, "_pays", lambda _: True)


def linears(precision: str, bias: bool = True) -> list[nn.Module]:
    made: list[nn.Module] = []
    for name in "qkv":
        layer = Linear(96, 64, bias=bias).requires_grad_(False)
        for part, parameter in layer.named_parameters():
            parameter.copy_(stream(f"joined/{name}/{part}", tuple(parameter.shape), 0.1))
        made.append(layer if precision == "exact" else q.QuantisedLinear(layer, precision))
    return made


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many columns each product has."""
    widths: list[int] = []
    for name in ("linear", "quantised_linear"):
        function = getattr(joined, name)

        def count(x: Tensor, weight: object, *more: object, function=function) -> Tensor:
            y = function(x, weight, *more)
            widths.append(y.shape[-1])
            return y

        monkeypatch.setattr(joined, name, count)
    return widths


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("precision", PRECISIONS)
@torch.inference_mode()
def test_one_product_gives_what_three_give(
    device: None, precision: str, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers, x = linears(precision, bias), stream("joined/x", (2, 5, 96))
    before = [{name: p.clone() for name, p in layer.named_parameters()} for layer in layers]
    widths = counted(monkeypatch)
    apart = joined.outputs_of(layers, x)
    assert not widths
    joined.lay_together(layers)
    for layer, parameters in zip(layers, before, strict=True):
        assert dict(layer.named_parameters()).keys() == parameters.keys()
        for name, parameter in layer.named_parameters():
            assert torch.equal(parameter, parameters[name])
    together = joined.outputs_of(layers, x)
    assert widths == [3 * 64]
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("how", ["bypass", "hook", "pre_hook", "replaced", "moved", "another"])
@torch.inference_mode()
def test_what_is_changed_or_watched_is_called_by_itself(
    device: None, precision: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers, x = linears(precision), stream("joined/x", (2, 5, 96))
    joined.lay_together(layers)
    plain = [y.clone() for y in joined.outputs_of(layers, x)]
    widths = counted(monkeypatch)
    k, expected = layers[1], plain[1]
    if how == "bypass":
        forward = k.forward
        k.forward = lambda x: 2 * forward(x)
        expected = 2 * expected
    elif how == "hook":
        k.register_forward_hook(lambda _, args, y: 2 * y)
        expected = 2 * expected
    elif how == "pre_hook":
        k.register_forward_pre_hook(lambda _, args: (0 * args[0],))
        expected = k.bias.expand(expected.shape)  # type: ignore[operator, union-attr]
    elif how == "replaced":  # as a host patches a weight
        k.weight = nn.Parameter(torch.zeros_like(k.weight), requires_grad=False)  # type: ignore[arg-type]
        expected = k.bias.expand(expected.shape)  # type: ignore[operator, union-attr]
    elif how == "moved":  # as a host moves a network: each parameter to a place of its own
        for layer in layers:
            for parameter in layer.parameters():
                parameter.data = parameter.data.clone()
    else:
        layers[1] = nn.Linear(96, 64)
        expected = layers[1](x)
    made = joined.outputs_of(layers, x)
    assert not widths
    torch.testing.assert_close(made[1], expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(made[0], plain[0], rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_on_a_cpu_nothing_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = linears("exact")
    joined.lay_together(layers)
    widths = counted(monkeypatch)
    joined.outputs_of(layers, stream("joined/x", (2, 5, 96)))
    assert not widths


def test_a_generator_keeps_its_names_and_its_memory() -> None:
    generator = copy.deepcopy(small_models().generator)
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    held = sum({p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in generator.parameters()}.values())
    generator.lay_weights(torch.device("cuda"))
    after = generator.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    storages = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in generator.parameters()}
    assert sum(storages.values()) == held
    generator.load_state_dict(before)  # into the places they have
    assert (
        joined._side_by_side([generator.blocks[0].self_attn.q.weight, generator.blocks[0].self_attn.k.weight])
        is not None
    )  # type: ignore[union-attr]
