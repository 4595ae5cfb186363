"""A change of the picture in a session: the file looked at, the world changed, and the take told of it."""

from __future__ import annotations

from ...errors import WorldError
from ..played_world import Playable
from ..take import Take
from .taken import encode_png, read_picture_over


def change_picture(played: Playable, take: Take, picture: bytes, strength: float, seen: str) -> bool:
    """Whether a world goes on from a picture file's bytes, transparent where its own picture stays; False where nothing
    changes. seen: one of `sees`, or empty for the default. Raises MatrixGameError, with everything as it was."""
    seen = seen_of(played, seen)
    frame = read_picture_over(picture, played.still())
    kept = encode_png(frame)
    take.check_room(kept)
    if not played.change(frame, strength, seen):
        return False
    take.change(kept, strength, seen)
    return True


def seen_of(played: Playable, seen: str) -> str:
    """Which picture a change shows the network. seen: the one that is asked for, or empty for the default. Raises
    WorldError where that cannot be done."""
    if not played.sees:
        raise WorldError("A test picture cannot be changed; play a model's world.")
    if seen and seen not in played.sees:
        raise WorldError(
            f"There is no image tower here to show the network the {seen} picture; in ComfyUI connect clip_vision to "
            f"Live Play, or change it with seen: {' or '.join(played.sees)}."
        )
    return seen or played.sees[0]
