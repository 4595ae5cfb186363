"""Going on anywhere: caches and decoder rebuilt from stored latents are those of an uninterrupted rollout, bitwise."""

from __future__ import annotations

import copy
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from comfyui_matrixgame.actions.track import rows_of_blocks
from comfyui_matrixgame.cache import BlockCache
from comfyui_matrixgame.cache.keys import BlockKeys, keys_after
from comfyui_matrixgame.cache.rollout.replay import context_blocks, replay_context, sink_blocks
from comfyui_matrixgame.compute.attention import get_attention
from comfyui_matrixgame.networks.generator import Generator, GeneratorConfig
from comfyui_matrixgame.networks.vae import VideoDecoder, WanVAE
from comfyui_matrixgame.networks.vae.low_memory import TiledDecoder, VisitingEncoder
from comfyui_matrixgame.play.early_frames import EarlyDecoder
from comfyui_matrixgame.variants import LATENTS_PER_BLOCK, UNIVERSAL
from comfyui_matrixgame.world import Models, World, rollout, start_world
from comfyui_matrixgame.world.recent import decoder_blocks

from ..support.networks import SMALL, random_track, small_image, small_models, stream, with_streams
from .blocks import cached, edited, plain, same, without_snapshots

LAST = 8  # blocks before the one that goes on


@pytest.mark.parametrize("name", SMALL)
def test_the_context_is_exactly_as_long_as_counted(name: str) -> None:
    """Clean passes over `context_blocks` blocks, begun with empty caches, make what the next block sees; over one
    block fewer they do not."""
    models = deeper_models(name)
    track = random_track(models.variant, rows_of_blocks(LAST))
    start = start_world(models, small_image(16, 16), seed=3)
    run = rollout(models, start, track)
    blocks = list(run)
    reach = context_blocks(models.generator.config)
    assert reach == {"universal": 5, "gta_drive": 5, "templerun": 3, "with_sink": 5}[name]
    block_keys = BlockKeys(models, start, track, LAST)

    def passes_over(count: int) -> World:
        with torch.inference_mode():
            kept = replay(start, sink_blocks(models.generator.config)).caches
            return replay(block_keys.world_at(LAST - count, kept, None), LAST)

    def replay(world: World, until: int) -> World:
        return replay_context(models, world, lambda b: blocks[b].latents, block_keys.rows, until, lambda: None)

    assert seen_by_next(passes_over(reach), run.world)
    assert not seen_by_next(passes_over(reach - 1), run.world)


def deeper_models(name: str) -> Models:
    """Three layers, of which two have action modules."""
    small = small_models(name)
    config = replace(small.generator.config, layers=3, action_layers=(0, 1))
    generator = with_streams(Generator(config), f"deeper/{name}")
    generator.variant = small.variant  # type: ignore[assignment]
    return Models(generator, small.vae, vision=small.vision)  # type: ignore[arg-type]


def seen_by_next(a: World, b: World) -> bool:
    """Whether the entries that the next block reads are equal: those of the frames that stay in the window."""
    window, sink = a.variant.window, a.variant.sink
    stay = [*range(sink), *range((LAST + 1) * LATENTS_PER_BLOCK - window + sink, LAST * LATENTS_PER_BLOCK)]
    for left, right in zip(a.caches, b.caches, strict=True):
        for name, ring in left.rings().items():
            other = right.rings()[name]
            for frame in stay:
                if not all(map(torch.equal, ring.entries(frame, 1), other.entries(frame, 1))):
                    return False
    return True


def wrapped_decoders() -> dict[str, VideoDecoder]:
    """Each decoder, and each wrapper around one."""
    wan, tiny, cpu = small_models().decoder, small_models(tiny=True).decoder, torch.device("cpu")
    assert isinstance(wan, WanVAE)
    return {
        "wan": wan,
        "tiny": tiny,
        "early wan": EarlyDecoder(wan),
        "early tiny": EarlyDecoder(tiny),
        "tiles of tiny": TiledDecoder(tiny, 2),
        "visiting": VisitingEncoder(copy.deepcopy(wan), cpu, decodes=True),
        "early tiles of visiting": EarlyDecoder(TiledDecoder(VisitingEncoder(copy.deepcopy(wan), cpu, True), 2)),
    }


