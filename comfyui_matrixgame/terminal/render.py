"""`matrixgame render`: from files on disk to a video on disk."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from ..actions.document import Timeline
from ..actions.read import Loaded
from ..actions.ready_made.held import held_track
from ..actions.track import ActionTrack, blocks_of_rows, rows_of_blocks
from ..checkpoints.formats import FOUNDATION
from ..compute.attention import get_attention
from ..compute.devices import find_device
from ..compute.quantise import check_precision
from ..errors import ActionError, TargetError, WorldError
from ..media.clips import Clip, read_clip
from ..media.gif import is_own_gif
from ..media.video import is_own_video
from ..memory import tiles_of_state
from ..networks.vae.base import SPATIAL_STRIDE
from ..system.targets import check_target, printable_path
from ..system.words import counted
from ..variants import FPS, MOST_BLOCKS, Variant, frames_of_blocks
from ..weights import Files, find_files, image_features, load_models, plan_for
from ..world import (
    load_world,
    start_world,
    start_world_from_clip,
)
from ..world.block.condition import whole_condition
from .rendering.span import Span, render_blocks
from .shared.change import asked_change, changed_world, changes_made, check_change, taken_changes
from .shared.console import parse_size, say, start_picture
from .shared.inputs import with_seeds_at
from .shared.options import as_tried

ENDINGS = (".mp4", ".m4v", ".gif")  # of videos


def render(args: argparse.Namespace) -> int:
    """Run the command; every error is a MatrixGameError."""
    device = find_device(args.device)
    files = find_files(args.generator, args.vae, args.vision, args.decoder, args.dtype, device, whole_clips=True)
    files = replace(files, precision=args.precision, memory=args.memory)
    check_precision(files.precision, device)
    _check_targets(args, files)
    if files.generator.kind == FOUNDATION:
        from .rendering.whole_clip import render_whole_clip

        return render_whole_clip(args, files, _inputs(args, files.variant)[0])
    check_change(args)
    files = as_tried(files, args)
    _say_what_has_no_effect(args)
    world_file = Path(args.world) if args.world else None
    world = load_world(world_file) if world_file is not None and world_file.exists() else None
    source = load_world(Path(args.from_world)) if args.from_world else None
    change = asked_change(args) if world is None else None
    asked = parse_size(args.size) if args.size else files.size
    given = source if world is None else world
    height, width = asked if given is None else given.size
    get_attention(args.attention)
    if args.blocks is not None and args.blocks > MOST_BLOCKS:
        raise WorldError(f"--blocks is at most {MOST_BLOCKS:,}, got {args.blocks:,}; a --world goes on from there.")
    track, timeline = _inputs(args, files.variant)
    clip = None
    if args.from_world and args.continue_clip:
        raise WorldError("A render goes on from a clip or from a world; leave out --continue-clip or --from-world.")
    if args.continue_clip:
        clip = read_clip(args.continue_clip, height, width, lambda text: say(f"clip: {text}"))
    first = _clip_blocks(clip) if clip is not None else 0 if source is None else source.block
    blocks = args.blocks if args.blocks is not None else blocks_of_rows(len(track), first)
    if blocks < 1:
        raise WorldError("A render of zero blocks makes nothing; ask for --blocks 1 or more.")
    track = with_seeds_at(track, args.seed_at, blocks)
    taken = taken_changes(timeline, first, blocks)
    frames = frames_of_blocks(first + blocks) - frames_of_blocks(first)
    say(f"{files.generator.title}; {width}x{height}, {counted(blocks, 'block')}, {frames} frames at {FPS} a second")
    if files.variant.described_as is not None:
        say(f"tried: {files.variant.settings}, in place of {files.variant.own.settings}")
    state = None if given is None else given.decoder_state
    room = plan_for(files, height, width, tiles=tiles_of_state(state, width // SPATIAL_STRIDE))
    say(f"memory, estimated: {room}")
    if world is not None:
        models = load_models(files, args.attention, room)
        # the rollout takes it to the device, and no second one stays there
        world = whole_condition(world, models.vae)
        own = f"its own picture, seed {world.seeds[0]} and size {width}x{height}"
        say(f"going on from {args.world} at block {world.block}, with {own}")
    elif source is not None:
        models = load_models(files, args.attention, room)
        world = changed_world(args, change, files, models, source).to("cpu")
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
    last_frame = Path(args.last_frame) if args.last_frame else None
    changes = changes_made(taken, files, models)
    span = Span(track, first, first + blocks, Path(args.output), world_file, last_frame, changes)
    return render_blocks(models, world, span)


def _check_targets(args: argparse.Namespace, files: Files) -> None:
    """Raise TargetError where the video or the world cannot be written, or would take the place of something else."""
    ending = Path(args.output).suffix.lower()
    if not os.path.isdir(args.output) and ending not in ENDINGS:
        raise TargetError(
            f"--output {printable_path(args.output)}: a video is written as .mp4 or .gif; name it such as out.mp4."
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
        "the world to go on from": args.from_world,
        "the mask of the change": args.change_mask,
        **{f"picture {i} of the change": picture for i, picture in enumerate(args.change or (), 1)},
    }
    check_target(args.output, "--output", {**inputs, "the file of --world": args.world}, _is_own, "video")
    if args.world:
        check_target(args.world, "--world", inputs)
    if args.last_frame:
        if Path(args.last_frame).suffix.lower() != ".png":
            raise TargetError(
                f"--last-frame {printable_path(args.last_frame)}: it is written as .png; name it such as last.png."
            )
        check_target(args.last_frame, "--last-frame", {**inputs, "the file of --world": args.world})


def _is_own(path: Path) -> bool:
    return is_own_gif(path) if path.suffix.lower() == ".gif" else is_own_video(path)


def _say_what_has_no_effect(args: argparse.Namespace) -> None:
    """Say which options others leave without effect."""
    if args.from_world and args.image not in (None, "-"):
        say(f"the start image {printable_path(args.image)} beside --from-world: no effect, as the world has begun")
    if args.from_world and args.seed:
        say("--seed beside --from-world: no effect, as the world has its own; --seed-at gives it another")
    held = [name for name, said in (("--keys", args.keys), ("--mouse", args.mouse != "0,0")) if said]
    clips = [name for name, said in (("--clip-actions", args.clip_actions), ("--clip-from", args.clip_kind)) if said]
    if args.actions is not None and held:
        say(f"{' and '.join(held)} beside --actions: no effect, as those are all the inputs")
    if args.actions is None and args.kind:
        say("--from without --actions: no effect, as no inputs are read")
    if not args.continue_clip and clips:
        say(f"{' and '.join(clips)} without --continue-clip: no effect, as no clip is read")
    if args.continue_clip and args.image not in (None, "-"):
        say(
            f"the start image {printable_path(args.image)} beside --continue-clip: no effect, as the world "
            "begins with the clip"
        )


def _inputs(args: argparse.Namespace, variant: Variant) -> tuple[ActionTrack, Timeline | None]:
    if args.actions is not None:
        loaded = _read(args.actions, variant, args.branch, args.kind)
        return loaded.track, loaded.timeline
    if args.branch:
        raise ActionError("--branch names a branch of a timeline; give its file with --actions.")
    rows = rows_of_blocks(args.blocks if args.blocks and args.blocks > 0 else 3)
    return held_track(variant, args.keys, args.mouse, rows), None


def _read(source: str, variant: Variant, branch: str | None = None, kind: str | None = None) -> Loaded:
    from .shared.inputs import load_inputs

    loaded = load_inputs(source, variant, kind, branch, text=True)
    for note in loaded.notes:
        say(f"inputs: {note}")
    return loaded


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
    rows = clip.rows(_read(args.clip_actions, variant, kind=args.clip_kind).track, lambda text: say(f"clip: {text}"))
    if len(rows) < clip.count - 1:
        raise WorldError(
            f"{clip.name} has {clip.count} frames and needs {clip.count - 1} input rows; there are {len(rows)}."
        )
    return rows
