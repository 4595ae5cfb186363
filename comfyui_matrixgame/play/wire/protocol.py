"""What goes over the wire: JSON from the player, JSON and pictures to it. One version for both ways; docs/protocol.md
is its description.

From the player: hello, in, ack, play, pause, stop, reset, rewind, mark, record, mode, control, take, rows, start,
change, picture, wait, and after `start` and `change` the parts of a picture as binary messages. What it asks with a
number (`ask`) is answered.
To the player, as JSON: welcome, state, roles, stats, take, picture, error, done, refused. Pictures are binary: the
length of a JSON header (unsigned 32 bits, little-endian), the header, then for each picture its length and its bytes.
"""

from __future__ import annotations

import io
import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PIL import Image

from ...actions.track import ActionTrack
from ...compute.choices import SEEN
from ...errors import MatrixGameError
from ...variants import FRAMES_PER_BLOCK
from ...world.change import MOST_STRENGTH
from .. import MODES
from ..early_frames import Frames
from ..events import FramesMade
from ..held_inputs import Snapshot

VERSION = 1  # of hello: raised where an older player or server would no longer understand the other
MINOR = 3  # told in welcome: raised where something is added that an older one does without
JPEG, RAW = "jpeg", "raw"  # how frames are sent
MAX_MESSAGE = 16 * 1024  # bytes of one message from a player
MAX_REWIND = 10_000
MAX_KEYS = 16
MAX_WORD = 64
MAX_PICTURE = 32 << 20  # bytes of a file
MAX_SEED = 2**64 - 1
LOOK_MOST = 1000.0  # of one snapshot: no hand turns further in a sixtieth of a second
JPEG_QUALITY = 85

MUST_ASK = ("rows", "start", "change", "picture")

# codes of closed sockets, in the range that is left to applications
BAD_MESSAGE, BAD_TOKEN, TIMED_OUT, FULL, WRONG_VERSION = 4400, 4401, 4408, 4429, 4426


class ProtocolError(MatrixGameError):
    """A message that a player must not send. code: to close the socket with."""

    def __init__(self, text: str, code: int = BAD_MESSAGE) -> None:
        super().__init__(text)
        self.code = code


Message = Mapping[str, Any]


def read_message(text: str) -> tuple[str, Message]:
    """The type of a message and its checked content; raises ProtocolError."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolError("A message is not readable JSON.") from None
    kind = message.get("type") if isinstance(message, dict) else None
    check = _CHECKS.get(kind) if isinstance(kind, str) else None
    if check is None:
        raise ProtocolError("A message has no type that this version knows.")
    asked = {"ask": _whole(message["ask"], 2**53)} if "ask" in message else {}
    if kind in MUST_ASK and not asked:
        raise ProtocolError(f"A message of type {kind} has a number, `ask`, that its answer will have.")
    return kind, {**check(message), **asked}  # type: ignore[return-value]


def read_snapshot(message: Message) -> Snapshot:
    """The snapshot of a checked `in`."""
    return Snapshot(message["keys"], message["taps"], message["stick"], message["look"], message["seq"])


def pack_frames(event: FramesMade, batch: int, pictures: Sequence[bytes], every: int = 1, form: str = JPEG) -> bytes:
    """A binary message. batch: its number, to be acknowledged. every: only each such frame is sent. form: what the
    pictures are."""
    mouse = event.rows.mouse
    header = {
        "batch": batch,
        "block": event.block,
        "part": event.part,
        "first": event.first,
        "count": len(event.frames),
        "every": every,
        "seq": event.seq,
        "generation": round(event.generation * 1000, 1),
        "decode": round(event.decode * 1000, 1),
        "keys": names_held(event.rows),
        "camera": None if mouse is None else [[round(float(v), 4) for v in row] for row in mouse],
    }
    return _pack(header, pictures[::every], event.frames[0], form)


def pack_still(frame: Frames, batch: int, form: str = JPEG) -> bytes:
    """A picture that belongs to no block: what is seen before the first one, or after going back."""
    header = {"batch": batch, "still": True, "count": 1, "every": 1}
    return _pack(header, [encoded(frame, form)], frame, form)


def names_held(rows: ActionTrack) -> list[list[str]]:
    """The names of the keys that each row holds."""
    return [[k for k, held in zip(rows.variant.keys, row, strict=True) if held] for row in rows.keyboard]


def encoded(frame: Frames, form: str) -> bytes:
    """A frame [H, W, 3] as a JPEG file, or as its bytes."""
    return frame.tobytes() if form == RAW else jpeg(frame)


def jpeg(frame: Frames) -> bytes:
    """A frame [H, W, 3] as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def _pack(header: dict[str, Any], pictures: Sequence[bytes], frame: Frames, form: str) -> bytes:
    if form != JPEG:
        header |= {"format": form, "size": [*frame.shape[:2]]}
    head = json.dumps(header, separators=(",", ":")).encode()
    parts = [struct.pack("<I", len(head)), head]
    for picture in pictures:
        parts += [struct.pack("<I", len(picture)), picture]
    return b"".join(parts)


