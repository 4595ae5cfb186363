"""Rendering the blocks of one command into its video, and going on with one that was stopped."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from ...actions.track import ActionTrack
from ...compute.faults import device_fault, reason_of
from ...compute.quantise import precision_of
from ...errors import ActionError, VideoError, WorldError
from ...media.gif import GifWriter, count_gif_frames, forget_frames, frames_begin_at
from ...media.video import VideoWriter, begins_at, recover_frames
from ...system.files import written_whole
from ...system.stopping import finishing
from ...system.words import counted
from ...variants import first_input_of_block, frames_of_blocks
from ...world import (
    Models,
    PassProgress,
    World,
    save_world,
)
from ..shared.change import ChangeOf
from ..shared.console import say, warm_up_with_bar
from .changed import ChangedRollout

SAVE_EVERY = 60.0  # seconds between two saves of the world on its way, at least
SAVE_SHARE = 0.05  # of the time that may go into them


@dataclass(frozen=True)
class Span:
    """What to render: blocks first..last - 1 of a world's life; row 0 of the track belongs to block `first`.
    last_frame: a PNG for the last one. changes: of the picture, by the block before which they are made."""

    track: ActionTrack
    first: int
    last: int
    output: Path
    world_file: Path | None
    last_frame: Path | None = None
    changes: Mapping[int, ChangeOf] = field(default_factory=dict)

    @property
    def is_gif(self) -> bool:
        """Whether the output is an animated GIF."""
        return self.output.suffix.lower() == ".gif"

    def rows_from(self, block: int) -> ActionTrack:
        """The inputs that block `block` is the first to read, and all after them."""
        row = first_input_of_block(block) - first_input_of_block(self.first)
        if row >= len(self.track):
            raise ActionError(f"The inputs end at row {len(self.track)} and the world stands at row {row}; add more.")
        return self.track.slice(row)

    def frames_before(self, block: int) -> int:
        """Frames of the output that come before block `block`."""
        return frames_of_blocks(block) - frames_of_blocks(self.first)


def render_blocks(models: Models, world: World, span: Span) -> int:
    """Make what is left of a span from where the world stands, and say how it went; returns the exit code. Raises
    MatrixGameError."""
    left = span.last - world.block
    if left == 0 and span.is_gif and _is_finished(span):
        forget_frames(span.output)
        say(f"{span.output}: all frames are there")
        return 0
    if left < 1 or world.block < span.first:
        raise WorldError(
            f"The world stands at block {world.block} and blocks {span.first} to {span.last - 1} were asked for; ask "
            "for more with --blocks, or use another --world."
        )
    begins, keep = _place_in_video(span, world.block)
    warm_up_with_bar(models, world.size)
    began = time.perf_counter()
    run = ChangedRollout(
        models, world, span.rows_from(world.block), left, span.changes, lambda at: _show(bar, world.block, span, at)
    )
    if run.repeated:
        say(
            f"the inputs are {counted(run.repeated, 'row')} short of {counted(left, 'block')}; the last row is repeated"
        )
    # once it is known that the world fits: an empty bar before an error says nothing
    bar = tqdm(total=left * models.variant.passes, unit="pass", file=sys.stderr, dynamic_ncols=True)
    with bar:
        frames = _write_blocks(run, span, world.size, begins, keep)
        bar.update(bar.total - bar.n)  # the last pass is told of by the block after it
    seconds = time.perf_counter() - began
    rate = (frames - keep) / seconds
    mode = precision_of(models.generator)
    say(f"{span.output}: {frames} frames; {rate:.2f} frames a second end to end, {seconds:.1f} s, {mode}")
    return 0


def _is_finished(span: Span) -> bool:
    """Whether a GIF was stopped when all was done, and only what lies beside it is left to delete."""
    begins = frames_begin_at(span.output)
    return begins is not None and begins + count_gif_frames(span.output) == span.frames_before(span.last)


def _place_in_video(span: Span, block: int) -> tuple[int, int]:
    """The frame of the whole render with which the output begins, and how many frames that it has stay. A new output
    begins where the world stands."""
    recover_frames(span.output)
    before = span.frames_before(block)
    if span.is_gif and (begins := frames_begin_at(span.output)) is not None and begins <= before:
        return begins, before - begins
    if not span.output.exists():
        return before, 0
    if before and span.is_gif:
        raise VideoError(f"{span.output} is finished, and a GIF is written in one go; name an .mp4 to go on with.")
    begins = begins_at(span.output) if before else 0
    if begins > before:
        raise VideoError(
            f"{span.output} begins at frame {begins} and the world stands at frame {before}; they do not belong "
            "together. Name another file to write what follows there."
        )
    return begins, before - begins


def _write_blocks(run: ChangedRollout, span: Span, size: tuple[int, int], begins: int, keep: int) -> int:
    if span.is_gif:
        writer = GifWriter(span.output, *size, keep=keep, begins=begins, beside=span.world_file is not None)
    else:
        writer = VideoWriter(span.output, *size, keep=keep, begins=begins)
    saves, last = _Saves(span.world_file), None
    try:
        with writer:
            for block in run:
                if span.world_file is not None:
                    writer.restart_encoder()  # so it makes no difference after which block a run ended and went on
                writer.write(block.frames[0])
                last = block.frames[0, -1]
                saves.now_and_then(run)
    except BaseException:
        say(f"stopped; {span.output} holds {counted(writer.frames, 'frame')} and plays")
        raise
    finally:
        with finishing():
            if span.world_file is not None and _stands_with_video(run, span, begins + writer.frames):
                _save(run, span.world_file)
    writer.done()
    if span.last_frame is not None and last is not None:
        with written_whole(span.last_frame) as part:
            Image.fromarray(last.numpy()).save(part, format="PNG")
    return writer.frames


class _Saves:
    """The world on its way, so that a kill costs a minute and not the rollout."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._due = time.monotonic() + SAVE_EVERY

    def now_and_then(self, run: ChangedRollout) -> None:
        """Save the world before a block of which all frames but for the last are in the video."""
        if self._path is None or time.monotonic() < self._due or (world := run.world_before) is None:
            return
        began = time.monotonic()
        save_world(world, self._path)
        took = time.monotonic() - began
        self._due = time.monotonic() + max(SAVE_EVERY, took / SAVE_SHARE)


def _save(run: ChangedRollout, path: Path) -> None:
    """Save where a rollout has stopped. A device that has failed cannot be read; that it failed is said by others."""
    try:
        save_world(run.stop(), path)
    except RuntimeError as error:
        if device_fault(error) is None:
            raise
        say(f"{path} could not be saved: {reason_of(error)}")
    else:
        say(f"{path} stands at block {run.block}; run the same command to go on from there")


def _stands_with_video(run: ChangedRollout, span: Span, frames: int) -> bool:
    """Whether blocks were made and all their frames are in the video, which ends with frame `frames` of the whole
    render; a block that was cut short is taken back."""
    while frames < span.frames_before(run.block):
        if not run.step_back():
            return False
    return run.done > 0


def _show(bar: tqdm, first_block: int, span: Span, progress: PassProgress) -> None:
    bar.update(progress.done * progress.steps + progress.step - bar.n)
    frames = frames_of_blocks(first_block + progress.done) - frames_of_blocks(first_block)
    elapsed = bar.format_dict["elapsed"]
    at = first_block - span.first + progress.done + 1
    bar.set_description(f"block {at} of {span.last - span.first}", refresh=False)
    bar.set_postfix_str(f"{frames / elapsed:.2f} frames/s" if frames and elapsed else "")
