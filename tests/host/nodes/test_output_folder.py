"""An output folder that cannot be written: whoever saves says so in one sentence with the fix, whoever only keeps
things for later goes on without, and what was made is not lost."""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator

import pytest

from ..conftest import make_base
from ..graphs import Graph, Link
from ..live import Events, walk_two_blocks_and_stop
from ..server import Host
from ..worlds import BLOCK0, add_models, add_rollout, add_world

FIX = "cannot be written (Not a directory); check its rights and the free space, or start ComfyUI with another"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """ComfyUI with an output folder below a file, where nobody can make one: tests may run as root, whom no permissions
    stop."""
    base = make_base(tmp_path_factory.mktemp("closed"))
    (base / "file").write_text("mine")
    running = Host(base, "--output-directory", str(base / "file" / "output"))
    yield running
    running.stop()
    assert (base / "file").read_text() == "mine"


def cached(mode: str) -> tuple[Graph, Link, Link]:
    """A rollout of two blocks from a world that World Cache keeps, and its frames as a preview."""
    graph = Graph()
    world = add_world(graph, *add_models(graph))
    cache = graph.add("MatrixGameWorldCache", name="p", mode=mode, limit_gb=1.0, memory_gb=0.1, world=world)
    actions = graph.add("MatrixGameActionTimeline", variant="universal", script="w 8f; w 13f")
    rolled = graph.add("MatrixGameRollOut", world=cache, actions=actions, images="always", cache=cache[1])
    graph.add("PreviewImage", images=rolled[0])
    return graph, cache, rolled


def test_save_world_says_so_and_the_rollout_before_it_is_not_made_again(closed: Host) -> None:
    graph = Graph()
    rolled = add_rollout(graph, add_world(graph, *add_models(graph)), BLOCK0)
    saved = graph.add("MatrixGameSaveWorld", world=rolled[2], filename_prefix="matrixgame/w")
    for _ in range(2):
        run = closed.run(graph.prompt)
        assert run.status == "error"
        assert run.error["node_id"] == saved.node
        assert run.message.startswith("The world is not saved: ")
        assert FIX in run.message
    assert rolled.node in run.cached


def test_world_cache_goes_on_without_unless_it_is_to_keep(closed: Host) -> None:
    graph, cache, rolled = cached("automatic")
    run = closed.run(graph.prompt)
    assert run.status == "success", run.error
    (told,) = [text for node, text in run.texts if node == cache.node]
    assert told.startswith("World Cache could not keep the world, and the run goes on without: ")
    assert FIX in told
    report = run.outputs[rolled.node]["text"][0]
    assert report.startswith("2 blocks made, 0 reused. ")
    assert report.count("cannot be") == 1, report
    assert "blocks are kept in memory only. Check its rights" in report
    run = closed.run(cached("keep")[0].prompt)
    assert run.status == "error"
    assert run.message.startswith("World Cache could not keep the world: ")
    assert FIX in run.message


def test_live_play_hands_the_take_to_the_page(closed: Host) -> None:
    graph = Graph()
    world = add_world(graph, *add_models(graph), seed=3)
    played = graph.add(
        "MatrixGameLivePlay", "play", world=world, mode="responsive", images="always", blocks=341, idle=60
    )
    graph.add("PreviewImage", images=played[0])
    events = Events(closed, walk_two_blocks_and_stop)
    run = closed.run(graph.prompt, on_event=events)
    assert run.status == "success", run.error
    assert len(events.takes) == 1
    said = run.outputs["play"]["text"][0]
    assert ". The take was handed to the page, and is in no file: " in said
    assert FIX in said


def test_routes_find_nothing(closed: Host) -> None:
    assert closed.get("/matrixgame/cache") == {"projects": []}
    for path in ("/matrixgame/cache/p/thumbnail", f"/matrixgame/cache/p/frame/{'0' * 40}"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            closed.get(path)
        assert refused.value.code == 404
