"""`matrixgame render`: from files on disk to a video on disk."""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from ..actions.ready_made.held import held_track
from ..actions.track import ActionTrack, blocks_of_rows, rows_of_blocks
from ..checkpoints.formats import FOUNDATION
from ..compute.attention import get_attention
from ..compute.devices import find_device
from ..compute.faults import device_fault, reason_of
from ..compute.quantise import check_precision, precision_of
from ..errors import ActionError, TargetError, VideoError, WorldError
from ..media.clips import Clip, read_clip
from ..media.gif import GifWriter, count_gif_frames, forget_frames, frames_begin_at, is_own_gif
from ..media.video import VideoWriter, begins_at, is_own_video, recover
from ..memory import tiles_of_state
from ..networks.vae.base import SPATIAL_STRIDE
from ..system.stopping import finishing
from ..system.targets import check_target, shown
from ..system.words import counted
from ..variants import FPS, MOST_BLOCKS, Variant, first_input_of_block, frames_of_blocks
from ..weights import Files, find_files, image_features, load_models, plan_for
from ..world import (
    Models,
    PassProgress,
    Rollout,
    World,
    load_world,
    rollout,
    save_world,
    start_world,
    start_world_from_clip,
)
from ..world.block.condition import whole_condition
from .console import parse_size, say, start_picture, warm_up_with_bar

ENDINGS = (".mp4", ".m4v", ".gif")  # of videos
SAVE_EVERY = 60.0  # seconds between two saves of the world on its way, at least
SAVE_SHARE = 0.05  # of the time that may go into them


