"""Fifty runs and a minute of video leave the host's memory where it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .server import Host
from .worlds import BLOCK0, HEIGHT, WIDTH, simple

pytestmark = pytest.mark.slow
MEGABYTE = 1 << 20
RUNS, WARM_UP = 50, 10
MINUTE = 125  # blocks


@pytest.fixture(scope="module")
def forgetful(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host that drops outputs as soon as the graph changes; by default core keeps them until memory is short."""
    folder = tmp_path_factory.mktemp("forgetful")
    (folder / "models").symlink_to(base / "models", target_is_directory=True)
    (folder / "input").symlink_to(base / "input", target_is_directory=True)
    host = Host(folder, "--cache-classic")
    yield host
    host.stop()


def test_fifty_runs_do_not_grow(forgetful: Host) -> None:
    before = 0
    for seed in range(RUNS):
        assert forgetful.run(simple(BLOCK0, seed=seed)[0].prompt).status == "success"
        if seed + 1 == WARM_UP:
            before = forgetful.memory_bytes()
    grown = forgetful.memory_bytes() - before
    worlds = list((forgetful.base / "temp" / "matrixgame").glob("latents_*"))
    print(f"{RUNS - WARM_UP} runs: {grown / MEGABYTE:.1f} MB, {len(worlds)} worlds alive")
    assert len(worlds) <= 4  # each living world has such a folder: those of the last graph, and no other
    assert grown < 48 * MEGABYTE


def test_a_minute_of_video_is_never_in_memory(forgetful: Host) -> None:
    start = forgetful.memory_bytes()
    highest = [start]

    def watch(kind: str, _: dict[str, Any]) -> None:
        if kind == "progress":
            highest.append(forgetful.memory_bytes())

    graph, _ = simple(f"w {12 * MINUTE - 4}f", seed=1000)
    run = forgetful.run(graph.prompt, on_event=watch, timeout=1800)
    assert run.status == "success"
    assert len(run.previews) == MINUTE
    frames = (12 * MINUTE - 3) * HEIGHT * WIDTH * 3 * 4
    grown = max(highest) - start
    print(
        f"{MINUTE} blocks: {grown / MEGABYTE:.1f} MB at most; the frames as IMAGE would be {frames / MEGABYTE:.0f} MB"
    )
    assert grown < frames / 2
