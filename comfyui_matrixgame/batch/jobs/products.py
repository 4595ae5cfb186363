"""Jobs, and products of lists of them that are never laid out in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...actions.track import ActionTrack, blocks_of_rows, rows_of_blocks
from ...variants import frames_of_blocks, get_variant
from .scripts import MOST_SEEDS, Script, total_rows
from .start_sources import Start

FIELDS = ("variant", "image", "length", "script", "seed")  # the axes of a product, the slowest first
MOST_JOBS = MOST_SEEDS  # of a product


@dataclass(frozen=True)
class Job:
    """One rollout to make. name: of its output, without an ending. blocks: how many new ones."""

    name: str
    variant: str
    start: Start
    script: Script
    seed: int
    blocks: int

    def track(self) -> ActionTrack:
        """The inputs that the new blocks are the first to read: as many rows as they need, no more."""
        rows = rows_of_blocks(self.blocks, self.start.blocks)
        return self.script.track(self.variant).padded(rows).slice(0, rows)

    @property
    def frames(self) -> int:
        """New frames."""
        return frames_of_blocks(self.start.blocks + self.blocks) - frames_of_blocks(self.start.blocks)

    @property
    def labels(self) -> dict[str, str]:
        """What the fields of a name stand for."""
        return labels_of(self.variant, self.start, self.script, self.seed, self.blocks)


@dataclass(frozen=True)
class Product:
    """A product: every variant with every start, length, script and seed.

    lengths: blocks, or None for as many as the script asks for. template: of the names.
    """

    line: int
    variants: Sequence[str]
    starts: Sequence[Start]
    lengths: Sequence[int | None]
    scripts: Sequence[Script]
    seeds: Sequence[int]
    template: str

    @property
    def axes(self) -> tuple[Sequence, ...]:
        """The lists in the order of FIELDS."""
        return self.variants, self.starts, self.lengths, self.scripts, self.seeds

    def __len__(self) -> int:
        return math.prod(len(axis) for axis in self.axes)

    def job(self, index: int) -> Job:
        """Job `index` of the product."""
        picked = []
        for axis in reversed(self.axes):
            index, at = divmod(index, len(axis))
            picked.append(axis[at])
        seed, script, length, start, variant = picked
        return self._job(variant, start, length, script, seed)

    def jobs(self, variant: str | None = None) -> Iterator[Job]:
        """All jobs in order, or those of one variant."""
        for name in self.variants:
            if variant is not None and name != variant:
                continue
            for start in self.starts:
                for length in self.lengths:
                    for script in self.scripts:
                        for seed in self.seeds:
                            yield self._job(name, start, length, script, seed)

    def totals(self) -> list[Totals]:
        """Jobs, blocks and frames, one line for each variant and kind of length; without visiting the jobs."""
        return [part for variant in self.variants for part in self._totals(variant)]

    def _totals(self, variant: str) -> Iterator[Totals]:
        for first in sorted({start.blocks for start in self.starts}):
            starts = sum(start.blocks == first for start in self.starts)
            for length in self.lengths:
                for count, rows in total_rows(self.scripts, variant) if length is None else [(len(self.scripts), 0)]:
                    blocks = length or blocks_of_rows(rows, first)
                    jobs = starts * count * len(self.seeds)
                    frames = frames_of_blocks(first + blocks) - frames_of_blocks(first)
                    yield Totals(variant, jobs, blocks, frames, bool(first))

    def _job(self, variant: str, start: Start, length: int | None, script: Script, seed: int) -> Job:
        blocks = length or blocks_of_rows(script.length(get_variant(variant).name), start.blocks)
        name = self.template.format_map(labels_of(variant, start, script, seed, blocks))
        return Job(name, variant, start, script, seed, blocks)


@dataclass(frozen=True)
class Totals:
    """So many jobs of so many blocks and frames each; clip: whether they continue one."""

    variant: str
    jobs: int
    blocks: int
    frames: int
    clip: bool


def labels_of(variant: str, start: Start, script: Script, seed: int, blocks: int) -> dict[str, str]:
    """Field -> text; get_variant's names are file names already."""
    return {
        "variant": variant,
        "image": start.label,
        "length": f"{blocks}b",
        "script": script.label,
        "seed": str(seed),
    }
