"""Worlds to play, one after another, with models that are loaded once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from .. import weights
from ..weights import Files
from ..world import Models, start_world
from .played_world import Playable, PlayedWorld, StartWorld


def world_starter(
    files: Files,
    size: tuple[int, int],
    *,
    picture: str | Path | bytes | None = None,
    attention: str = "sdpa",
    note: Callable[[str], object] = lambda _: None,
    ready: Callable[[Models], object] = lambda _: None,
) -> StartWorld:
    """What makes worlds of height and width `size`; the models are loaded for the first of them.

    picture: of worlds for which none is named. note: gets sentences about the picture and what is loaded. ready: gets
    the models before they first play. Raises ImageError, and what planning and loading raise.
    """
    plan = weights.plan_for(files, *size, played=True)
    loaded: list[Models] = []

    def start(named: str | bytes | None, seed: int) -> Playable:
        image = weights.start_picture(picture if named is None else named, files, *size, note)
        if not loaded:
            note(f"{files.generator.title}; {size[1]}x{size[0]}; {files.precision}")
            note(f"memory, estimated: {plan}")
        features = weights.image_features(files, image)  # before the models, so that both need not be in memory
        models = loaded[0] if loaded else weights.load_models(files, attention, plan)
        world = start_world(models, image, seed, features=features).to("cpu")  # on the device it would only take room
        if not loaded:
            ready(models)
            loaded.append(models)
        see = None if files.vision is None else partial(weights.image_features, files)
        return PlayedWorld(models, world, see=see)

    return start
