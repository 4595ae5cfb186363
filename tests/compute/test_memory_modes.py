"""Small cards: streamed weights, an encoder that leaves, tiles; and plans that hold what they promise."""

from __future__ import annotations

import copy
import functools
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from comfyui_matrixgame import memory, weights
from comfyui_matrixgame.checkpoints.load import generator_bytes
from comfyui_matrixgame.checkpoints.untrained import write_small_files
from comfyui_matrixgame.compute.attention import Attention
from comfyui_matrixgame.compute.quantise import quantise
from comfyui_matrixgame.compute.streaming import is_streamed, stream_weights
from comfyui_matrixgame.errors import BackendError, WorldError
from comfyui_matrixgame.media.video import read_video
from comfyui_matrixgame.memory import MOST_WORLDS, WORLD_BYTES, MemoryEstimate, MemoryPlan, estimate_memory, plan_memory
from comfyui_matrixgame.networks.generator import Generator, GeneratorConfig
from comfyui_matrixgame.networks.generator.action_module import ActionInputs
from comfyui_matrixgame.networks.generator.kv_cache import Entries
from comfyui_matrixgame.networks.vae import TinyDecoder, WanVAE
from comfyui_matrixgame.networks.vae.low_memory import OVERLAP, TiledDecoder, VisitingEncoder, blend_weights, tiles_of
from comfyui_matrixgame.play.played_world import PlayedWorld
from comfyui_matrixgame.terminal.main import main, parser
from comfyui_matrixgame.terminal.play import make_played_world
from comfyui_matrixgame.variants import UNIVERSAL
from comfyui_matrixgame.world import Models, World, rollout, start_world
from comfyui_matrixgame.world.models import network_id

from ..support.live_memory import LiveMemory
from ..support.networks import random_track, small_image, small_models, stream

CPU, META = torch.device("cpu"), torch.device("meta")
GB = 10**9
CARDS = {12: 11.2, 8: 7.2, 6: 5.4}  # GB of the card, and free of it: the system and the driver take some


def with_layers(layers: int) -> Models:
    """The small models with that many layers, no two of them equal."""
    models = small_models()
    generator = copy.deepcopy(models.generator)
    generator.config = replace(generator.config, layers=layers, action_layers=tuple(range(layers)))
    generator.blocks = torch.nn.ModuleList(copy.deepcopy(generator.blocks[0]) for _ in range(layers))
    for i in range(layers):
        generator.get_submodule(f"blocks.{i}.ffn.0").get_parameter("weight").data.mul_(1 + i / 4)
    return Models(generator, models.vae, vision=models.vision)


def blocks_of(models: Models, count: int = 2) -> list[Any]:
    world = start_world(models, small_image(), 3)
    return list(rollout(models, world, random_track(models.variant, 12 * count), count))


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("precision", ["exact", "int8"])
def test_streamed_weights_change_no_number(layers: int, precision: str) -> None:
    whole = with_layers(layers)
    quantise(whole.generator, precision)
    generator = copy.deepcopy(whole.generator)
    generator_id = network_id(generator)
    streamed = stream_weights(generator, CPU)
    vae: Any = VisitingEncoder(whole.vae, CPU, decodes=True)
    small = Models(generator, vae, vision=whole.vision, generator_id=generator_id)
    assert is_streamed(generator)
    assert not is_streamed(whole.generator)
    assert small.id() == whole.id()
    for ours, theirs in zip(blocks_of(small), blocks_of(whole), strict=True):
        assert ours.names == theirs.names
        assert torch.equal(ours.latents, theirs.latents)
        assert torch.equal(ours.frames, theirs.frames)
    passes = 1 + 2 * 4  # the image's keys, and four passes of two blocks
    assert streamed.copies == {1: 1, 2: 2}.get(layers, streamed.copies)
    assert streamed.copies <= passes * layers + 1


def test_the_encoder_leaves_when_a_world_has_begun() -> None:
    models = small_models()
    whole = rollout(models, start_world(models, small_image(), 3), random_track(models.variant, 24), 2)
    vae: Any = VisitingEncoder(copy.deepcopy(models.vae), CPU, decodes=True)
    small = Models(models.generator, vae, vision=models.vision)
    started = start_world(small, small_image(), 3)
    assert started.encoder_state is None
    assert started.condition.shape[2] == 30
    run = rollout(small, started, random_track(models.variant, 24), 2)
    first = next(run)
    assert torch.equal(first.latents, next(whole).latents)
    assert torch.equal(run.condition[:, :, : whole.condition.shape[2]], whole.condition)


