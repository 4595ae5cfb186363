"""What a job file will take: jobs, frames, time, memory, disk; said before anything runs."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from ..cache.projects import DISK_BYTES as CACHE_BYTES
from ..memory import MemoryEstimate
from ..system.resources import gigabytes
from ..system.words import counted
from .jobs.settings import JobFile, is_url
from .jobs.task import wanted_items
from .results.outputs import latents_bytes

MOST_NOTES = 20  # that a plan shows
MANY = 100_000  # jobs that need a --yes
ASSUMED = {"mp4": 0.15, "overlay": 0.2, "png": 2.0, "jpeg": 0.6}  # bytes a pixel, where nothing was measured
WORLD_SHARE = 0.5  # of a rollout's caches and decoder state: it counts both twice


@dataclass(frozen=True)
class Plan:
    """What was worked out. seconds: of all devices together, None where nothing was measured. done: jobs that
    were made before, None where they were not looked for. measured: jobs that the time comes from. notes: what was
    left out or assumed."""

    count: int
    frames: int
    blocks: int
    by_variant: dict[str, int]
    devices: int
    seconds: float | None
    measured: int
    memory: MemoryEstimate | None
    disk: float
    disk_measured: bool
    free: int | None
    cache: Path | None
    done: int | None
    notes: tuple[str, ...] = ()

    @property
    def refusal(self) -> str | None:
        """Why this cannot be run as it is; None where it can."""
        if self.free is not None and self.disk > self.free:
            return (
                f"Refused: the results need about {gigabytes(self.disk)} and {gigabytes(self.free)} are free. Keep "
                "less, ask for fewer jobs, or name another --output; --yes starts it all the same."
            )
        if self.count > MANY:
            return (
                f"Not started: {self.count:,} jobs are more than {MANY:,}. If that is what you want, say --yes; it "
                "can be stopped and goes on where it was."
            )
        return None

    def lines(self) -> list[str]:
        """The plan as a person reads it."""
        variants = ", ".join(f"{name} {count:,}" for name, count in self.by_variant.items())
        lines = [
            f"jobs      {self.count:,} ({variants})" + ("" if self.done is None else f"; {self.done:,} are finished"),
            f"frames    {self.frames:,} in {counted(self.blocks, 'block', form=',')}, "
            f"{duration_text(self.frames / 25)} of video at 25 a second",
        ]
        if self.seconds is None:
            lines.append("time      unknown: nothing with these models and this size was measured here; run one job")
        else:
            devices = "" if self.devices == 1 else f" on {self.devices} devices"
            lines.append(
                f"time      about {duration_text(self.seconds)}{devices}, from "
                f"{counted(self.measured, 'finished job', form=',')}"
            )
        if self.memory is not None:
            lines.append(f"memory    {self.memory} on each device, estimated")
        source = "from finished jobs" if self.disk_measured else "an assumption; noisy pictures take more"
        free = "" if self.free is None else f", {gigabytes(self.free)} are free"
        lines.append(f"disk      about {gigabytes(self.disk)} ({source}){free}")
        if self.cache is not None:
            lines.append(
                f"cache     up to {gigabytes(CACHE_BYTES)} more, in {self.cache}; common beginnings are made once"
            )
        lines += [f"note      {' '.join(note.split())}" for note in self.notes[:MOST_NOTES]]
        if len(self.notes) > MOST_NOTES:
            lines.append(f"note      and {len(self.notes) - MOST_NOTES:,} more of this kind")
        return lines


@dataclass(frozen=True)
class Measured:
    """What earlier jobs took: seconds of a block, in how many jobs; bytes of a frame by item."""

    seconds_per_block: tuple[float, int] | None
    bytes_per_frame: dict[str, float]


def make_plan(
    jobs: JobFile, memory: MemoryEstimate | None, measured: Measured, devices: int = 1, done: int | None = None
) -> Plan:
    """Work a plan out from the totals of a job file; no job is visited."""
    totals = jobs.totals()
    count, blocks = sum(t.jobs for t in totals), sum(t.jobs * t.blocks for t in totals)
    frames = sum(t.jobs * t.frames for t in totals)
    seconds = measured.seconds_per_block
    by_variant: dict[str, int] = {}
    for total in totals:
        by_variant[total.variant] = by_variant.get(total.variant, 0) + total.jobs
    disk, is_measured = _disk(jobs, count, frames, blocks, memory, measured)
    return Plan(
        count=count,
        frames=frames,
        blocks=blocks,
        by_variant=by_variant,
        devices=devices,
        seconds=None if seconds is None else seconds[0] * blocks / devices,
        measured=0 if seconds is None else seconds[1],
        memory=memory,
        disk=disk,
        disk_measured=is_measured,
        free=free_space(jobs.output),
        cache=jobs.cache,
        done=done,
        notes=jobs.notes,
    )


def free_space(output: str) -> int | None:
    """Bytes that are free where the results go; None where that cannot be known."""
    if is_url(output):
        return None
    place = Path(output).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return None


def duration_text(seconds: float) -> str:
    """A duration in the two units that matter."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    for size, unit, small, name in ((86400, "days", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{int(seconds // size):,} {unit} {int(seconds % size // small)} {name}"
    return time.strftime("%H:%M:%S", time.gmtime(seconds))


def _disk(
    jobs: JobFile, count: int, frames: int, blocks: int, memory: MemoryEstimate | None, measured: Measured
) -> tuple[float, bool]:
    """Bytes of all results, and whether they follow from what was measured or is exact."""
    pixels, total, is_measured = jobs.size[0] * jobs.size[1], 8000.0 * count, True  # thumbnail and notes
    for item in wanted_items(jobs.keep, jobs.overlay):
        kind = item.partition("-")[0]
        if item == "latents":
            total += latents_bytes(blocks, jobs.size)
        elif item == "inputs":
            total += 16.0 * frames
        elif item == "world":
            total += 0 if memory is None else count * WORLD_SHARE * (memory.caches + memory.decoder_state) / jobs.worlds
        elif item in measured.bytes_per_frame:
            total += measured.bytes_per_frame[item] * frames
        else:
            total, is_measured = total + ASSUMED[kind] * pixels * frames, False
    return total, is_measured
