"""Changes of the picture as a take and its document hold them.

A document has each picture once, in `take.pictures`, under a digest and as base64 of a PNG file; `take.changes`, and
`changes` of a branch that was left, name them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...actions.document import Timeline
from ...compute.choices import SEEN
from ...errors import ActionError, ImageError
from ...media.images import open_picture, read_pixels
from ...world.change import MOST_STRENGTH, wrong_size
from ..early_frames import Frames

MOST_CHANGES = 200  # of a take, its branches included
MOST_BYTES = 32 << 20  # of their pictures: base64 of them is read with a document


@dataclass(frozen=True)
class PictureChange:
    """The world's picture was changed before a row of the take.

    picture: a PNG file in the size of the frames. strength, seen: as of `matrixgame render --change`.
    """

    row: int
    picture: bytes
    strength: float
    seen: str

    @property
    def digest(self) -> str:
        """What the document calls the picture."""
        return hashlib.sha256(self.picture).hexdigest()[:16]

    @property
    def pixels(self) -> Frames:
        """The picture, [H, W, 3] of 8 bits; raises ImageError."""
        return read_pixels(self.picture)

    def to_json(self) -> dict[str, Any]:
        """As a document says it."""
        return {"t": self.row, "picture": self.digest, "strength": self.strength, "seen": self.seen}


def read_picture_over(picture: bytes, frame: Frames) -> Frames:
    """The picture of a file's bytes over a frame [H, W, 3] of 8 bits, which must have its size: where the picture is
    transparent, the frame stays. Raises ImageError."""
    height, width = frame.shape[:2]
    with open_picture(picture) as image:
        have = image.size
    if sorted(have) == sorted((height, width)):  # else it need not be decoded; it may be turned
        pixels = read_pixels(picture, under=frame)
        if pixels.shape == frame.shape:
            return pixels
        have = pixels.shape[1], pixels.shape[0]
    raise wrong_size("picture", (have[1], have[0]), (height, width))


def encode_png(frame: Frames, mask: NDArray[Any] | None = None) -> bytes:
    """A frame [H, W, 3] as a PNG file. mask: [H, W] from 0, where the picture is to be transparent, to 1. Raises
    ImageError for any other."""
    file, image = io.BytesIO(), Image.fromarray(frame)
    if mask is not None:
        image.putalpha(Image.fromarray(_alpha(mask, frame.shape[:2])))
    image.save(file, "PNG")
    return file.getvalue()


def _alpha(mask: NDArray[Any], size: tuple[int, ...]) -> NDArray[np.uint8]:
    """A mask as an alpha channel of 8 bits."""
    if mask.shape != size:
        raise ImageError(f"The mask has the shape {mask.shape}, and the picture {size}; give it one value a pixel.")
    if not ((mask >= 0) & (mask <= 1)).all():  # also where it is no number
        raise ImageError("A mask is from 0, where the world's own picture stays, to 1, where the new one counts.")
    return (mask.astype(np.float32) * 255).round().astype(np.uint8)


def pictures_json(changes: Iterable[PictureChange]) -> dict[str, str]:
    """The pictures of changes, by what the document calls them."""
    return {change.digest: base64.b64encode(change.picture).decode() for change in changes}


def changes_of(timeline: Timeline) -> tuple[PictureChange, ...]:
    """The changes on the way that is in use, in their order; none of a document that is no take. Raises ActionError."""
    take = timeline.extra.get("take")
    if not isinstance(take, Mapping):
        return ()
    branch = next((each for each in timeline.branches if each["id"] == timeline.active), None)
    place, said = ("take", take) if branch is None else (f"branch {branch['name']}", branch)
    changes = said.get("changes") or ()
    if not isinstance(changes, list | tuple) or len(changes) > MOST_CHANGES:
        raise ActionError(f"Timeline, changes of the {place}: must be a list of at most {MOST_CHANGES}.")
    pictures = take.get("pictures")
    made = tuple(_change(each, pictures, f"Timeline, changes of the {place}") for each in changes)
    return tuple(sorted(made, key=lambda change: change.row))


def _change(said: object, pictures: object, place: str) -> PictureChange:
    if not isinstance(said, Mapping):
        raise ActionError(f"{place}: must be objects.")
    row, strength, seen, name = (said.get(key) for key in ("t", "strength", "seen", "picture"))
    if isinstance(row, bool) or not isinstance(row, int) or row < 0:
        raise ActionError(f"{place}: t must be a row.")
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength <= MOST_STRENGTH:
        raise ActionError(f"{place}, row {row}: strength must be a number from 0 to {MOST_STRENGTH:g}.")
    if seen not in SEEN:
        raise ActionError(f"{place}, row {row}: seen must be {' or '.join(SEEN)}.")
    text = pictures.get(name) if isinstance(pictures, Mapping) and isinstance(name, str) else None
    if not isinstance(text, str):
        raise ActionError(
            f"The picture is changed before row {row}, and that picture is not in this file; use the one that the "
            "session wrote."
        )
    try:
        picture = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ActionError(f"{place}, row {row}: the picture must be base64 of a PNG file.") from None
    return PictureChange(row, picture, float(strength), seen)