DECODERS = wrapped_decoders()


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_sees_exactly_as_far_as_it_says(name: str) -> None:
    decoder, latents = DECODERS[name], 8 if "tiny" in name else 38
    assert decoder.latents_behind == latents
    assert decoder_blocks(decoder) == -(-latents // LATENTS_PER_BLOCK)
    clip = stream("clip of latents", (1, 16, latents + 2, 1, 32 if "tiles" in name else 2))

    def equal_after(seen: int) -> bool:
        with torch.inference_mode():
            whole, tail = decoder.decode(clip)[1], decoder.decode(clip[:, :, -seen:])[1]
        return all(torch.equal(a, b) for a, b in zip(whole, tail, strict=True))

    assert equal_after(latents)
    assert not equal_after(latents - 1)


def test_where_a_decoders_states_lie_is_known_through_what_stands_in_front_of_it() -> None:
    places = {name: decoder.state_device for name, decoder in DECODERS.items()}
    assert {name for name, place in places.items() if place is not None} == {"tiles of tiny", "early tiles of visiting"}


def test_the_published_sizes() -> None:
    universal, templerun = GeneratorConfig(), GeneratorConfig(keyboard_dim=7, keyboard_hidden=32, mouse=False)
    assert context_blocks(universal) == 45
    assert context_blocks(replace(universal, window=4)) == 45
    assert context_blocks(templerun) == 30


@pytest.mark.parametrize("name", ["early wan", "visiting"])
def test_an_edit_resumes_from_latents_alone_whatever_stands_before_the_decoder(name: str, tmp_path: Path) -> None:
    models = replace(small_models(), decoder=DECODERS[name])
    world = start_world(models, small_image(16, 16), seed=3)
    track = random_track(UNIVERSAL, rows_of_blocks(15))
    cached(models, world, track, BlockCache(tmp_path, "p"))
    other = edited(track, 14)
    blocks, run = cached(models, world, other, without_snapshots(tmp_path, "p"))
    assert (run.counts.made, run.counts.reused) == (1, 14)
    assert same(blocks, plain(models, world, other))


@pytest.mark.parametrize("name", ["sdpa", "flash2", "flash3", "sage"])
def test_each_attention_has_keys_of_its_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They differ in the last bits. Those of the default stay what they were."""
    for package in ("flash_attn", "flash_attn_interface", "sageattention"):
        module = types.ModuleType(package)
        module.__dict__.update(flash_attn_func=None, sageattn=None)
        monkeypatch.setitem(sys.modules, package, module)
    attention = get_attention(name)
    assert attention.name == name
    assert attention.approximation == ("sage" if name == "sage" else None)
    models = copy.copy(small_models())
    models.generator = copy.copy(models.generator)
    models.generator.attention = attention
    world = start_world(small_models(), small_image(16, 16), seed=3)
    assert f"/{name}/{torch.__version__}" in keys_after(models, world).numbers


@pytest.mark.parametrize(("name", "tiny"), [("universal", False), ("templerun", True), ("with_sink", True)])
def test_an_edit_resumes_from_latents_alone(name: str, tiny: bool, tmp_path: Path) -> None:
    models = small_models(name, tiny)
    world = start_world(models, small_image(16, 16), seed=3)
    track = random_track(models.variant, rows_of_blocks(15))
    cached(models, world, track, BlockCache(tmp_path, "p"))
    other = edited(track, 14)
    blocks, run = cached(models, world, other, without_snapshots(tmp_path, "p"))
    assert same(blocks, plain(models, world, other))
    assert (run.counts.made, run.counts.reused) == (1, 14)
    config = models.generator.config
    assert run.counts.replayed == sink_blocks(config) + context_blocks(config) < 14


def test_the_world_after_stored_blocks_goes_on_the_same(tmp_path: Path) -> None:
    """Nothing is made, no state is stored, and the world after the last block is still that of the rollout."""
    models = small_models()
    track = random_track(UNIVERSAL, rows_of_blocks(8))
    start = start_world(models, small_image(16, 16), seed=3)
    cached(models, start, track.slice(0, rows_of_blocks(6)), BlockCache(tmp_path, "p"))
    blocks, run = cached(models, start, track.slice(0, rows_of_blocks(6)), without_snapshots(tmp_path, "p"))
    assert run.counts.made == 0
    rest = plain(models, run.world, track.slice(rows_of_blocks(6)))
    assert same([*blocks, *rest], plain(models, start, track))


def test_a_second_rollout_continues_the_chain_of_the_first(tmp_path: Path) -> None:
    models = small_models()
    track = random_track(UNIVERSAL, rows_of_blocks(6))
    start = start_world(models, small_image(16, 16), seed=3)
    cache = BlockCache(tmp_path, "p")
    first, run = cached(models, start, track.slice(0, rows_of_blocks(3)), cache)
    second, _ = cached(models, run.world, track.slice(rows_of_blocks(3)), cache)
    whole, again = cached(models, start, track, cache)
    assert same(whole, [*first, *second])
    assert again.counts.made == 0


def test_lost_blocks_are_made_again_wherever_they_are(tmp_path: Path) -> None:
    """Latents, frames or both of some blocks are gone, and all snapshots."""
    models = small_models()
    track = random_track(UNIVERSAL, rows_of_blocks(9))
    start = start_world(models, small_image(16, 16), seed=3)
    whole, first = cached(models, start, track, BlockCache(tmp_path, "p"))
    cache = without_snapshots(tmp_path, "p")
    block_keys = first.block_keys
    for block in (2, 5):
        cache.drop("latents", block_keys.latents_key(block))
    for block in (3, 5, 8):
        cache.drop("frames", block_keys.frames_key(block))
    blocks, run = cached(models, start, track, cache)
    assert same(blocks, whole)
    assert (run.counts.made, run.counts.decoded, run.counts.reused) == (2, 2, 5)


def test_another_decoder_only_decodes(tmp_path: Path) -> None:
    full, tiny = small_models(), small_models(tiny=True)
    both = Models(full.generator, full.vae, tiny.decoder, full.vision)
    track = random_track(UNIVERSAL, rows_of_blocks(4))
    cache = BlockCache(tmp_path, "p")
    cached(full, start_world(full, small_image(16, 16), seed=3), track, cache)
    start = start_world(both, small_image(16, 16), seed=3)
    blocks, run = cached(both, start, track, cache)
    assert (run.counts.made, run.counts.decoded) == (0, 4)
    assert same(blocks, plain(both, start, track))


def test_what_is_not_in_a_name_is_in_the_key() -> None:
    """Image features and the picture's shape decide the frames too."""
    models = small_models()
    grey = torch.zeros(3, 16, 32)
    keys = set()
    for image in (grey, grey.reshape(3, 32, 16)):
        for features in (torch.zeros(1, 257, 32), torch.ones(1, 257, 32)):
            world = start_world(models, image, features=features)
            keys.add(BlockKeys(models, world, random_track(UNIVERSAL, 8), 1).latents_key(0))
    assert len(keys) == 4
