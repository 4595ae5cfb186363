"""A world changed by pictures, from the options of `matrixgame render`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...errors import WorldError
from ...media.images import read_pixels
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
    features = None if args.change_seen == "start" else image_features(files, change.picture)
    say(f"going on from {args.from_world} at block {source.block}, changed")
    return change_world(models, change, features)


def _pictures(paths: list[str]) -> Tensor:
    pictures = [read_pixels(path) for path in paths]
    other = next((i for i, picture in enumerate(pictures) if picture.shape != pictures[0].shape), None)
    if other is not None:
        raise WorldError(f"The pictures of --change differ in size: {paths[0]} and {paths[other]}; scale them alike.")
    return torch.from_numpy(np.stack(pictures))


def _mask(path: str | None) -> Tensor | None:
    return None if path is None else torch.from_numpy(read_pixels(path)).float().mean(dim=-1) / 255
