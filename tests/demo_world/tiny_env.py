"""Two environments of a few pixels: a dot that moves by numbered actions, and one that moves by a row of numbers."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

SIDE = 32


class Dot(gymnasium.Env):
    """The dot stands where all actions so far have moved it; `ends` steps are an episode, where it is not 0."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, row: bool = False, ends: int = 0, render_mode: str | None = None) -> None:
        self.render_mode, self.row, self.ends = render_mode, row, ends
        self.action_space = spaces.Box(-20, 20, (2,), np.float32) if row else spaces.Discrete(3)
        self.observation_space = spaces.Dict({"screen": spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.at, self.steps = int(self.np_random.integers(SIDE)), 0
        return {"screen": self.render()}, {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action)
        self.at += round(float(action[0] + action[1])) if self.row else (0, 1, -1)[action]
        self.steps += 1
        return {"screen": self.render()}, 0.0, self.steps == self.ends, False, {}

    def render(self) -> Any:
        picture = np.zeros((SIDE, SIDE, 3), np.uint8)
        picture[:, self.at % SIDE] = 255
        return picture


gymnasium.register("Dot-v0", Dot, disable_env_checker=True, order_enforce=False)
