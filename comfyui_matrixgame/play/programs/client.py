"""A program that plays: the player's protocol (docs/protocol.md) as calls that return when they are answered.

with Client("http://127.0.0.1:8123/#TOKEN") as client:
    client.start("photo.jpg", seed=3)
    frames = client.play("w 1b; w+right 1b")
    client.back(1)
    client.save("take.json")
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...actions.document import Timeline, save_document
from ...actions.script.read_script import parse_script
from ...actions.track import ActionTrack, blocks_of_rows, rows_of_blocks
from ...errors import ActionError, ImageError, MatrixGameError
from ...media.images import read_pixels
from ...system.files import read_bytes
from ...variants import Variant, get_variant
from ..changes.taken import encode_png
from ..early_frames import Frames
from ..wire.protocol import JPEG, MAX_PICTURE, RAW, names_held
from .socket import Message, Socket

Rows = ActionTrack | str | Sequence[Mapping[str, float]]
"""A track; a script such as "w 2b"; or a mapping for each row, of keys to 1 and of `pitch` and `yaw` to units."""


class Client:
    """A session that a program drives, from one thread. Frames are the model's own where `raw`, else JPEG files.

    url: of the player, with its token: as `matrixgame play` prints it. control: take the controls, whoever has them.
    picture: the last frame [H, W, 3] of 8 bits, or the start picture. seed, size: of the world; height and width.
    blocks: how many were made on the way to here. first_block: of the world's life, where the session began.
    Every call raises MatrixGameError where the server refuses, in its words, and where it is gone.
    """

    def __init__(self, url: str, *, raw: bool = True, control: bool = True) -> None:
        self.picture: Frames = np.zeros((0, 0, 3), np.uint8)
        self.seed, self.size = 0, (0, 0)
        self.blocks = self.first_block = 0
        self._variant = self._state = ""
        self._parts: list[Frames] = []
        self._socket = Socket(url, RAW if raw else JPEG, self._hear)
        try:
            if self._version < (1, 1):
                raise MatrixGameError("The server is older than programs that play; update it.")
            if control:
                self._ask("control")
        except BaseException:
            self.close()
            raise

    @property
    def variant(self) -> Variant:
        """The game that is played; raises VariantError where this machine does not know it."""
        return get_variant(self._variant)

    def start(self, picture: str | Path | bytes | None = None, seed: int = 0) -> Frames:
        """Begin another world with a picture (a path or a file's bytes; None: the one that the server began with), and
        a take of its own; returns the picture as the world has it, [H, W, 3]. Raises ImageError."""
        data = picture if isinstance(picture, bytes) else b"" if picture is None else _file(picture)
        self._ask("start", {"seed": seed, "picture": len(data)}, data)
        return self.picture

    def play(self, rows: Rows) -> Frames:
        """Make the blocks that `rows` ask for, the last row held to the end of its block; returns their frames
        [N, H, W, 3]. The same world and rows give the same frames, however long a block takes. Raises ActionError."""
        return np.concatenate(list(self.stream(rows)))

    def stream(self, rows: Rows) -> Iterator[Frames]:
        """As `play`, block by block: each is made when it is asked for."""
        if self._state == "playing":
            self._ask("pause")
        track = self._track(rows)
        blocks = max(1, blocks_of_rows(len(track), self.first_block + self.blocks))
        track, at = track.padded(rows_of_blocks(blocks, self.first_block + self.blocks)), 0
        for _ in range(blocks):
            count = rows_of_blocks(1, self.first_block + self.blocks)
            part, at = track.slice(at, at + count), at + count
            camera = None if part.mouse is None else part.mouse.tolist()
            self._parts = []
            self._ask("rows", {"keys": names_held(part), "camera": camera})
            yield np.concatenate(self._parts)

    def back(self, blocks: int = 1) -> Frames:
        """Go back: other rows from there make a branch, and what was left stays in the take as one. Returns the
        picture there."""
        self._ask("rewind", {"blocks": blocks})
        return self.picture

    def reset(self) -> Frames:
        """Go back to the beginning."""
        self._ask("reset")
        return self.picture

    def change(
        self,
        picture: str | Path | bytes | Frames,
        *,
        strength: float = 1.0,
        seen: str = "",
        mask: NDArray[Any] | None = None,
    ) -> Frames:
        """Go on from what the last frame should look like, and return the picture there, [H, W, 3].

        picture: a path, a file's bytes or an array [H, W, 3] of 8 bits, in the size of the frames; `self.picture` as it
        should be. strength: how far, 1 is to the picture. seen: which picture the network is shown from here on, the
        `changed` one or that of the `start`; by default the first that the server can. mask: [H, W], 1 where the
        picture counts and 0 where `self.picture` stays; a file may be transparent there instead. Raises ImageError.
        """
        self._check_changes()
        if mask is not None and self._version < (1, 3):
            raise MatrixGameError("The server is older than masks of a change; update it.")
        if isinstance(picture, np.ndarray):
            data = encode_png(picture, mask)
        else:
            data = picture if isinstance(picture, bytes) else _file(picture)
            data = data if mask is None else encode_png(read_pixels(data), mask)
        self._ask("change", {"strength": strength, "seen": seen, "picture": len(data)}, data)
        return self.picture

    def take_back_change(self) -> Frames:
        """Take back the last change that was made where the world stands, and return the picture there."""
        self._check_changes()
        self._ask("change", {"picture": 0})
        return self.picture

    def mark(self, name: str) -> None:
        """Name this place in the take."""
        self._ask("mark", {"name": name})

    def take(self) -> Timeline:
        """All that was played in this world, with the branches that were left."""
        return Timeline.from_json(self._ask("take")["timeline"])

    def save(self, path: str | Path) -> None:
        """Write the take as a timeline document; `matrixgame render --actions` makes the same frames from it, with the
        same picture, seed and models."""
        save_document(self.take(), path)

    def stop(self) -> None:
        """End the session, for everybody."""
        self._ask("stop")

    def close(self) -> None:
        """Leave the session, which stays where it is."""
        self._socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _check_changes(self) -> None:
        if self._version < (1, 2):
            raise MatrixGameError("The server is older than changes of the picture; update it.")

    def _ask(self, kind: str, content: Message | None = None, data: bytes = b"") -> Message:
        answer = self._socket.ask(kind, content or {}, data)
        self._here(answer)
        return answer

    def _track(self, rows: Rows) -> ActionTrack:
        if isinstance(rows, str):
            rows = parse_script(rows, self.variant).track
        track = rows if isinstance(rows, ActionTrack) else ActionTrack.from_rows(self.variant, rows)
        if track.seeds:
            raise ActionError(
                "A live session keeps the seed of its world; take `seed` out of the inputs, or `start` again."
            )
        return track

    def _hear(self, message: Message, pictures: list[Frames]) -> None:
        """A message; in the socket's thread, before the answer that waits for it returns."""
        if pictures:
            self.picture = pictures[-1]
            if not message.get("still"):
                self._parts.append(np.stack(pictures))
        elif message["type"] == "welcome":
            self._version = tuple(message.get("version", (1, 0)))
            self._variant, self.seed = message["variant"], message["seed"]
            self.size = message["height"], message["width"]
        elif message["type"] == "state":
            self._here(message)

    def _here(self, message: Message) -> None:
        if "next" in message:
            self._state, self.blocks = message["state"], message["blocks"]
            self.first_block = message["next"] - message["blocks"]


def _file(path: str | Path) -> bytes:
    try:
        return read_bytes(path, MAX_PICTURE)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from None