def test_tiles_cover_a_frame_and_their_weights_sum_to_one() -> None:
    for columns in (10, 15, 16, 31, 40, 80, 96):
        for count in memory.TILES:
            tiles = tiles_of(columns, count)
            assert tiles[0][0] == 0
            assert tiles[-1][1] == columns
            assert len({end - start for start, end in tiles}) == 1
            assert all(b[0] + OVERLAP - 1 <= a[1] for a, b in itertools.pairwise(tiles))
            total = torch.zeros(columns * 8)
            for (start, end), weight in zip(tiles, blend_weights(tiles), strict=True):
                assert (weight >= 0).all()
                total[start * 8 : end * 8] += weight
            assert torch.allclose(total, torch.ones_like(total))
    assert len(tiles_of(80, 4)) == 4
    assert len(tiles_of(10, 4)) == 1


@pytest.mark.parametrize("tiny", [False, True])
def test_tiles_are_close_to_the_whole_and_go_on_in_pieces(tiny: bool) -> None:
    whole: Any = small_models(tiny=tiny).decoder
    tiled = TiledDecoder(whole, 2)
    latents = stream("tiles", (1, 16, 3, 2, 32))
    with torch.inference_mode():
        expected, _ = whole.decode(latents)
        pixels, _ = tiled.decode(latents)
        first, state = tiled.decode(latents[:, :, :2])
        rest, _ = tiled.decode(latents[:, :, 2:], state)
    assert torch.equal(torch.cat([first, rest], dim=2), pixels)
    off = (pixels - expected).abs().mean() / expected.std()
    assert off < (0.01 if tiny else 0.2)  # the Wan decoder looks at the whole frame
    assert network_id(tiled) != network_id(whole)
    same = TiledDecoder(whole, 1).decode(latents)[0]
    assert torch.equal(same, expected)


def test_a_world_goes_on_only_in_the_same_tiles() -> None:
    models = small_models()
    tiled: Any = TiledDecoder(models.vae, 2)
    cut = Models(models.generator, models.vae, tiled, models.vision)
    run = rollout(models, start_world(models, small_image(32, 256), 3), random_track(models.variant, 9), 1)
    next(run)
    with pytest.raises(WorldError, match="another decoder"):
        rollout(cut, run.world, random_track(models.variant, 12), 1)


@functools.cache
def weights_at_full_size() -> dict[str, int]:
    config, vae = GeneratorConfig(), 254_000_000
    full, streamed = generator_bytes(config, torch.bfloat16)
    stored_fp8, _ = generator_bytes(config, torch.float8_e4m3fn)
    return {"full": full + vae, "stream": streamed + vae, "fp8": stored_fp8 + vae}


@functools.cache
def rest_at_full_size(tiny: bool, at_once: bool, tiles: int) -> MemoryEstimate:
    return estimate_memory(
        GeneratorConfig(), 352, 640, weights=0, cache_dtype=torch.bfloat16, compute_dtype=torch.bfloat16, tiny=tiny,
        kept=False, encode_at_once=at_once, tiles=tiles,
    )  # fmt: skip


def plan_at(free: float | None, wanted: str = "auto", tiny: bool = False) -> MemoryPlan:
    """The plan of the universal variant at 640x352, in bfloat16."""

    def rest(encode_at_once: bool, tiles: int) -> MemoryEstimate:
        return rest_at_full_size(tiny, encode_at_once, tiles)

    return plan_memory(wanted, None if free is None else int(free * GB), weights_at_full_size(), rest, tiny)