def render(args: argparse.Namespace) -> int:
    """Run the command; every error is a MatrixGameError."""
    device = find_device(args.device)
    files = find_files(args.generator, args.vae, args.vision, args.decoder, args.dtype, device, whole_clips=True)
    files = replace(files, precision=args.precision, memory=args.memory)
    check_precision(files.precision, device)
    _check_targets(args, files)
    if files.generator.kind == FOUNDATION:
        from .whole_clip import render_whole_clip

        return render_whole_clip(args, files, _inputs(args, files.variant))
    if args.steps is not None:
        raise WorldError("--steps is for the foundation model; a distilled generator has its own.")
    _say_what_has_no_effect(args)
    world_file = Path(args.world) if args.world else None
    world = load_world(world_file) if world_file is not None and world_file.exists() else None
    asked = parse_size(args.size) if args.size else files.size
    height, width = asked if world is None else world.size
    get_attention(args.attention)
    if args.blocks is not None and args.blocks > MOST_BLOCKS:
        raise WorldError(f"--blocks is at most {MOST_BLOCKS:,}, got {args.blocks:,}; a --world goes on from there.")
    track = _inputs(args, files.variant)
    clip = None
    if args.continue_clip:
        clip = read_clip(args.continue_clip, height, width, lambda text: say(f"clip: {text}"))
    clip_blocks = _clip_blocks(clip) if clip is not None else 0
    blocks = args.blocks if args.blocks is not None else blocks_of_rows(len(track), clip_blocks)
    if blocks < 1:
        raise WorldError("A render of zero blocks makes nothing; ask for --blocks 1 or more.")
    frames = frames_of_blocks(clip_blocks + blocks) - frames_of_blocks(clip_blocks)
    say(f"{files.generator.title}; {width}x{height}, {counted(blocks, 'block')}, {frames} frames at {FPS} a second")
    state = None if world is None else world.decoder_state
    room = plan_for(files, height, width, tiles=tiles_of_state(state, width // SPATIAL_STRIDE))
    say(f"memory, estimated: {room}")
    if world is not None:
        models = load_models(files, args.attention, room)
        # the rollout takes it to the device, and no second one stays there
        world = whole_condition(world, models.vae)
        own = f"its own picture, seed {world.seeds[0]} and size {width}x{height}"
        say(f"going on from {args.world} at block {world.block}, with {own}")
    else:
        rows = _clip_rows(args, clip, files.variant) if clip is not None else None
        image = start_picture(args.image, files, height, width) if clip is None else clip.pixels[:, 0]
        features = image_features(files, image)
        models = load_models(files, args.attention, room)
        if clip is None or rows is None:
            world = start_world(models, image, args.seed, features=features)
        else:
            world = start_world_from_clip(models, clip.pixels, rows, args.seed, features=features)
        world = world.to("cpu")  # on the device it would lie beside what the warm-up and the rollout have
    span = Span(track, clip_blocks, clip_blocks + blocks, Path(args.output), world_file)
    return _render_blocks(models, world, span)


@dataclass(frozen=True)
class Span:
    """What to render: blocks first..last - 1 of a world's life; row 0 of the track belongs to block `first`."""

    track: ActionTrack
    first: int
    last: int
    output: Path
    world_file: Path | None

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


def _check_targets(args: argparse.Namespace, files: Files) -> None:
    """Raise TargetError where the video or the world cannot be written, or would take the place of something else."""
    ending = Path(args.output).suffix.lower()
    if not os.path.isdir(args.output) and ending not in ENDINGS:
        raise TargetError(
            f"--output {shown(args.output)}: a video is written as .mp4 or .gif; name it such as out.mp4."
        )
    inputs = {
        "the start image": args.image,
        "the clip to go on from": args.continue_clip,
        "the file of --actions": args.actions,
        "the file of --clip-actions": args.clip_actions,
        "the generator": files.generator.path,
        "the VAE": files.vae.path,
        "the image tower": files.vision,
        "the decoder": files.decoder,
    }
    check_target(args.output, "--output", {**inputs, "the file of --world": args.world}, _is_own, "video")
    if args.world:
        check_target(args.world, "--world", inputs)


def _is_own(path: Path) -> bool:
    return is_own_gif(path) if path.suffix.lower() == ".gif" else is_own_video(path)


def _render_blocks(models: Models, world: World, span: Span) -> int:
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
    bar = tqdm(total=left * models.variant.passes, unit="pass", file=sys.stderr, dynamic_ncols=True)
    show = functools.partial(_show, bar, world.block)
    run = rollout(models, world, span.rows_from(world.block), left, on_pass=show)
    if run.repeated:
        say(
            f"the inputs are {counted(run.repeated, 'row')} short of {counted(left, 'block')}; the last row is repeated"
        )
    with bar:
        frames = _write_blocks(run, span, world.size, begins, keep)
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
    recover(span.output)
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


def _write_blocks(run: Rollout, span: Span, size: tuple[int, int], begins: int, keep: int) -> int:
    if span.is_gif:
        writer = GifWriter(span.output, *size, keep=keep, begins=begins, beside=span.world_file is not None)
    else:
        writer = VideoWriter(span.output, *size, keep=keep, begins=begins)
    saves = _Saves(span.world_file)
    try:
        with writer:
            for block in run:
                if span.world_file is not None:
                    writer.cut()  # so that it makes no difference after which block a run was ended and continued
                writer.write(block.frames[0])
                saves.now_and_then(run)
    except BaseException:
        say(f"stopped; {span.output} holds {counted(writer.frames, 'frame')} and plays")
        raise
    finally:
        with finishing():
            if span.world_file is not None and _stands_with_video(run, span, begins + writer.frames):
                _save(run, span.world_file)
    writer.done()
    return writer.frames


class _Saves:
    """The world on its way, so that a kill costs a minute and not the rollout."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._due = time.monotonic() + SAVE_EVERY

    def now_and_then(self, run: Rollout) -> None:
        """Save the world before a block of which all frames but for the last are in the video."""
        if self._path is None or time.monotonic() < self._due or (world := run.world_before) is None:
            return
        began = time.monotonic()
        save_world(world, self._path)
        took = time.monotonic() - began
        self._due = time.monotonic() + max(SAVE_EVERY, took / SAVE_SHARE)


def _save(run: Rollout, path: Path) -> None:
    """Save where a rollout has stopped. A device that has failed cannot be read; that it failed is said by others."""
    try:
        save_world(run.stop(), path)
    except RuntimeError as error:
        if device_fault(error) is None:
            raise
        say(f"{path} could not be saved: {reason_of(error)}")
    else:
        say(f"{path} stands at block {run.block}; run the same command to go on from there")


def _stands_with_video(run: Rollout, span: Span, frames: int) -> bool:
    """Whether blocks were made and all their frames are in the video, which ends with frame `frames` of the whole
    render; a block that was cut short is taken back."""
    while frames < span.frames_before(run.block):
        if not run.step_back():
            return False
    return run.done > 0


def _show(bar: tqdm, first_block: int, progress: PassProgress) -> None:
    bar.update(progress.done * progress.steps + progress.step - bar.n)
    frames = frames_of_blocks(first_block + progress.done) - frames_of_blocks(first_block)
    elapsed = bar.format_dict["elapsed"]
    bar.set_description(f"block {first_block + progress.done}", refresh=False)
    bar.set_postfix_str(f"{frames / elapsed:.2f} frames/s" if frames and elapsed else "")


def _say_what_has_no_effect(args: argparse.Namespace) -> None:
    """Say which options others leave without effect."""
    held = [name for name, said in (("--keys", args.keys), ("--mouse", args.mouse != "0,0")) if said]
    clips = [name for name, said in (("--clip-actions", args.clip_actions), ("--clip-from", args.clip_kind)) if said]
    if args.actions is not None and held:
        say(f"{' and '.join(held)} beside --actions: no effect, as those are all the inputs")
    if args.actions is None and args.kind:
        say("--from without --actions: no effect, as no inputs are read")
    if not args.continue_clip and clips:
        say(f"{' and '.join(clips)} without --continue-clip: no effect, as no clip is read")
    if args.continue_clip and args.image not in (None, "-"):
        say(f"the start image {shown(args.image)} beside --continue-clip: no effect, as the world begins with the clip")


def _inputs(args: argparse.Namespace, variant: Variant) -> ActionTrack:
    if args.actions is not None:
        return _read(args.actions, variant, args.branch, args.kind)
    if args.branch:
        raise ActionError("--branch names a branch of a timeline; give its file with --actions.")
    rows = rows_of_blocks(args.blocks if args.blocks and args.blocks > 0 else 3)
    return held_track(variant, args.keys, args.mouse, rows)


def _read(source: str, variant: Variant, branch: str | None = None, kind: str | None = None) -> ActionTrack:
    from .inputs import load_inputs

    loaded = load_inputs(source, variant, kind, branch, text=True)
    for note in loaded.notes:
        say(f"inputs: {note}")
    return loaded.track


def _clip_blocks(clip: Clip) -> int:
    blocks = clip.blocks
    if not clip.exact:
        say(
            f"clip: {clip.name} plays {clip.rate:.4g} frames a second; it is resampled to {FPS} frames a second, "
            f"of which the first {clip.count} are used"
        )
    return blocks


def _clip_rows(args: argparse.Namespace, clip: Clip, variant: Variant) -> ActionTrack:
    """The inputs that belong to the clip."""
    if not args.clip_actions:
        raise ActionError("Continuing a clip needs the inputs that belong to it; give them with --clip-actions.")
    rows = clip.rows(_read(args.clip_actions, variant, kind=args.clip_kind), lambda text: say(f"clip: {text}"))
    if len(rows) < clip.count - 1:
        raise WorldError(
            f"{clip.name} has {clip.count} frames and needs {clip.count - 1} input rows; there are {len(rows)}."
        )
    return rows
