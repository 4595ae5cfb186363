"""Any Gymnasium environment as a game to record from: a small JSON file says what its actions are as keys and camera.

    {"environment": "VizdoomMyWayHome-v1", "import": ["vizdoom.gymnasium_wrapper"], "make": {"frame_skip": 1},
     "frame": "screen", "rate": 35,
     "actions": [{"action": 0}, {"action": 1, "yaw": -0.23}, {"action": 3, "keys": ["w"]}]}

`actions` are those of a discrete environment, each with what it means; one of them is held for a while, then another.
For an environment that takes a row of numbers, `vector` is the row of a player who does nothing, and `keys`, `pitch`
and `yaw` say what is added to which of its places while a key is held, and for a unit (15 degrees a frame) of turning:

    {"environment": "...", "vector": [0, 0, 0], "keys": {"w": {"0": 1}, "s": {"0": -1}}, "yaw": {"2": 15}}

`frame` is the picture in an observation of several (default: what `render` gives), `rate` frames a second, `make` goes
to `gymnasium.make`, and modules of `import` are imported before.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.system.text_files import read_text_file
from comfyui_matrixgame.variants import FPS, UNIVERSAL

from .inputs import random_track

TRIES = 20  # seeds, for an episode that goes on to its last frame
KEYS = UNIVERSAL.keys
AXES = ("pitch", "yaw")
LARGEST = 1 << 20  # bytes of a mapping
FIELDS = {"environment", "import", "make", "frame", "rate", "actions", "vector", "keys", *AXES}
HOLD = (8, 50)  # frames


@dataclass(frozen=True)
class GymGame:
    """A mapping that was read and checked; see the module. It can be sent to another process."""

    environment: str
    imports: tuple[str, ...] = ()
    make: Mapping[str, Any] = field(default_factory=dict)
    frame: str | None = None
    rate: float = FPS
    actions: tuple[Mapping[str, Any], ...] = ()
    vector: tuple[float, ...] = ()
    adds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # key or axis -> place -> what is added


def read_game(path: Path) -> GymGame:
    """A mapping file. Raises MatrixGameError that names the field and the fix."""
    try:
        data = json.loads(read_text_file(path, LARGEST).text)
    except (OSError, ValueError, RecursionError) as error:
        raise MatrixGameError(f"{path.name} cannot be read as a mapping: {error}.") from None
    try:
        return game_of(data)
    except MatrixGameError as error:
        raise MatrixGameError(f"{path.name}: {error}") from None


def game_of(data: Any) -> GymGame:
    """See `read_game`."""
    if not isinstance(data, dict) or not isinstance(data.get("environment"), str):
        raise MatrixGameError('a mapping is an object with "environment", the name that gymnasium.make takes.')
    if unknown := sorted(data.keys() - FIELDS):
        raise MatrixGameError(f"there is no field '{unknown[0]}'; a mapping has {', '.join(sorted(FIELDS))}.")
    if ("actions" in data) == ("vector" in data):
        raise MatrixGameError("say either actions (of a discrete environment) or vector (of one that takes numbers).")
    rate, make, imports = data.get("rate", FPS), data.get("make", {}), data.get("import", [])
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 1 <= rate <= 240:
        raise MatrixGameError(f"rate is frames a second, from 1 to 240, not {rate!r}.")
    if not isinstance(make, dict) or not isinstance(imports, list) or not all(isinstance(m, str) for m in imports):
        raise MatrixGameError("make is an object, and import a list of names of modules.")
    common = (data["environment"], tuple(imports), make, data.get("frame"), float(rate))
    if "actions" in data:
        return GymGame(*common, actions=tuple(_action(each) for each in _list(data["actions"], "actions")))
    vector = tuple(_number(value, "vector") for value in _list(data["vector"], "vector"))
    adds = {name: data["keys"][name] for name in data.get("keys", {})} | {a: data[a] for a in AXES if a in data}
    for name, places in adds.items():
        if name not in (*KEYS, *AXES):
            raise MatrixGameError(f"there is no key '{name}'; there are {', '.join(KEYS)}.")
        if not isinstance(places, dict) or not all(p.isdecimal() and int(p) < len(vector) for p in places):
            raise MatrixGameError(f"{name} names places of the vector, from 0 to {len(vector) - 1}.")
        for value in places.values():
            _number(value, name)
    if not adds:
        raise MatrixGameError("say what keys, pitch or yaw add to the vector.")
    return GymGame(*common, vector=vector, adds=adds)


def random_inputs(game: GymGame, rng: np.random.Generator, rows: int) -> tuple[ActionTrack, list[Any]]:
    """A player who holds one thing for a while, then another: a row of inputs for each frame, and the environment's
    actions."""
    if game.actions:
        chosen: list[Mapping[str, Any]] = []
        while len(chosen) < rows:
            chosen += [game.actions[int(rng.integers(len(game.actions)))]] * int(rng.integers(*HOLD))
        held = [{k: 1.0 for k in a["keys"]} | {axis: a[axis] for axis in AXES} for a in chosen[:rows]]
        return ActionTrack.from_rows(UNIVERSAL, held), [action["action"] for action in chosen[:rows]]
    track = random_track(rng, rows)
    assert track.mouse is not None
    keyboard = track.keyboard * np.array([key in game.adds for key in KEYS], np.float32)
    mouse = track.mouse * np.array([axis in game.adds for axis in AXES], np.float32)
    track = ActionTrack(UNIVERSAL, keyboard, mouse)
    names = (*KEYS, *AXES)
    return track, [_vector(game, dict(zip(names, (*k, *m), strict=True))) for k, m in zip(keyboard, mouse, strict=True)]


def play_gym(game: GymGame, seed: int, actions: list[Any], rows: int) -> list[NDArray[np.uint8]]:
    """Frames [rows] of [H, W, 3]: the first after a reset, and one after each action but the last. An episode that the
    game ends before is played again from another seed. Raises MatrixGameError."""
    env = _make(game)
    longest = 0
    try:
        for attempt in range(TRIES):
            observation, _ = env.reset(seed=(seed + attempt * 7919) % 2**31)
            frames = [_picture(game, env, observation)]
            for action in actions[: rows - 1]:
                value = action if game.actions else np.array(action, env.action_space.dtype)
                observation, _, terminated, truncated, _ = env.step(value)
                if terminated or truncated:
                    break
                frames.append(_picture(game, env, observation))
            if len(frames) == rows:
                return frames
            longest = max(longest, len(frames))
    finally:
        env.close()
    raise MatrixGameError(
        f"{game.environment} ended each of {TRIES} episodes before frame {rows}, at the latest after {longest}; ask "
        "for fewer --frames, or for longer episodes in `make` (max_episode_steps)."
    )


def _make(game: GymGame) -> Any:
    try:
        gymnasium = importlib.import_module("gymnasium")
    except ImportError:
        raise MatrixGameError("Recording from an environment needs Gymnasium: `pip install gymnasium`.") from None
    try:
        for name in game.imports:
            importlib.import_module(name)
        return gymnasium.make(game.environment, **{"render_mode": "rgb_array", **game.make})
    except Exception as error:  # of any package
        words = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MatrixGameError(f"{game.environment} cannot be made: {words.rstrip('.')}.") from None


def _picture(game: GymGame, env: Any, observation: Any) -> NDArray[np.uint8]:
    if game.frame is not None:
        if not isinstance(observation, Mapping) or game.frame not in observation:
            raise MatrixGameError(f"Observations of {game.environment} have no '{game.frame}'; change frame.")
        picture = np.asarray(observation[game.frame])
    else:
        picture = np.asarray(env.render())
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise MatrixGameError(
            f"The picture of {game.environment} is {picture.dtype} {list(picture.shape)} and not [H, W, 3] of 8 bits."
        )
    return picture.copy()


def _vector(game: GymGame, row: Mapping[str, float]) -> list[float]:
    vector = list(game.vector)
    for name, places in game.adds.items():
        for place, value in places.items():
            vector[int(place)] += float(row[name]) * value
    return vector


def _action(data: Any) -> Mapping[str, Any]:
    if not isinstance(data, dict) or not isinstance(data.get("action"), int) or data.keys() - {"action", "keys", *AXES}:
        raise MatrixGameError('each of actions is like {"action": 3, "keys": ["w"], "yaw": 0.1}.')
    keys = data.get("keys", [])
    if not isinstance(keys, list) or not all(key in KEYS for key in keys):
        raise MatrixGameError(f"keys of an action are a list of {', '.join(KEYS)}, not {keys!r}.")
    turns = {axis: _number(data.get(axis, 0.0), axis) for axis in AXES}
    if any(abs(value) > UNIVERSAL.camera.limit for value in turns.values()):
        raise MatrixGameError(f"an action turns by at most {UNIVERSAL.camera.limit:g} units of 15 degrees a frame.")
    return {"action": data["action"], "keys": keys, **turns}


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise MatrixGameError(f"{name} must be a list that is not empty.")
    return value


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9:
        raise MatrixGameError(f"{name} holds {value!r}, which is not a number.")
    return float(value)
