"""What a game variant is: its keys and camera, and how its generator was trained. Made from a description only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

MOST_WINDOW = 1000  # latent frames; the published positions end at 1024
TABLE_PLACES = 1000  # of the noise table, from which steps are taken
NEWEST, SAME_VIEW = "newest", "same_view"  # which frames stay in the window
IDLE = "idle"  # the key of an exclusive variant that is held where no other is

Words = Mapping[str, str]  # language, such as zh -> word


@dataclass(frozen=True)
class Overlay:
    """How the overlay draws a key.

    box: x, y, width and height of its cap in units of a plain cap, from the top left corner of all caps; None: the
    caps of the variant stand in a row. text: what is on the cap; "": the key's name. icon: an arrow over the text.
    """

    box: tuple[float, float, float, float] | None = None
    text: str = ""
    icon: str = ""


@dataclass(frozen=True)
class Key:
    """One column of the keyboard input.

    name: in scripts, documents and files. label: what a player reads; labels: by language. aliases: other words in
    scripts. codes: physical keys (`KeyboardEvent.code`), the first is the one that help and pad show. gamepad: the
    direction or shoulder that holds it. pad: row and column on the touch pad, from 1; None: the next free place.
    colour: hue of its lane, 0 to 359. opposite: the key that undoes it. means: what it does in words that variants
    share; in a document that is converted, keys take the place of those that mean the same.
    """

    name: str
    label: str
    aliases: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    pad: tuple[int, int] | None = None
    overlay: Overlay = Overlay()
    colour: int = 200
    gamepad: str = ""
    opposite: str = ""
    means: str = ""
    labels: Words = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Camera:
    """The camera input `[pitch, yaw]`; + is up and right.

    axes: those that were used in training, `yaw` alone or `yaw` and `pitch`; empty without a camera. unit:
    degrees a frame of one unit. speed: units that the model was benchmarked with. tested: beyond this, quality is
    untested. limit: the most units that are accepted.
    """

    axes: tuple[str, ...] = ()
    unit: float = 15.0
    speed: float = 0.1
    tested: float = 0.3
    limit: float = 1.0


@dataclass(frozen=True)
class Draws:
    """Some of the actions that the benchmark draws from: every set of keys with every yaw, all of them `times` over."""

    times: int
    keys: tuple[tuple[str, ...], ...]
    yaw: tuple[float, ...]


@dataclass(frozen=True)
class Published:
    """The published file of the generator: where it is, what it is called here, its checksum and size in bytes."""

    repo: str
    revision: str
    path: str
    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Variant:
    """One game variant.

    name: in file names, documents and scripts. controls: its keys, in the order of the weights' keyboard columns.
    exclusive: exactly one key per row (one-hot, `idle` among them) instead of any combination.
    block: latent frames that are made at once. window: self-attention window in latent frames, the block's own and the
    sink's included. sink: latent frames at the start of the rollout that stay in the window for good. keeps: which
    others stay, NEWEST or SAME_VIEW, which keeps the oldest while the view has not changed.
    steps: denoising steps as table positions out of 1000, first to last. shift: of the noise table.
    size: height and width of the frames it was trained at. fps: frames a second of its video. action_layers: layers
    that take inputs. presets: name -> script with places for lengths. bench: what the benchmark draws from.
    unknown: fields of the description that this version does not know, as they were. like: the variant
    that supplied what its own description left out. described: the whole description. described_as: the variant with
    its own settings, where steps, window or sink are the user's (see tried.py); None otherwise.
    """

    name: str
    title: str
    controls: tuple[Key, ...]
    exclusive: bool
    camera: Camera
    window: int
    steps: tuple[int, ...]
    block: int = 3
    sink: int = 0
    keeps: str = NEWEST
    shift: float = 5.0
    size: tuple[int, int] = (352, 640)
    fps: int = 25
    action_layers: tuple[int, ...] = tuple(range(15))
    published: Published | None = None
    bench: tuple[Draws, ...] = ()
    default: bool = False
    titles: Words = field(default_factory=dict)
    presets: Mapping[str, str] = field(default_factory=dict)
    unknown: Mapping[str, Any] = field(default_factory=dict)
    like: str = ""
    described: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    described_as: Variant | None = field(default=None, repr=False)

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def own(self) -> Variant:
        """The variant as described, whatever settings are tried: the one that inputs, documents and choices name."""
        return self.described_as or self

    @property
    def settings(self) -> str:
        """Its steps, window and sink in words."""
        keeps = "" if self.keeps == NEWEST else ", which keeps the same view"
        return f"steps {','.join(map(str, self.steps))}, window {self.window}{keeps}, sink {self.sink}"

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Names of the keyboard columns, in the order of the weights."""
        return tuple(key.name for key in self.controls)

    @cached_property
    def held(self) -> tuple[Key, ...]:
        """The keys that can be held: all but `idle`, which is what is left when none is."""
        return tuple(key for key in self.controls if key.name != IDLE)

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Other words for keys in scripts -> the key."""
        return {alias: key.name for key in self.controls for alias in key.aliases}

    @cached_property
    def opposites(self) -> tuple[tuple[str, str], ...]:
        """Pairs of keys that undo each other."""
        return tuple((key.name, key.opposite) for key in self.controls if key.opposite)

    @property
    def mouse(self) -> bool:
        """Whether the network has a camera input."""
        return bool(self.camera.axes)

    @property
    def pitch(self) -> bool:
        """Whether pitch was ever non-zero in training."""
        return "pitch" in self.camera.axes

    @property
    def numbers(self) -> tuple[object, ...]:
        """What decides the numbers of a rollout; the rest is how it is shown and named."""
        inputs = self.keys, self.exclusive, self.camera.axes
        return self.name, inputs, self.block, self.window, self.sink, self.keeps, self.steps, self.shift

    def takes(self, other: Variant) -> bool:
        """Whether inputs of `other` are inputs of this variant: it is the same, or this one is like it and begins with
        its keys."""
        if self.described_as is not None:
            return self.described_as.takes(other)
        if other == self or other.numbers == self.numbers:
            return True
        same = (self.exclusive, self.mouse) == (other.exclusive, other.mouse) and self.pitch >= other.pitch
        first = self.keys[: len(other.keys)] == other.keys and (not self.exclusive or self.keys == other.keys)
        return self.like == other.name and same and first

    @property
    def passes(self) -> int:
        """Passes of the network that each block takes: one a denoising step, and the clean one, which is the last."""
        return len(self.steps) + 1

    @cached_property
    def idle_row(self) -> tuple[float, ...]:
        """The keyboard row of a player who presses nothing: all zero, or `idle` where that is a key."""
        return tuple(1.0 if key == IDLE else 0.0 for key in self.keys)
