"""Worlds whose steps, window or sink are the user's: another rollout, by its name, its file and its cached blocks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from comfyui_matrixgame.actions.track import rows_of_blocks
from comfyui_matrixgame.cache import BlockCache
from comfyui_matrixgame.cache.rollout.replay import context_blocks, sink_blocks
from comfyui_matrixgame.errors import WorldError
from comfyui_matrixgame.variants import UNIVERSAL, Tried
from comfyui_matrixgame.world import Models, load_world, rollout, save_world, stack_worlds, start_world
from comfyui_matrixgame.world.files import CHECKSUM, FORMAT
from comfyui_matrixgame.world.world import ENGINE_VERSION, first_name

from ..cache.blocks import cached, edited, plain, same, without_snapshots
from ..support.networks import random_track, small_image, small_models
from .ways import trying

WAYS = {
    "steps": Tried(steps=(1000, 500)),
    "window": Tried(window=9),
    "odd window": Tried(window=7),
    "sink": Tried(sink=1),
    "all": Tried((1000, 750, 500, 250), 10, 4),
    "same view": Tried(window=9, keeps="same_view"),
}


@pytest.mark.parametrize("tried", WAYS.values(), ids=WAYS)
def test_in_pieces_and_from_a_file(tried: Tried, tmp_path: Path) -> None:
    models, track = trying(tried), random_track(UNIVERSAL, rows_of_blocks(6))
    start = start_world(models, small_image(16, 16), seed=3)
    whole = plain(models, start, track)
    published = plain(small_models(), start_world(small_models(), small_image(16, 16), seed=3), track)
    assert not any(a.names == b.names for a, b in zip(whole, published, strict=True))
    assert not torch.equal(whole[-1].latents, published[-1].latents)
    run = rollout(models, start, track, 4)
    first = list(run)
    restored = load_world(save_world(run.world, tmp_path / "w.safetensors"))
    assert restored.variant == models.variant
    assert same(whole, [*first, *plain(models, restored, track.slice(rows_of_blocks(4)))])


@pytest.mark.parametrize("tried", WAYS.values(), ids=WAYS)
def test_an_edit_resumes_from_latents_alone(tried: Tried, tmp_path: Path) -> None:
    models = trying(tried)
    world = start_world(models, small_image(16, 16), seed=3)
    track = random_track(UNIVERSAL, rows_of_blocks(14))
    cached(models, world, track, BlockCache(tmp_path, "p"))
    other = edited(track, 13)
    blocks, run = cached(models, world, other, without_snapshots(tmp_path, "p"))
    assert same(blocks, plain(models, world, other))
    assert (run.counts.made, run.counts.reused) == (1, 13)
    config = models.generator.config
    replayed = 13 if tried.keeps else sink_blocks(config) + context_blocks(config)
    assert run.counts.replayed == replayed <= 13


def test_no_block_of_another_way_is_taken_from_the_cache(tmp_path: Path) -> None:
    track = random_track(UNIVERSAL, rows_of_blocks(2))
    for models in (small_models(), *map(trying, WAYS.values())):
        world = start_world(models, small_image(16, 16), seed=3)
        blocks, run = cached(models, world, track, BlockCache(tmp_path, "p"))
        assert run.counts.reused == 0
        assert same(blocks, plain(models, world, track))


def test_names_stay_where_nothing_is_tried() -> None:
    """Worlds, results of batches and cached blocks of before are found by them."""
    name = first_name("m", UNIVERSAL, "p", 3, UNIVERSAL.steps)
    parts = (ENGINE_VERSION, "m", "universal", "p", 3, (1000, 666, 333), "")
    assert name == hashlib.sha256(repr(parts).encode()).hexdigest()
    names = {first_name("m", variant, "p", 3, variant.steps) for variant in (t.of(UNIVERSAL) for t in WAYS.values())}
    assert len(names - {name}) == len(WAYS)


def test_a_file_says_what_was_tried_and_nothing_where_nothing_was(tmp_path: Path) -> None:
    def about(models: Models) -> dict[str, object]:
        path = save_world(start_world(models, small_image(16, 16), 3), tmp_path / "w.safetensors")
        with safe_open(path, "pt") as file:
            return json.loads(file.metadata()[FORMAT])

    plainly, tried = about(small_models()), about(trying(WAYS["all"]))
    assert (plainly["version"], "tried" in plainly) == (1, False)
    # programs of before would go on with the variant's own steps, and refuse the version
    assert (tried["version"], tried["variant"]) == (2, "universal")
    assert tried["tried"] == {"steps": [1000, 750, 500, 250], "window": 10, "sink": 4}


@pytest.mark.parametrize(
    "said",
    [
        None, [], {}, {"steps": [1000], "window": 9}, {"steps": [1000], "window": 9, "sink": 0, "more": 1},
        {"steps": [], "window": 9, "sink": 0}, {"steps": [[]], "window": 9, "sink": 0},
        {"steps": [10**30], "window": 9, "sink": 0}, {"steps": [500, 1000], "window": 9, "sink": 0},
        {"steps": [1000], "window": 2, "sink": 0}, {"steps": [1000], "window": True, "sink": 0},
        {"steps": [1000], "window": 9, "sink": 7}, {"steps": [1000], "window": 12, "sink": 0},
    ],
)  # fmt: skip
def test_a_file_that_says_what_cannot_be_is_damaged(said: object, tmp_path: Path) -> None:
    models = trying(WAYS["window"])
    run = rollout(models, start_world(models, small_image(16, 16), 3), random_track(UNIVERSAL, 8))
    list(run)
    path = save_world(run.world, tmp_path / "w.safetensors")
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()[FORMAT])
    about["tried"] = said
    del about[CHECKSUM]
    save_file(load_file(path), path, {FORMAT: json.dumps(about)})
    with pytest.raises(WorldError, match="damaged") as raised:
        load_world(path)
    assert "\n" not in str(raised.value)


def test_a_world_goes_on_only_with_what_it_was_made_with(tmp_path: Path) -> None:
    here, there = trying(WAYS["sink"]), trying(WAYS["steps"])
    world = start_world(here, small_image(16, 16), 3)
    for models in (there, small_models()):
        with pytest.raises(WorldError, match="made with steps 1000,666,333, window 6, sink 1, the generator is loaded"):
            rollout(models, world, random_track(UNIVERSAL, 8))
    with pytest.raises(WorldError, match="their window differs"):
        stack_worlds([world, start_world(there, small_image(16, 16), 4)])
