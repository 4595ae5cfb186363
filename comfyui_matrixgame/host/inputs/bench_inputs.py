"""Matrix-Game Bench Inputs."""

from __future__ import annotations

from ...actions.ready_made.bench import bench_track
from ...actions.track import ActionTrack, rows_of_blocks
from ...variants import get_variant


def bench_inputs(variant: str, blocks: int, seed: int) -> ActionTrack:
    """The benchmark's random inputs for a new world of `blocks` blocks."""
    return bench_track(get_variant(variant), seed, rows_of_blocks(blocks))
