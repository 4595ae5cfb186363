"""Fast modes: what is quantised, that kernels compute what the plain text says, and that worlds do not mix."""

from __future__ import annotations

import copy
import functools
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from comfyui_matrixgame.compute import fused
from comfyui_matrixgame.compute import quantise as q
from comfyui_matrixgame.compute.attention import Attention
from comfyui_matrixgame.compute.ops import Linear
from comfyui_matrixgame.errors import BackendError, WorldError
from comfyui_matrixgame.world import Models, rollout, start_world

from ..support.networks import random_track, small_image, small_models, stream

FAST = ("fp8", "int8")


def fast_models(precision: str) -> Models:
    exact = small_models()
    generator = copy.deepcopy(exact.generator)
    q.quantise(generator, precision)
    return Models(generator, exact.vae, exact.decoder, exact.vision)


def one_block(models: Models) -> Tensor:
    world = start_world(models, small_image(), 3)
    return next(rollout(models, world, random_track(models.variant, 9), 1)).latents


def layer(rows: int, width: int, out: int) -> tuple[Tensor, nn.Linear]:
    linear = nn.Linear(width, out).requires_grad_(False)
    linear.weight.copy_(stream(f"w{width}x{out}", (out, width), 0.05))
    x = stream(f"x{rows}", (2, rows, width))
    x[0, 0] *= 1000  # each row has a scale of its own
    x[1, 0] = 0
    return x, linear


