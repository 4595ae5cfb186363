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

from PIL import Image

from ...actions.document import Timeline
from ...compute.choices import SEEN
from ...errors import ActionError, ImageError
from ...media.images import open_picture, read_pixels
from ...world.change import MOST_STRENGTH
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


def read_frame(picture: bytes, size: tuple[int, int]) -> Frames:
    """The picture of a file's bytes, [H, W, 3] of 8 bits, which must have this height and width. Raises ImageError."""
    height, width = size
    with open_picture(picture) as image:
        have = image.size
    if sorted(have) == sorted(size):  # else it need not be decoded; it may be turned
        pixels = read_pixels(picture)
        if pixels.shape[:2] == size:
            return pixels
        have = pixels.shape[1], pixels.shape[0]
    raise ImageError(
        f"The picture is {have[0]}x{have[1]} and the world's frames are {width}x{height}; scale it to that size."
    )


def png(frame: Frames) -> bytes:
    """A frame [H, W, 3] as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "PNG")
    return file.getvalue()


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
