"""What differs between the published game variants, in one place.

Everything else reads a `Variant`; nothing tests a variant's name. Key orders, windows and steps are those of
the published configurations (SPEC of this project; measured: golden/rollout_*).
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import MatrixGameError

FPS = 25
MOST_BLOCKS = 100_000  # of one length that is asked for: 13 hours
FRAMES_PER_LATENT = 4
LATENTS_PER_BLOCK = 3
FRAMES_PER_BLOCK = FRAMES_PER_LATENT * LATENTS_PER_BLOCK  # 12; the first block has 9
CAMERA_UNIT_DEGREES = 15.0  # one unit of pitch or yaw turns about 15 degrees a frame
CAMERA_DEFAULT = 0.1  # the magnitude the model was benchmarked with
CAMERA_WARN = 0.3  # beyond this, quality is untested
CAMERA_LIMIT = 1.0


@dataclass(frozen=True)
class Variant:
    """One published game variant.

    keys: names of the keyboard columns, in the order of the weights.
    exclusive: exactly one key per row (one-hot, `idle` among them) instead of any combination.
    mouse: whether the network has a camera input `[pitch, yaw]`; + is up and right.
    pitch: whether pitch was ever non-zero in training.
    window: self-attention window in latent frames, the block's own 3 included.
    steps: denoising steps as table positions out of 1000, first to last.
    """

    name: str
    title: str
    keys: tuple[str, ...]
    exclusive: bool
    mouse: bool
    pitch: bool
    window: int
    steps: tuple[int, ...]

    @property
    def passes(self) -> int:
        """Passes of the network that each block takes: one a denoising step, and the clean one, which is the last."""
        return len(self.steps) + 1

    @property
    def idle_row(self) -> tuple[float, ...]:
        """The keyboard row of a player who presses nothing: all zero, or `idle` where that is a key."""
        return tuple(1.0 if key == "idle" else 0.0 for key in self.keys)


UNIVERSAL = Variant(
    name="universal",
    title="Universal",
    keys=("w", "s", "a", "d"),
    exclusive=False,
    mouse=True,
    pitch=True,
    window=6,
    steps=(1000, 666, 333),
)
GTA_DRIVE = Variant(
    name="gta_drive",
    title="GTA drive",
    keys=("w", "s"),
    exclusive=False,
    mouse=True,
    pitch=False,
    window=4,
    steps=(1000, 666, 333),
)
TEMPLERUN = Variant(
    name="templerun",
    title="Temple Run",
    keys=("idle", "jump", "slide", "turn_left", "turn_right", "side_left", "side_right"),
    exclusive=True,
    mouse=False,
    pitch=False,
    window=6,
    steps=(1000, 750, 500, 250),
)
VARIANTS: dict[str, Variant] = {v.name: v for v in (UNIVERSAL, GTA_DRIVE, TEMPLERUN)}


def get_variant(name: str) -> Variant:
    """The variant called `name`; raises MatrixGameError that lists the known ones."""
    try:
        return VARIANTS[name]
    except KeyError:
        raise MatrixGameError(f"There is no variant '{name}'; use one of {', '.join(VARIANTS)}.") from None


def frames_of_blocks(blocks: int) -> int:
    """Pixel frames of the first `blocks` blocks of a rollout: 9, then 12 more for each."""
    return FRAMES_PER_BLOCK * blocks - 3 if blocks > 0 else 0


def blocks_of_frames(frames: int) -> int:
    """Whole blocks that the first `frames` pixel frames of a rollout fill."""
    return (frames + 3) // FRAMES_PER_BLOCK


def first_input_of_block(block: int) -> int:
    """The first input row that block `block` is the first to read: 0, 8, 20, 32, ... (= 12 k - 4)."""
    return max(0, FRAMES_PER_BLOCK * block - FRAMES_PER_LATENT)


def block_of_input(t: int) -> int:
    """The first block that input row `t` can change."""
    return 0 if t == 0 else (t // FRAMES_PER_LATENT + 1) // LATENTS_PER_BLOCK