def _bare(_: Message) -> Message:
    return {}


def _hello(message: Message) -> Message:
    theirs = message.get("version")
    if theirs != VERSION:
        yours = f", you {theirs}" if isinstance(theirs, int) and 0 <= theirs < 10_000 else ""
        raise ProtocolError(f"This server speaks version {VERSION} of the player's protocol{yours}.", WRONG_VERSION)
    form = message.get("frames", JPEG)
    if form not in (JPEG, RAW):
        raise ProtocolError(f"Frames are sent as {JPEG} or {RAW}.")
    return {"token": _word(message.get("token"), 200), "frames": form}


def _in(message: Message) -> Message:
    return {
        "keys": _words(message.get("keys", [])),
        "taps": _words(message.get("taps", [])),
        "stick": _pair(message.get("stick", [0, 0]), 1.0),
        "look": _pair(message.get("look", [0, 0]), LOOK_MOST),
        "seq": _whole(message.get("seq", 0), 2**53),
    }


def _ack(message: Message) -> Message:
    return {"batch": _whole(message.get("batch"), 2**53)}


def _rewind(message: Message) -> Message:
    return {"blocks": _whole(message.get("blocks"), MAX_REWIND)}


def _mark(message: Message) -> Message:
    return {"name": _word(message.get("name"), MAX_WORD) or "mark"}


def _record(message: Message) -> Message:
    if not isinstance(message.get("on"), bool):
        raise ProtocolError("Recording is switched with true or false.")
    return {"on": message["on"]}


def _mode(message: Message) -> Message:
    if message.get("mode") not in MODES:
        raise ProtocolError(f"Inputs are sampled in one of these ways: {', '.join(MODES)}.")
    return {"mode": message["mode"]}


def _rows(message: Message) -> Message:
    keys = message.get("keys")
    if not isinstance(keys, list) or not 0 < len(keys) <= FRAMES_PER_BLOCK:
        raise ProtocolError(f"Rows are lists of keys, at most {FRAMES_PER_BLOCK}: those of one block.")
    camera = message.get("camera") or [[0, 0]] * len(keys)
    if not isinstance(camera, list) or len(camera) != len(keys):
        raise ProtocolError("The camera is a list with a pair for each row, or left out.")
    return {"keys": [_words(row) for row in keys], "camera": [_pair(row, LOOK_MOST) for row in camera]}


def _start(message: Message) -> Message:
    return {"seed": _whole(message.get("seed", 0), MAX_SEED), "picture": _whole(message.get("picture", 0), MAX_PICTURE)}


def _change(message: Message) -> Message:
    strength, seen = message.get("strength", 1), message.get("seen", "")
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength <= MOST_STRENGTH:
        raise ProtocolError(f"A change has a strength from 0 to {MOST_STRENGTH:g}.")
    if seen not in ("", *SEEN):
        raise ProtocolError(f"The network is shown one of these pictures: {', '.join(SEEN)}.")
    picture = _whole(message.get("picture", 0), MAX_PICTURE)
    return {"strength": float(strength), "seen": seen, "picture": picture}


def _wait(message: Message) -> Message:
    if not isinstance(message.get("on"), bool):
        raise ProtocolError("A player waits or not, true or false.")
    return {"on": message["on"]}


_CHECKS: dict[str, Callable[[Message], Message]] = {
    "hello": _hello, "in": _in, "ack": _ack, "play": _bare, "pause": _bare, "stop": _bare, "reset": _bare,
    "rewind": _rewind, "mark": _mark, "record": _record, "mode": _mode, "control": _bare, "take": _bare,
    "rows": _rows, "start": _start, "change": _change, "picture": _bare, "wait": _wait,
}  # fmt: skip


def _word(value: Any, most: int) -> str:
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        raise ProtocolError(f"A word is printable text of at most {most} characters.")
    return value


def _words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_KEYS:
        raise ProtocolError(f"Keys are a list of at most {MAX_KEYS} names.")
    return tuple(_word(word, MAX_WORD) for word in value)


def _pair(value: Any, most: float) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ProtocolError("The camera is a list of two numbers, pitch and yaw.")
    numbers = []
    for number in value:
        is_whole = isinstance(number, int) and not isinstance(number, bool)  # of any length, which no float has
        if not is_whole and not (isinstance(number, float) and math.isfinite(number)):
            raise ProtocolError("The camera is a list of two numbers, pitch and yaw.")
        numbers.append(float(max(-most, min(most, number))))
    return numbers[0], numbers[1]


def _whole(value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ProtocolError(f"A count is a whole number from 0 to {most}.")
    return value