def test_what_is_played_is_planned_with_the_worlds_that_are_kept() -> None:
    models = small_models()
    size = 16, 32
    played = PlayedWorld(models, start_world(models, small_image(*size), 3))
    for _ in range(5):
        played.make(random_track(models.variant, 12), lambda *_: None)
    estimate = estimate_memory(
        models.generator.config, *size, weights=0, cache_dtype=torch.float32, compute_dtype=torch.float32,
        vae_width=models.vae.base_dim, kept=False, played=True,
    )  # fmt: skip
    caches = bytes_of_caches(played.world)
    assert estimate.caches == 2 * caches  # the rollout's and the last world's
    assert estimate.worlds > (MOST_WORLDS - 1) * caches
    assert "worlds to go back to" in str(estimate)
    assert len(played._worlds) == 6
    full_size = {"weights": 0, "cache_dtype": torch.bfloat16, "compute_dtype": torch.bfloat16, "played": True}
    assert estimate_memory(GeneratorConfig(), 352, 640, **full_size).worlds == 0
    assert WORLD_BYTES / 2 < estimate_memory(GeneratorConfig(), 176, 320, **full_size).worlds < WORLD_BYTES


def bytes_of_caches(world: World) -> int:
    return sum(part.nbytes for layer in world.caches for ring in layer.rings().values() for part in (ring.k, ring.v))


def test_play_is_planned_as_it_is_in_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the rollout keeps a copy of its world, also on a GPU."""
    planned = []

    def plan(files: object, height: int, width: int, **how: bool) -> MemoryPlan:
        planned.append(how)
        raise WorldError("enough is known")

    monkeypatch.setattr(weights, "plan_for", plan)
    with pytest.raises(WorldError, match="enough"):
        make_played_world(parser().parse_args(["play"]))
    assert planned == [{"played": True}]


def test_plans_for_common_cards() -> None:
    plans = {card: plan_at(free) for card, free in CARDS.items()}
    for card, plan in plans.items():
        print(f"{card} GB: {plan}")
        assert plan.fits
        assert plan.mode != "fp8"  # it changes the world: only where it was asked for
    assert (plans[12].mode, plans[12].tiles) == ("full", 1)
    assert (plans[8].mode, plans[8].tiles) == ("stream", 1)
    assert plans[6].mode == "stream"
    assert plans[6].tiles > 1
    assert plan_at(CARDS[6], tiny=True).tiles == 1
    assert (plan_at(CARDS[8], tiny=True).mode, plan_at(CARDS[8], tiny=True).encode_at_once) == ("full", True)
    assert plan_at(None).mode == "full"
    assert plan_at(CARDS[12], "fp8").mode == "fp8"
    short = plan_at(1.0)
    assert not short.fits
    assert "may not fit" in str(short)
    with pytest.raises(BackendError, match="no memory mode 'little'"):
        plan_at(None, "little")


class TilesOnPaper(TiledDecoder):
    """Main memory for the meta device: states that lie there take no memory of the card."""

    @staticmethod
    def store(state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(torch.empty(1, dtype=tensor.dtype).expand(tensor.shape) for tensor in state)

    @staticmethod
    def fetch(state: tuple[Tensor, ...], device: torch.device) -> tuple[Tensor, ...]:
        return tuple(torch.empty_like(tensor, memory_format=torch.contiguous_format) for tensor in state)


def attention_without_room(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """What attention takes where scores are never in memory, as on a GPU."""
    return torch.empty_like(q)


@pytest.mark.parametrize("card", list(CARDS))
@pytest.mark.parametrize("tiny", [False, True])
def test_a_full_size_block_stays_inside_its_plan(card: int, tiny: bool) -> None:
    """All tensors of a start, a pass and a decoded block at full size, on the meta device, with a card's limit."""
    plan = plan_at(CARDS[card], tiny=tiny)
    half, config = torch.bfloat16, GeneratorConfig()
    with META, torch.inference_mode():
        generator, vae = Generator(config).to(half), WanVAE(96).to(half)
        tiny_decoder = TinyDecoder().to(half)
        outside = [*generator.parameters(), *vae.parameters(), *tiny_decoder.parameters()]
        for network in (generator, vae, tiny_decoder):
            network.compute_dtype = half
        generator.attention = Attention("on paper", attention_without_room)
        decoder: Any = tiny_decoder if tiny else vae
        decoder = TilesOnPaper(decoder, plan.tiles) if plan.tiles > 1 else decoder
        with LiveMemory(outside, limit=plan.estimate.total - plan.estimate.weights) as device:
            condition, seen = vae.encode(torch.empty(1, 3, 9, 352, 640))
            if plan.encode_at_once:  # when the world starts; otherwise in every block
                _, seen = vae.encode(torch.empty(1, 3, 4, 352, 640), seen)
                del seen
            caches = generator.empty_caches(1, 44, 80, META, half)
            constants = generator.prepare_rollout(torch.empty(1, 257, 1280), [1000.0, 0.0])
            inputs = ActionInputs(torch.empty(1, 3, 12, 4), torch.empty(1, 3, 24))
            _before, state = None, None
            for first in (0, 3, 6):
                # as Rollout does: with room a block is begun while the last one's frames are on their way
                overwritten = Entries.of(caches, first, 3) if first and not plan.encode_at_once else None
                if first and not plan.encode_at_once:
                    _, seen = vae.encode(torch.empty(1, 3, 4, 352, 640), seen)
                block = generator.prepare_block(first, 3, 44, 80, inputs, caches)
                shown = torch.cat([condition[:, :, :1, :, :].new_empty(1, 4, 3, 44, 80), condition], dim=1)
                latents = generator(torch.empty(1, 16, 3, 44, 80), shown, 0, constants, block, caches)
                del overwritten, _before
                # with room the first latent frame by itself; the state before stays until all is done
                ahead = 0 if plan.encode_at_once else 1
                pixels, early = decoder.decode(latents[:, :, :1], state) if ahead else (None, state)
                rest, following = decoder.decode(latents[:, :, ahead:], early)
                _before, state = None if plan.encode_at_once else state, following
                del pixels, early, rest, following
    wanted = plan.estimate.total - plan.estimate.weights
    print(f"{card} GB, {'tiny' if tiny else 'Wan'}: {device.peak / GB:.2f} GB live of {wanted / GB:.2f} GB planned")
    assert device.peak > 0.85 * wanted  # and not by a plan that asks for far too much


