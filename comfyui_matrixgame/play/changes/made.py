"""Changes on the way of a played world: made once, and again where the way is replayed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...compute.choices import SEEN, SEEN_CHANGED, SEEN_START
from ...compute.faults import is_out_of_memory
from ...errors import WorldError
from ...world import Models, World
from ...world.change import change_world, plan_change
from ..early_frames import Frames

See = Callable[[Tensor], Tensor]
"""Features [1, 257, dim] of a picture [3, H, W] in [-1, 1]."""


@dataclass(frozen=True, eq=False)
class MadeChange:
    """A change that a world went through. picture: [H, W, 3] of 8 bits. features: of the image tower, where the network
    is shown the picture from there on."""

    picture: Frames
    strength: float
    features: Tensor | None

    def of(self, models: Models, world: World) -> World:
        """The world after it, to the bit the same each time."""
        pictures = torch.from_numpy(self.picture).unsqueeze(0)
        return change_world(models, plan_change(models, world, pictures, None, self.strength), self.features)


def sees_with(see: See | None) -> tuple[str, ...]:
    """What a change may show the network, the default first."""
    return (SEEN_START,) if see is None else SEEN


def make_change(
    models: Models, world: World, picture: Frames, strength: float, seen: str, see: See | None
) -> tuple[MadeChange, World] | None:
    """Change a world's picture; None where all stays as it is. Raises WorldError and ImageError, also where there was
    no memory for it: the world stays what it was."""
    try:
        change = plan_change(models, world, torch.from_numpy(picture).unsqueeze(0), None, strength)
        if change.is_none:
            return None
        features = see(change.picture).cpu() if seen == SEEN_CHANGED and see is not None else None
        return MadeChange(picture, strength, features), change_world(models, change, features)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise WorldError(
            "There was no memory to change the picture beside what is played; close other programs on the device, or "
            "play a smaller size."
        ) from None
