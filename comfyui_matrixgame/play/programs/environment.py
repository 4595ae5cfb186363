"""A world as a Gymnasium environment, in this process.

    env = gymnasium.make("comfyui_matrixgame.play.programs.environment:MatrixGame/World-v0", render_mode="rgb_array")

Needs the extra `gym`.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...actions.track import ActionTrack, rows_of_blocks
from ...actions.vocabulary import held_keys
from ...compute.devices import find_device
from ...errors import MatrixGameError
from ...variants import FPS, FRAMES_PER_BLOCK, Variant, frames_of_blocks
from ...weights import find_files
from ..changes.playing import seen_of
from ..changes.taken import encode_png, read_picture_over
from ..early_frames import Frames
from ..played_world import Playable, StartWorld
from ..starting import world_starter

try:
    import gymnasium
    from gymnasium import spaces
except ImportError as error:
    raise ImportError("The environment needs Gymnasium: pip install 'matrixgame[gym]'.") from error

ID = "MatrixGame/World-v0"
BLOCK, FRAME = "block", "frame"
Action = Mapping[str, Any]
Result = tuple[Frames, dict[str, Any]]
SEEDS = 2**31  # of worlds whose seed is drawn


class WorldEnv(gymnasium.Env[Frames, Action]):
    """A world without a task: the reward is 0 and no episode ends, which wrappers change.

    Observation: a frame [H, W, 3] of 8 bits. Action: `keys`, a 1 for each of the variant's keys that is held (for a
    variant of one key at a time, the number of that key), and `camera`, a speed in units for each axis the variant has,
    pitch before yaw.

    step "block": an action is held for a whole block, all 12 rows (8 in the first), and the observation is the block's
    last frame; `info["frames"]` has all. step "frame": an action is one row, and the observation is one frame. A block
    is made when all its rows are known, as it always is, so what is seen is `lag` frames (11) late: after step t it is
    frame t - 11, and before that the start picture.

    A seed that `reset` is given is the world's own, as `matrixgame render --seed` takes it; without one it is drawn.
    `reset` takes the options `picture` and `seed`. info has `seed`, `block` (blocks made) and `frame` (the number of
    the frame that is seen, -1 for the start picture).

    picture: of worlds for which none is named. generator, vae, vision, decoder, size (height and width), device: as of
    `matrixgame play`; none for the demo world. start: makes worlds in place of these. Raises MatrixGameError.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012

    def __init__(
        self,
        picture: str | Path | None = None,
        *,
        generator: str | Path | None = None,
        vae: str | Path | None = None,
        vision: str | Path | None = None,
        decoder: str | Path | None = None,
        size: tuple[int, int] | None = None,
        dtype: str = "auto",
        device: str | None = None,
        step: str = BLOCK,
        start: StartWorld | None = None,
        render_mode: str | None = None,
    ) -> None:
        if step not in (BLOCK, FRAME) or render_mode not in (None, "rgb_array"):
            raise MatrixGameError("A step is a 'block' or a 'frame', and the render mode 'rgb_array' or none.")
        if start is None:
            files = find_files(generator, vae, vision, decoder, dtype, find_device(device))
            start = world_starter(files, size or files.size, picture=picture)
        self.render_mode = render_mode
        self._start, self._by_frame = start, step == FRAME
        self._played: Playable | None = start(None, 0)
        self.variant = self._played.variant
        self.observation_space = spaces.Box(0, 255, (*self._played.size, 3), np.uint8)
        self.action_space = _actions(self.variant)
        self._begin()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Result:
        """Begin another world."""
        super().reset(seed=seed)
        asked = dict(options or {})
        picture, chosen = asked.pop("picture", None), asked.pop("seed", seed)
        if asked:
            raise MatrixGameError(f"A reset has the options picture and seed, not '{next(iter(asked))}'.")
        if chosen is None:
            chosen = int(self.np_random.integers(SEEDS))
        before, self._played = self._played, None
        if before is not None:
            before.close()
        self._played = self._start(picture, chosen)
        self._begin()
        return self._seen.copy(), self._info()

    def step(self, action: Action) -> tuple[Frames, float, bool, bool, dict[str, Any]]:
        """Hold an action for a block or a frame."""
        row = self._row(action)
        if self._by_frame:
            frames = self._hold(row)
        else:
            frames = self._make(ActionTrack.from_rows(self.variant, [row] * rows_of_blocks(1, self._world.block)))
            self._frame = self._first + self._made - 1
        self._seen = frames[-1]
        more = {} if self._by_frame else {"frames": frames}
        return self._seen.copy(), 0.0, False, False, self._info() | more

    def change(
        self, picture: Frames, strength: float = 1.0, seen: str = "", mask: NDArray[Any] | None = None
    ) -> Frames:
        """Go on from what the last frame should look like, [H, W, 3] of 8 bits; returns the frame there. seen: one of
        Playable.sees, by default the first. mask: [H, W], 1 where the picture counts and 0 where the frame stays. With
        step "frame" what is seen is no longer the world's last frame, so that is refused. Raises MatrixGameError."""
        world = self._world
        if self._by_frame:
            raise MatrixGameError('A change needs whole blocks; make the environment with step="block".')
        if picture.shape != self._seen.shape:
            raise MatrixGameError(f"The picture has the shape {picture.shape}, and frames have {self._seen.shape}.")
        if mask is not None:
            picture = read_picture_over(encode_png(picture, mask), world.still())
        world.change(picture, strength, seen_of(world, seen))
        self._seen = world.still()
        return self._seen.copy()

    def render(self) -> Frames | None:  # type: ignore[override]
        """The frame that is seen."""
        return self._seen.copy() if self.render_mode else None

    def close(self) -> None:
        """Let go of the world; a reset begins another."""
        if self._played is not None:
            self._played.close()
            self._played = None

    @property
    def _world(self) -> Playable:
        if self._played is None:
            raise MatrixGameError("The environment was closed; reset it first.")
        return self._played

    def _begin(self) -> None:
        world = self._world
        self._seen, self._frame = world.still(), -1
        self._first, self._made, self._steps = frames_of_blocks(world.block), 0, 0
        self.lag = FRAMES_PER_BLOCK - (1 if world.block == 0 else 0)
        self._rows: list[dict[str, float]] = []
        self._waiting: deque[Frames] = deque()

    def _hold(self, row: dict[str, float]) -> Frames:
        """One row, and the frame that is seen after it as [1, H, W, 3]."""
        self._rows.append(row)
        if len(self._rows) == rows_of_blocks(1, self._world.block):
            self._waiting.extend(self._make(ActionTrack.from_rows(self.variant, self._rows)))
            self._rows = []
        self._steps += 1
        if self._steps < self.lag:
            return self._seen[None]
        self._frame = self._first + self._steps - self.lag
        return self._waiting.popleft()[None]

    def _make(self, rows: ActionTrack) -> NDArray[np.uint8]:
        parts: list[Frames] = []
        self._world.make(rows, lambda frames, _: parts.append(frames))
        made = np.concatenate(parts)
        self._made += len(made)
        return made

    def _row(self, action: Action) -> dict[str, float]:
        keys = action["keys"]
        if self.variant.exclusive:
            row = {self.variant.keys[int(keys)]: 1.0}
        else:
            row = {key: float(held) for key, held in zip(held_keys(self.variant), keys, strict=True)}
        turns = zip(_axes(self.variant), action.get("camera", ()), strict=True)
        return row | {axis: float(value) for axis, value in turns}

    def _info(self) -> dict[str, Any]:
        world = self._world
        return {"seed": world.seed, "block": world.block, "frame": self._frame}


def _actions(variant: Variant) -> spaces.Dict:
    """What may be held at once."""
    parts: dict[str, spaces.Space[Any]] = {
        "keys": spaces.Discrete(len(variant.keys)) if variant.exclusive else spaces.MultiBinary(len(held_keys(variant)))
    }
    if axes := _axes(variant):
        most = variant.camera.tested
        parts["camera"] = spaces.Box(-most, most, (len(axes),), np.float32)
    return spaces.Dict(parts)


def _axes(variant: Variant) -> list[str]:
    return [axis for axis in ("pitch", "yaw") if axis in variant.camera.axes] if variant.mouse else []


if ID not in gymnasium.registry:
    gymnasium.register(ID, entry_point=f"{__name__}:{WorldEnv.__name__}")
