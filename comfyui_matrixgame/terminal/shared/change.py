"""A world changed by pictures, from the options of `matrixgame render`."""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor

from ...errors import WorldError
from ...media.images import read_pixels
from ...weights import Files, image_features
from ...world import Models, World
from ...world.change import change_world, plan_change
from .console import say


def check_change(args: argparse.Namespace) -> None:
    """Raise WorldError where there is no world to change, and say which options have no effect."""
    if args.change and not args.from_world:
        raise WorldError("--change changes the last frames of a world; name the world's file with --from-world.")
    if not args.change and args.change_mask:
        say("--change-mask without --change: no effect, as nothing is changed")


def changed_world(args: argparse.Namespace, files: Files, models: Models, source: World) -> World:
    """The world to go on from; raises what plan_change and change_world raise, and ImageError for unreadable files."""
    if not args.change:
        say(f"going on from {args.from_world} at block {source.block}")
        return source
    change = plan_change(models, source, _pictures(args.change), _mask(args.change_mask), args.change_strength)
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
