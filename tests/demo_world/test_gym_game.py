"""Recording from Gymnasium environments by a mapping file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.media.datasets.find import find_dataset
from comfyui_matrixgame.media.datasets.lerobot import table_path, video_path
from demo_world.gym_game import game_of, play_gym, random_inputs, read_game
from demo_world.record import main, record_gym

pytest.importorskip("gymnasium")
DISCRETE = {
    "environment": "Dot-v0", "import": ["tests.demo_world.tiny_env"], "frame": "screen", "rate": 20,
    "actions": [{"action": 0}, {"action": 1, "keys": ["w", "d"]}, {"action": 2, "yaw": -0.5}],
}  # fmt: skip
ROW = {
    "environment": "Dot-v0", "import": ["tests.demo_world.tiny_env"], "make": {"row": True},
    "vector": [0, 0], "keys": {"w": {"0": 2}, "s": {"0": -2}}, "yaw": {"1": 20},
}  # fmt: skip
FRAMES = 40


def dots(pictures: Any) -> np.ndarray:
    return np.array([int(picture[0, :, 0].argmax()) for picture in pictures])


def moved(pictures: Any) -> list[int]:
    """How far the dot went with each action."""
    return ((np.diff(dots(pictures)) + 16) % 32 - 16).tolist()


def test_row_t_is_what_moves_from_frame_t_to_the_next() -> None:
    game = game_of(DISCRETE)
    track, actions = random_inputs(game, np.random.default_rng(1), 300)
    steps = moved(play_gym(game, 3, actions, 300))
    assert track.mouse is not None
    expected = track.keyboard[:, 0] - (track.mouse[:, 1] < 0)
    assert steps == expected[:-1].tolist()
    assert len(set(steps)) == 3
    assert np.array_equal(track.keyboard[:, 0], track.keyboard[:, 3])


def test_a_row_of_numbers_is_made_of_keys_and_camera() -> None:
    game = game_of(ROW)
    track, actions = random_inputs(game, np.random.default_rng(5), 400)
    assert track.mouse is not None
    steps = moved(play_gym(game, 3, actions, 400))
    expected = 2 * (track.keyboard[:, 0] - track.keyboard[:, 1]) + 20 * track.mouse[:, 1]
    assert steps == np.round(expected[:-1]).astype(int).tolist()
    assert not track.keyboard[:, 2:].any()  # no a and d in the mapping
    assert not track.mouse[:, 0].any()
    assert len(set(steps)) > 3


def test_a_recording_goes_on_and_workers_make_the_same(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    path.write_text(json.dumps(DISCRETE))
    assert record_gym(tmp_path / "one", path, 2, FRAMES) == 2
    kept = [video_path(tmp_path / "one", n).read_bytes() for n in range(2)]
    table_path(tmp_path / "one", 1).unlink()
    main([str(tmp_path / "one"), "--gym", str(path), "--episodes", "2", "--frames", str(FRAMES), "--workers", "1"])
    assert record_gym(tmp_path / "two", path, 2, FRAMES, workers=2) == 2
    for root in ("one", "two"):
        assert [video_path(tmp_path / root, n).read_bytes() for n in range(2)] == kept
    dataset = find_dataset(tmp_path / "two")
    track, _ = random_inputs(game_of(DISCRETE), np.random.default_rng([0, 1, 0x6A]), FRAMES)
    assert dataset.clips[1].rate == 20
    assert dataset.clips[1].read().track == track
    with pytest.raises(MatrixGameError, match="recorded with another"):
        record_gym(tmp_path / "two", path, 2, FRAMES + 1)


def test_an_episode_that_ends_too_soon_is_said() -> None:
    game = game_of(DISCRETE | {"make": {"ends": 10}})
    with pytest.raises(MatrixGameError, match="before frame 40, at the latest after 10"):
        play_gym(game, 0, [0] * FRAMES, FRAMES)
    assert len(play_gym(game, 0, [0] * 10, 10)) == 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"environment": 3}, 'with "environment"'),
        ({"colour": 1}, "no field 'colour'"),
        ({"vector": [0]}, "either actions"),
        ({"actions": []}, "not empty"),
        ({"actions": [{"action": 0, "keys": ["jump"]}]}, "keys of an action"),
        ({"actions": [{"action": 0, "yaw": 3}]}, "at most 1 units"),
        ({"actions": [{"keys": ["w"]}]}, "each of actions"),
        ({"rate": 0}, "rate is"),
        ({"make": []}, "make is an object"),
    ],
)
def test_what_is_wrong_with_a_mapping_is_a_sentence(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    path.write_text(json.dumps(DISCRETE | change))
    with pytest.raises(MatrixGameError, match=words):
        read_game(path)


def test_what_an_environment_does_not_have_is_a_sentence() -> None:
    for change, words in (
        ({"environment": "Nothing-v0"}, "cannot be made"),
        ({"import": ["no_such_module"]}, "no_such_module"),
        ({"frame": "picture"}, "no 'picture'"),
    ):
        with pytest.raises(MatrixGameError, match=words):
            play_gym(game_of(DISCRETE | change), 0, [0] * 3, 3)
    with pytest.raises(MatrixGameError, match="from 0 to 1"):
        game_of(ROW | {"yaw": {"2": 1}})


MAPS = sorted(Path(__file__).parents[2].glob("demo_world/games/*.json"))


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
def test_mappings_that_come_with_it_can_be_read(path: Path) -> None:
    assert read_game(path).actions