def test_the_limit_of_the_stand_in_is_one() -> None:
    with pytest.raises(torch.OutOfMemoryError), LiveMemory(limit=1000):
        torch.empty(251)
    with LiveMemory(limit=1000) as device:
        for _ in range(10):
            torch.empty(250)
    assert (device.now, device.peak) == (0, 1000)


def test_streamed_weights_take_what_the_plan_says() -> None:
    config = GeneratorConfig(
        dim=256, ffn_dim=1024, layers=6, visual_dim=32, action_layers=(0, 1), action_dim=128, keyboard_dim=4,
        keyboard_hidden=16,
    )  # fmt: skip
    for precision in ("exact", "int8"):
        generator = Generator(config).to(torch.bfloat16)
        for parameter in generator.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
        quantise(generator, precision)
        whole, planned = generator_bytes(config, torch.bfloat16, precision)
        assert sum(p.nbytes for p in generator.parameters()) == whole
        streamed = stream_weights(generator, CPU)
        places = {p.untyped_storage().data_ptr() for p in streamed._places}
        rest = sum(p.nbytes for p in generator.parameters() if p.untyped_storage().data_ptr() not in places)
        assert rest + streamed.device_bytes == pytest.approx(planned, rel=0.01)
        assert planned < 0.6 * whole


def test_render_streams_and_names_its_mode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = write_small_files(tmp_path, UNIVERSAL)
    from PIL import Image

    Image.effect_noise((64, 32), 60).convert("RGB").save(tmp_path / "image.png")
    frames = {}
    for name, options in {
        "full": [], "stream": ["--memory", "stream"], "int8": ["--precision", "int8"], "fp8": ["--memory", "fp8"],
    }.items():  # fmt: skip
        output = tmp_path / f"{name}.mp4"
        arguments = ["render", str(tmp_path / "image.png"), "--size", "64x32", "--dtype", "bfloat16", "--device", "cpu"]
        arguments += ["--generator", str(files["generator"]), "--vae", str(files["vae"]), "--clip", str(files["clip"])]
        assert main([*arguments, "--keys", "w", "--blocks", "1", "-o", str(output), *options]) == 0
        said = capsys.readouterr().err
        assert f"memory, estimated: {options[1] if options[:1] == ['--memory'] else 'full'}: " in said
        assert f" s, {'int8' if name == 'int8' else 'exact'}\n" in said
        frames[name] = torch.stack([torch.from_numpy(frame) for frame in read_video(output)])
    assert torch.equal(frames["stream"], frames["full"])
    assert not torch.equal(frames["int8"], frames["full"])
    assert not torch.equal(frames["fp8"], frames["full"])