@pytest.mark.parametrize("precision", FAST)
@pytest.mark.parametrize("rows", [1, 40])
def test_the_kernel_computes_what_plain_torch_does(precision: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, linear = layer(rows, 96, 64)
    fast = q.QuantisedLinear(linear, precision)
    y = fast(x)
    monkeypatch.setattr(q, "_has_kernel", lambda *_: False)
    assert torch.allclose(y, fast(x), rtol=1e-5, atol=1e-4 * float(y.abs().max()) / 1000)
    assert torch.equal(y[1, 0], linear.bias)  # a row of zeros
    widened = x @ (fast.weight.float() * fast.scale.unsqueeze(1)).t() + linear.bias
    error = (y - widened).norm(dim=-1) / widened.norm(dim=-1)
    assert error.max() < {"fp8": 0.05, "int8": 0.02}[precision]
    assert error.max() > 1e-4  # the input lost bits too: it is no weight-only format


@pytest.mark.parametrize("precision", FAST)
def test_a_quantised_weight_is_within_half_a_step(precision: str) -> None:
    weight = stream("weights", (64, 96)) * torch.logspace(-3, 3, 64).unsqueeze(1)
    quantised = q.quantise_weight(weight.bfloat16(), precision)
    back = quantised.values.float() * quantised.scales.unsqueeze(1)
    off = (back - weight.bfloat16().float()).abs()
    assert quantised.values.element_size() == 1
    if precision == "int8":
        assert (off <= quantised.scales.unsqueeze(1) * 0.5001).all()
    else:  # 3 bits behind the point: a 16th at most, or half the smallest step
        assert (off <= torch.maximum(weight.abs() * 2**-4, quantised.scales.unsqueeze(1) * 2**-10) * 1.01).all()


def test_what_stays_exact() -> None:
    generator = fast_models("fp8").generator
    quantised = {name.split(".", 2)[2] for name, m in generator.named_modules() if isinstance(m, q.QuantisedLinear)}
    assert quantised == set(q.LARGE)
    for name in ("patch_embedding", "time_embedding.0", "time_projection.1", "img_emb.proj.1", "head.head"):
        assert not isinstance(generator.get_submodule(name), q.QuantisedLinear)
    for name in ("mouse_mlp.0", "keyboard_embed.0", "keyboard_embed.2", "keyboard_attn_kv"):
        assert isinstance(generator.get_submodule(f"blocks.0.action_model.{name}"), Linear)


@pytest.mark.parametrize("precision", FAST)
def test_a_rollout_is_close_to_exact_and_never_mixes_with_it(precision: str) -> None:
    exact, fast = small_models(), fast_models(precision)
    reference, latents = one_block(exact), one_block(fast)
    error = ((latents - reference).norm() / reference.norm()).item()
    assert 1e-4 < error < 0.2
    assert torch.equal(latents, one_block(fast))
    assert len({models.id() for models in (exact, fast_models("fp8"), fast_models("int8"))}) == 3
    world = start_world(exact, small_image(), 3)
    with pytest.raises(WorldError, match="other weights"):
        rollout(fast, world, random_track(fast.variant, 9), 1)
    assert q.precision_of(fast.generator) == precision
    assert q.precision_of(exact.generator) == "exact"


def test_a_device_without_the_arithmetic_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(q, "_has_kernel", lambda precision, _: precision == "int8")
    with pytest.raises(BackendError, match="Choose int8 or exact"):
        q.check_precision("fp8", torch.device("mps"))
    q.check_precision("int8", torch.device("mps"))
    q.check_precision("fp8", torch.device("cpu"))  # computed there in plain torch
    with pytest.raises(BackendError, match="no precision 'fp4'"):
        q.check_precision("fp4", torch.device("cpu"))


class Card:
    """A CUDA card as torch sees it, whose products fail as those of a platform do; the numbers come from the CPU."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], fails: str = "") -> None:
        self.device = torch.device("cuda")
        self.fails = fails
        self._real = torch._scaled_mm
        monkeypatch.setattr(torch, "_scaled_mm", self._scaled_mm)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA GeForce RTX 4090")
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
        monkeypatch.setattr(q.platform, "system", lambda: "Windows")
        monkeypatch.setattr(q, "_tried", functools.cache(self._tried))

    def _scaled_mm(self, x: Tensor, y: Tensor, **options: Tensor) -> Tensor:
        self.used = "rows" if options["scale_a"].numel() > 1 else "tensor"
        if self.used in self.fails:
            raise RuntimeError(f"{self.used}-wise scaling was not built for this platform.\nMore follows.")
        return self._real(x, y, **options)

    def _tried(self, precision: str, _: torch.device) -> tuple[q._Tried, ...]:
        here = torch.device("cpu")
        ways = (q._fp8_by_rows, q._fp8_by_tensor) if precision == "fp8" else (q._int8_product,)
        return tuple(q._Tried(way, q._what_fails(way, q._DTYPES[precision], here)) for way in ways)


@pytest.mark.parametrize("fails", ["", "rows"])
def test_8_bit_floats_where_no_kernel_has_scales_for_rows(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch is built for Windows: cuBLAS multiplies, and the scales of rows and columns come after it."""
    x, linear = layer(40, 96, 64)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        fast = q.QuantisedLinear(linear.to(dtype), "fp8")
        rows = (x * 0.01).to(dtype)
        expected = fast(rows).float()
        with pytest.MonkeyPatch.context() as patch:
            card = Card(patch, (8, 9), fails)
            q.check_precision("fp8", card.device)
            y = fast(rows)
        assert card.used == ("tensor" if fails else "rows")
        assert y.dtype == dtype
        assert ((y.float() - expected).norm(dim=-1) / expected.norm(dim=-1).clamp_min(1e-3)).max() < 0.01


def test_what_a_platform_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(monkeypatch, (8, 9), "rows, tensor")
    with pytest.raises(BackendError) as told:
        q.check_precision("fp8", card.device)
    text = str(told.value)
    assert f"torch {torch.__version__} for Windows" in text
    assert "rows-wise scaling was not built for this platform;" in text
    assert "More follows" not in text
    assert text.endswith("Install a newer torch. Choose int8 or exact.")
    assert "8.9" not in text  # the card is not to blame


def test_what_a_card_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(monkeypatch, (8, 6), "rows, tensor")
    with pytest.raises(
        BackendError, match=r"8\.9 or newer .*; NVIDIA GeForce RTX 4090 has 8\.6\. Choose int8 or exact"
    ):
        q.check_precision("fp8", card.device)


@pytest.mark.parametrize("precision", FAST)
def test_an_input_of_several_layers_becomes_8_bits_once(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    models = fast_models(precision)
    wanted = one_block(models)
    sizes: Counter[int] = Counter()
    of = fused.quantise_rows

    def counted(x: Tensor, *options: object, **more: object) -> tuple[Tensor, Tensor]:
        sizes[x.shape[1]] += 1
        return of(x, *options, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(q, "quantise_rows", counted)
    monkeypatch.setattr(fused, "quantise_rows", counted)
    assert torch.equal(one_block(models), wanted)
    passes, layers = 4, 2
    wide = 5 * layers + 1  # once for q, k, v; o; the image's q and o; ffn 0 and 2 (as wide here); the keys' q
    assert sizes[128] == passes * (wide + layers) + 2 * layers  # the image's k and v, once a rollout


def test_odd_shapes_stay_exact() -> None:
    generator = copy.deepcopy(small_models().generator)
    generator.blocks[0].ffn["0"] = Linear(128, 120)  # type: ignore[index, union-attr]
    q.quantise(generator, "int8")
    assert not isinstance(generator.get_submodule("blocks.0.ffn.0"), q.QuantisedLinear)
    assert isinstance(generator.get_submodule("blocks.1.ffn.0"), q.QuantisedLinear)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", FAST)
def test_on_the_gpu_as_on_the_cpu(precision: str) -> None:
    device = torch.device("cuda")
    q.check_precision(precision, device)
    x, linear = layer(40, 96, 64)
    fast = q.QuantisedLinear(linear.bfloat16(), precision)
    expected = fast(x.bfloat16()).float()
    y = fast.to(device)(x.to(device, torch.bfloat16)).float().cpu()
    assert ((y - expected).norm(dim=-1) / expected.norm(dim=-1).clamp_min(1e-3)).max() < 0.01


def test_an_attention_that_approximates_is_named_and_part_of_a_world() -> None:
    models = fast_models("int8")
    plain = models.id()

    coarse = Attention("coarse", lambda q, k, v: q)
    models.generator.attention = coarse
    assert models.id() == plain
    models.generator.attention = replace(coarse, approximation="sage")
    assert q.precision_of(models.generator) == "int8, sage attention"
    assert models.id() != plain
