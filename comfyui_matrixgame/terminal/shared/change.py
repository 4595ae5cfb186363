"""A world changed by pictures, from the options of `matrixgame render`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...actions.document import Timeline
from ...actions.track import rows_of_blocks
from ...compute.choices import SEEN_START
from ...errors import ActionError, WorldError
from ...media.images import read_pixels
from ...play.changes.made import make_change
from ...play.changes.taken import PictureChange, changes_of
from ...system.words import counted
from ...weights import Files, image_features
from ...world import Models, World
from ...world.change import change_world, check_strength, plan_change
from .console import say


@dataclass(frozen=True)
class Asked:
    """What the options ask for, read before any weights are. pictures: [N, H, W, 3] of 8 bits. mask: [H, W]."""

    pictures: Tensor
    mask: Tensor | None
    strength: float


def check_change(args: argparse.Namespace) -> None:
    """Raise WorldError where there is no world to change, or for a strength that no change has, and say which options
    have no effect."""
    if args.change and not args.from_world:
        raise WorldError("--change changes the last frames of a world; name the world's file with --from-world.")
    if args.change_strength is not None:
        check_strength(args.change_strength)
    options = {
        "--change-mask": args.change_mask,
        "--change-strength": args.change_strength,
        "--change-seen": args.change_seen,
    }
    idle = [name for name, value in options.items() if value is not None]
    if idle and not args.change:
        say(f"{' and '.join(idle)} without --change: no effect, as nothing is changed")


def asked_change(args: argparse.Namespace) -> Asked | None:
    """The change that is asked for, if any. Raises ImageError for unreadable files."""
    if not args.change:
        return None
    strength = 1.0 if args.change_strength is None else args.change_strength
    return Asked(_pictures(args.change), _mask(args.change_mask), strength)


def changed_world(args: argparse.Namespace, asked: Asked | None, files: Files, models: Models, source: World) -> World:
    """The world to go on from; raises what plan_change and change_world raise."""
    if asked is None:
        say(f"going on from {args.from_world} at block {source.block}")
        return source
    change = plan_change(models, source, asked.pictures, asked.mask, asked.strength)
    if change.is_none:
        say(f"going on from {args.from_world} at block {source.block}, whose last frames already look so")
        return source
    features = None if args.change_seen == SEEN_START else image_features(files, change.picture)
    say(f"going on from {args.from_world} at block {source.block}, changed")
    return change_world(models, change, features)


ChangeOf = Callable[[World], World]


def taken_changes(timeline: Timeline | None, first: int, blocks: int) -> dict[int, list[PictureChange]]:
    """The changes of the picture in a take that begins at block `first` of a world's life, by the block of its life
    before which they are made. Raises ActionError where one is before no block."""
    changes = () if timeline is None else changes_of(timeline)
    at = {rows_of_blocks(block, first): first + block for block in range(blocks)}
    found: dict[int, list[PictureChange]] = {}
    for change in changes:
        if change.row >= rows_of_blocks(blocks, first):
            say(f"inputs: the picture is changed at row {change.row}, after the last block; no effect")
        elif change.row not in at:
            raise ActionError(
                f"The picture is changed before row {change.row}, where no block begins; render the take as it was "
                "played, from the world that it was played in."
            )
        else:
            found.setdefault(at[change.row], []).append(change)
    return found


def changes_made(changes: Mapping[int, list[PictureChange]], files: Files, models: Models) -> dict[int, ChangeOf]:
    """What makes them, with the models that are loaded."""

    def made_by(asked: list[PictureChange]) -> ChangeOf:
        def change(world: World) -> World:
            for each in asked:
                made = make_change(models, world, each.pixels, each.strength, each.seen, see)
                world = world if made is None else made[1]
            say(f"block {world.block}: the picture is changed {counted(len(asked), 'time')}")
            return world

        return change

    def see(picture: Tensor) -> Tensor:
        return image_features(files, picture)

    return {block: made_by(asked) for block, asked in changes.items()}


def _pictures(paths: list[str]) -> Tensor:
    pictures = [read_pixels(path) for path in paths]
    other = next((i for i, picture in enumerate(pictures) if picture.shape != pictures[0].shape), None)
    if other is not None:
        raise WorldError(f"The pictures of --change differ in size: {paths[0]} and {paths[other]}; scale them alike.")
    return torch.from_numpy(np.stack(pictures))


def _mask(path: str | None) -> Tensor | None:
    return None if path is None else torch.from_numpy(read_pixels(path)).float().mean(dim=-1) / 255
