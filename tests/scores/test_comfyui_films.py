"""Films that ComfyUI saved tell their inputs: the prompt in them has the timeline's script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.actions.ready_made.bench import bench_track
from comfyui_matrixgame.errors import ActionError
from comfyui_matrixgame.scores.films.comfyui import TIMELINE, inputs_in
from comfyui_matrixgame.variants import UNIVERSAL

SCRIPT = "w+right(0.1) 12f; a 8f"
START = {"class_type": "MatrixGameStartWorld", "inputs": {"seed": 1}}
Nodes = dict[str, Any]


def nodes_of(script: Any = SCRIPT, **more: Nodes) -> Nodes:
    """A prompt that rolls out one script and saves it."""
    return {
        "1": START,
        "2": {"class_type": "MatrixGameActionTimeline", "inputs": {"variant": "universal", "script": script}},
        "3": {"class_type": "MatrixGameRollOut", "inputs": {"world": ["1", 0], "actions": ["2", 0]}},
        "4": {"class_type": "SaveVideo", "inputs": {"video": ["3", 1], "filename_prefix": "video/film"}},
    } | more


def save(path: Path, nodes: Any, tag: str = "prompt", **tags: str) -> Path:
    """A film with a prompt in it, as core's Save Video writes one."""
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags+faststart"}) as container:
        container.metadata[tag] = json.dumps(nodes)
        container.metadata.update(tags)
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for packet in stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")):
            container.mux(packet)
        container.mux(stream.encode())
    return path


def keys_of(path: Path, frames: int = 21) -> np.ndarray:
    loaded = inputs_in(path, frames)
    assert loaded is not None
    assert loaded.kind == "comfyui"
    assert len(loaded.track) == frames
    return loaded.track.keyboard


def test_the_script_of_the_timeline_is_found(tmp_path: Path) -> None:
    expected = read_text(SCRIPT, "universal").track.padded(21)
    for name, tag, nodes in (
        ("film_00001_.mp4", "prompt", nodes_of()),
        ("film_00001_.mkv", "PROMPT", nodes_of()),
        ("other.mp4", "comment", {"prompt": json.dumps(nodes_of()), "workflow": {}}),  # of Video Helper Suite
        ("linked.mp4", "prompt", nodes_of(["5", 0]) | {"5": {"class_type": "Text", "inputs": {"value": SCRIPT}}}),
    ):
        loaded = inputs_in(save(tmp_path / name, nodes, tag), 21)
        assert loaded is not None
        np.testing.assert_array_equal(loaded.track.keyboard, expected.keyboard)
        np.testing.assert_array_equal(loaded.track.mouse, expected.mouse)


def test_a_world_that_goes_on_shows_no_frame_before_its_first_row(tmp_path: Path) -> None:
    rows = read_text(SCRIPT, "universal").track.padded(30).keyboard
    goes_on = nodes_of() | {"1": {"class_type": "MatrixGameLoadWorld", "inputs": {"name": "x"}}}
    np.testing.assert_array_equal(keys_of(save(tmp_path / "on.mp4", goes_on)), rows[1:22])
    clip = nodes_of() | {"1": START | {"inputs": {"clip": ["9", 0]}}}
    np.testing.assert_array_equal(keys_of(save(tmp_path / "clip.mp4", clip)), rows[1:22])


def test_of_several_rollouts_the_one_that_was_saved_under_this_name(tmp_path: Path) -> None:
    second = {
        "5": {"class_type": "MatrixGameActionTimeline", "inputs": {"variant": "universal", "script": "s 20f"}},
        "6": {"class_type": "MatrixGameRollOut", "inputs": {"world": ["3", 2], "actions": ["5", 0]}},
        "7": {"class_type": "SaveVideo", "inputs": {"video": ["6", 1], "filename_prefix": "branch"}},
    }
    nodes = nodes_of() | second
    assert keys_of(save(tmp_path / "film_00003_.mp4", nodes))[0].tolist() == [1, 0, 0, 0]
    assert keys_of(save(tmp_path / "branch_00003_.mp4", nodes))[0].tolist() == [0, 1, 0, 0]
    with pytest.raises(ActionError, match="has 2 rollouts"):
        inputs_in(save(tmp_path / "renamed.mp4", nodes), 21)
    joined = nodes | {"8": {"class_type": "Join", "inputs": {"a": ["3", 0], "b": ["6", 0]}}}
    joined["4"] = {"class_type": "SaveVideo", "inputs": {"video": ["8", 0], "filename_prefix": "film"}}
    with pytest.raises(ActionError, match="has 2 rollouts"):
        inputs_in(save(tmp_path / "film_00004_.mp4", joined), 21)


def test_bench_inputs_are_drawn_again(tmp_path: Path) -> None:
    bench = {"class_type": "MatrixGameBenchInputs", "inputs": {"variant": "universal", "blocks": 2, "seed": 5}}
    found = keys_of(save(tmp_path / "bench.mp4", nodes_of() | {"2": bench}))
    np.testing.assert_array_equal(found, bench_track(UNIVERSAL, 5, 20).padded(21).keyboard)


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        (nodes_of(["9", 0]), "does not say the script"),
        (nodes_of("w 2 parsecs"), "parsecs"),
        (nodes_of() | {"2": {"class_type": TIMELINE, "inputs": {"variant": "pong", "script": "w 1"}}}, "pong"),
        (nodes_of() | {"2": {"class_type": "MatrixGameCameraPaths", "inputs": {}}}, "from MatrixGameCameraPaths"),
    ],
)  # fmt: skip
def test_inputs_that_are_not_told_are_no_guess(tmp_path: Path, nodes: Nodes, words: str) -> None:
    with pytest.raises(ActionError, match=words):
        inputs_in(save(tmp_path / "film_00001_.mp4", nodes), 21)


@pytest.mark.parametrize("nodes", [{}, [1], "text", {"4": nodes_of()["4"]}, {"1": {"class_type": 3}}, {"1": None}])
def test_films_of_other_workflows_have_no_inputs(tmp_path: Path, nodes: Any) -> None:
    assert inputs_in(save(tmp_path / "film_00001_.mp4", nodes), 21) is None
