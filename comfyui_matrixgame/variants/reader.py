"""Reads a description into a Variant, checked without any library (see variant.schema.json)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from string import Formatter
from typing import Any

from ..errors import VariantError
from .blocks import FPS, LATENTS_PER_BLOCK
from .fields import Fields, finite_number_in, pattern_reader, whole_number
from .variant import IDLE, MOST_WINDOW, TABLE_PLACES, Camera, Draws, Key, Overlay, Published, Variant

FORMAT = "matrixgame.variant"
VERSION = 1
ENDING = ".json"
LARGEST = 1 << 20  # bytes of a description
LONGEST_PRESET = 4000  # characters
MOST_KEYS = 64
SIZE = (352, 640)  # height and width where none is given
ICONS = ("up", "down", "left", "right", "turn_left", "turn_right")
GAMEPAD = ("up", "down", "left", "right", "left_shoulder", "right_shoulder")
AXES = (["yaw"], ["yaw", "pitch"])
PLACES = ("n", "half", "quarter", "part", "turn", "speed")  # placeholders in a preset: lengths and the speed
_WORD = r"[a-z][a-z0-9_]{0,31}"
_A_WORD = "a word of a-z, 0-9 and _ that begins with a letter"
_TAKEN = ("up", "down", "left", "right", "yaw", "pitch", "look", "repeat", "x")  # words of the script language


def read_file(path: Path) -> Variant:
    """The variant that a file describes. Raises VariantError that names file, field and fix in one sentence."""
    return read_description(read_json(path), path.name)


def read_json(path: Path) -> Any:
    """The JSON of a file that may describe a variant. Raises VariantError."""
    try:
        data = path.read_bytes()[: LARGEST + 1]
    except OSError as error:
        raise VariantError(f"{path.name} cannot be read ({error.strerror or error}); check the file.") from None
    if len(data) > LARGEST:
        raise VariantError(f"{path.name} has more than {LARGEST:,} bytes, which no description of a variant has.")
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise VariantError(f"{path.name} is not JSON ({error}); mend it, or take it out of the folder.") from None


def read_description(value: Any, origin: str) -> Variant:
    """The variant of a parsed description. origin: what errors call it. Raises VariantError."""
    fields = Fields(value, origin)
    fields.choice("format", (FORMAT,))
    version = fields.whole("version", 1, 1_000_000)
    if version > VERSION:
        raise VariantError(f"{origin} has version {version}, and only {VERSION} can be read: update the node pack.")
    exclusive = fields.flag("exclusive")
    variant = Variant(
        name=fields.text("name", pattern=_WORD, need=_A_WORD),
        title=fields.text("title"),
        titles=fields.words("titles"),
        default=fields.flag("default", False),
        controls=_controls(fields, exclusive),
        exclusive=exclusive,
        camera=_camera(fields.inner("camera")),
        block=_only(
            fields, "block", LATENTS_PER_BLOCK, "latent frames, by which inputs, caches and worlds are laid out"
        ),
        window=fields.whole("window", LATENTS_PER_BLOCK, MOST_WINDOW),
        sink=fields.whole("sink", 0, MOST_WINDOW, 0),
        steps=_steps(fields),
        shift=fields.number("shift", 0.01, 1000, 5.0),
        size=_size(fields.inner("size")),
        fps=_only(fields, "fps", FPS, "frames a second, in which scripts, rulers, clips and videos count"),
        action_layers=fields.items(
            "action_layers", "a list of layers from 0", lambda v: whole_number(v, 0, 999), tuple(range(15))
        ),
        presets=_presets(fields),
        bench=tuple(_draws(one) for one in fields.each("bench", "a list of actions to draw from")),
        published=_published(fields.inner("published")),
        unknown=fields.done(),
        described=dict(value),
    )
    if variant.sink > variant.window - variant.block:
        need = f"at most {variant.window - variant.block}: the window of {variant.window} holds the block as well"
        fields.fail("sink", need, variant.sink)
    _check_bench(variant, fields)
    return variant


def _only(fields: Fields, name: str, value: int, why: str) -> int:
    """A field that has one value in this version; the error for any other says why."""
    return fields.take(name, f"{value} {why}", lambda said: whole_number(said, value, value), value)


def _controls(fields: Fields, exclusive: bool) -> tuple[Key, ...]:
    each = fields.each("keys", f"a list of 1 to {MOST_KEYS} keys in the order of the weights", 1, MOST_KEYS)
    keys = tuple(_key(one) for one in each)
    names = [key.name for key in keys]
    _once(fields, "name", names)
    _once(fields, "alias", [alias for key in keys for alias in key.aliases], {*names, *_TAKEN})
    _once(fields, "code", [code for key in keys for code in key.codes])
    _once(fields, "gamepad", [key.gamepad for key in keys if key.gamepad])
    _once(fields, "pad", [key.pad for key in keys if key.pad])
    if exclusive != (IDLE in names):
        has = "an exclusive variant has a" if exclusive else "a variant that is not exclusive has no"
        fields.refuse(f"{has} key '{IDLE}'; change `exclusive`, or the keys.")
    for key in keys:
        if key.opposite and key.opposite not in names:
            fields.refuse(f"{key.name} has the opposite '{key.opposite}', which is not a key; use one of its keys.")
        if not key.codes and key.name != IDLE:
            fields.refuse(f"{key.name} has no codes; give it a physical key, such as KeyG.")
    if len({key.overlay.box is None for key in keys if key.name != IDLE}) > 1:
        fields.refuse("some keys have an overlay box and some have none; give one to each but idle, or to none.")
    return keys


def _once(fields: Fields, what: str, values: Iterable[Any], taken: Iterable[Any] = ()) -> None:
    """Refuse a value that occurs twice or is taken."""
    twice = [value for value, count in Counter([*taken, *values]).items() if count > 1]
    if twice:
        shown = list(twice[0]) if isinstance(twice[0], tuple) else twice[0]
        fields.refuse(f"two keys have the {what} {shown}, or it has another meaning; give each its own.")


def _key(fields: Fields) -> Key:
    name = fields.text("name", pattern=_WORD, need=_A_WORD)
    if name in _TAKEN:
        fields.fail("name", "a word that the script language does not use", name)
    key = Key(
        name=name,
        label=fields.text("label", name),
        labels=fields.words("labels"),
        aliases=fields.items("aliases", f"a list, each {_A_WORD}", pattern_reader(_WORD), ()),
        codes=fields.items(
            "codes", "a list of physical keys such as KeyW", pattern_reader(r"[A-Z][A-Za-z0-9]{0,31}"), ()
        ),
        gamepad=fields.choice("gamepad", GAMEPAD, ""),
        pad=_pair(fields.items("pad", "[row, column] from 1 to 9", lambda v: whole_number(v, 1, 9), ()), fields),
        overlay=_overlay(fields.inner("overlay")),
        colour=fields.whole("colour", 0, 359, 200),
        opposite=fields.text("opposite", ""),
        means=fields.text("means", ""),
    )
    fields.done()
    return key


def _pair(values: tuple[int, ...], fields: Fields) -> tuple[int, int] | None:
    if values and len(values) != 2:
        fields.fail("pad", "[row, column] from 1 to 9", list(values))
    return (values[0], values[1]) if values else None


def _overlay(fields: Fields | None) -> Overlay:
    if fields is None:
        return Overlay()
    box = fields.items("box", "[x, y, width, height], each from 0 to 30", lambda v: finite_number_in(v, 0, 30), ())
    if box and (len(box) != 4 or min(box[2:]) < 0.1):
        fields.fail("box", "[x, y, width, height], each from 0 to 30", list(box))
    made = Overlay(
        (box[0], box[1], box[2], box[3]) if box else None, fields.text("text", ""), fields.choice("icon", ICONS, "")
    )
    fields.done()
    return made


def _camera(fields: Fields | None) -> Camera:
    if fields is None:
        return Camera()
    usual = Camera()
    axes = fields.take("axes", '["yaw"] or ["yaw", "pitch"]', lambda v: tuple(v) if v in AXES else None)
    camera = Camera(
        axes=axes,
        unit=fields.number("unit_degrees", 0.001, 360, usual.unit),
        speed=fields.number("speed", 1e-6, 1000, usual.speed),
        tested=fields.number("tested", 1e-6, 1000, usual.tested),
        limit=fields.number("limit", 1e-6, 1000, usual.limit),
    )
    if not camera.speed <= camera.tested <= camera.limit:
        fields.fail("speed", "at most tested, and tested at most limit", camera.speed)
    fields.done()
    return camera


def _steps(fields: Fields) -> tuple[int, ...]:
    need = "a list of places from 1000 down to 1"
    steps = fields.items("steps", need, lambda v: whole_number(v, 1, TABLE_PLACES), least=1)
    if list(steps) != sorted(set(steps), reverse=True):
        fields.fail("steps", need, list(steps))
    return steps


def _size(fields: Fields | None) -> tuple[int, int]:
    """Height and width."""
    if fields is None:
        return SIZE
    made = fields.whole("height", 16, 8192), fields.whole("width", 16, 8192)
    fields.done()
    return made


def _presets(fields: Fields) -> dict[str, str]:
    presets = fields.words("presets", LONGEST_PRESET)
    for name, script in presets.items():
        try:
            script.format(**dict.fromkeys(PLACES, 1))
            strange = [part[1] for part in Formatter().parse(script) if part[1] not in (None, *PLACES)]
        except (KeyError, IndexError, ValueError, AttributeError):
            strange = [script]
        if strange:
            need = f"a script with {', '.join('{' + place + '}' for place in PLACES)}, and {{{{ for a brace"
            fields.fail(f"presets.{name}", need, strange[0])
    return presets


def _held(value: Any) -> tuple[str, ...] | None:
    good = isinstance(value, list) and all(isinstance(key, str) for key in value)
    return tuple(value) if good else None


def _draws(fields: Fields) -> Draws:
    made = Draws(
        times=fields.whole("times", 1, 1000, 1),
        keys=fields.items("keys", "a list of lists of keys", _held, ((),)),
        yaw=fields.items("yaw", "a list of speeds", lambda v: finite_number_in(v, -1000, 1000), (0.0,)),
    )
    fields.done()
    return made


def _check_bench(variant: Variant, fields: Fields) -> None:
    for draws in variant.bench:
        for held in draws.keys:
            if not set(held) <= set(variant.keys) or (variant.exclusive and len(held) != 1):
                need = "one key" if variant.exclusive else "keys"
                fields.refuse(f"bench holds {list(held)}; it must be {need} of {', '.join(variant.keys)}.")
        if max(map(abs, draws.yaw), default=0) > (variant.camera.limit if variant.mouse else 0):
            fields.refuse(f"bench has the yaw {list(draws.yaw)}, which its camera cannot do; take it out.")


def _published(fields: Fields | None) -> Published | None:
    if fields is None:
        return None
    made = Published(
        repo=fields.text("repo", pattern=r"[\w.-]+/[\w.-]+", need="OWNER/NAME of a repository"),
        revision=fields.text("revision", "main"),
        path=fields.text("path"),
        name=fields.text("name", pattern=r"\w[\w.-]*", need="the name of a file"),
        sha256=fields.text("sha256", pattern="[0-9a-f]{64}", need="a checksum of 64 digits and letters a-f"),
        size=fields.whole("size", 1, 1 << 50),
    )
    fields.done()
    return made
