"""The heads-up display: golden pictures, and that nothing makes it fail or touch what it was given."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from comfyui_matrixgame.actions.drawing.overlay import POSITIONS, SMALL, STYLES, draw_overlay
from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.errors import ImageError
from comfyui_matrixgame.variants import UNIVERSAL, VARIANTS

from . import generate

GOLDEN = Path(__file__).parents[1] / "fixtures" / "overlay"
SCRIPTS = {
    "universal": "w 20; w+a+yaw(0 -> 0.15) 20; w+d+look(0.1, 0.07) 24",
    "gta_drive": "w 20; s+yaw(0 -> -0.12) 20; w+left 24",
    "templerun": "run 20; jump 12; run 4; turnl 3; run 12; sider 13",
}


def backdrop(height: int, width: int) -> np.ndarray:
    """A smooth picture from dark to light: [1, height, width, 3]."""
    ramp = np.linspace(20, 235, width)[None, :, None] + np.linspace(-15, 15, height)[:, None, None] * [1, 0, -1]
    return np.clip(ramp, 0, 255).astype(np.uint8)[None]


PICTURES = {
    "universal_keys": ("universal", (352, 640), {"style": "keys"}),
    "universal_history": ("universal", (352, 640), {"style": "history", "numbers": True, "counter": True}),
    "universal_top": ("universal", (200, 351), {"style": "keys", "position": "top_right", "scale": 1.5}),
    "gta_drive_below": ("gta_drive", (352, 640), {"style": "history", "below": True, "numbers": True}),
    "templerun_keys": ("templerun", (352, 640), {"style": "keys", "position": "bottom_right"}),
    "templerun_history": ("templerun", (353, 639), {"style": "history", "opacity": 0.7}),
    "universal_dots": ("universal", (88, 160), {"style": "keys"}),
}


@pytest.mark.parametrize("name", PICTURES)
def test_golden_pictures(name: str) -> None:
    kind, size, how = PICTURES[name]
    got = draw_overlay(backdrop(*size), parse_script(SCRIPTS[kind], kind).track, first_row=58, **how)[0]
    expected = np.asarray(Image.open(GOLDEN / f"{name}.png").convert("RGB"))
    assert got.shape == expected.shape
    difference = np.abs(got.astype(int) - expected)
    assert difference.mean() < 0.5  # another version of the font library may move an edge
    assert (difference > 32).mean() < 0.005


def test_the_golden_pictures_differ_from_the_backdrop() -> None:
    for name, (_, size, _) in PICTURES.items():
        picture = np.asarray(Image.open(GOLDEN / f"{name}.png").convert("RGB"))
        drawn = (picture[: size[0]] != backdrop(*size)[0]).any(axis=-1).mean()
        assert (drawn > 0.001) != name.endswith("below")


@pytest.mark.parametrize("kind", list(VARIANTS))
def test_a_long_random_track_never_fails(kind: str) -> None:
    track = generate.track(random.Random(4), 4089, VARIANTS[kind])
    frames = np.full((500, SMALL + 1, 131, 3), 90, np.uint8)
    shown = set()
    for first in range(0, 4089, 500):
        out = draw_overlay(frames, track, "history" if first % 1000 else "keys", first_row=first)
        assert out.shape == frames.shape
        shown.add(out[0].tobytes())
    assert len(shown) == 9
    assert (frames == 90).all()


def test_looking_up_for_ever_never_fails() -> None:
    mouse = np.tile(np.float32([0.1, 0]), (4089, 1))
    track = ActionTrack(UNIVERSAL, np.zeros((4089, 4), np.float32), mouse)
    out = draw_overlay(np.zeros((2, 352, 640, 3), np.uint8), track, first_row=4087)
    np.testing.assert_array_equal(out[0], out[1])


@settings(max_examples=150, deadline=None)
@given(
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    count=st.integers(0, 3),
    style=st.sampled_from(STYLES),
    position=st.sampled_from(POSITIONS),
    scale=st.floats(-1e30, 1e30),
    opacity=st.floats(-1e30, 1e30),
    offset=st.integers(-(10**9), 10**9),
    first_row=st.integers(-(10**9), 10**9),
    below=st.booleans(),
    numbers=st.booleans(),
    counter=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_any_size_and_setting(height: int, width: int, count: int, seed: int, below: bool, **how: object) -> None:
    track = generate.track(random.Random(seed))
    frames = np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    before = frames.copy()
    frames.setflags(write=False)
    out = draw_overlay(frames, track, below=below, **how)
    np.testing.assert_array_equal(frames, before)
    assert out.dtype == np.uint8
    assert out.shape[0] == count
    assert out.shape[2:] == (width, 3)
    assert out.shape[1] == height or (below and out.shape[1] > height)
    if below:
        np.testing.assert_array_equal(out[:, :height], frames)


def test_below_covers_nothing_and_keeps_even_heights() -> None:
    frames = backdrop(352, 640)
    out = draw_overlay(frames, parse_script("w 12").track, below=True)
    assert out.shape[1] > 352
    assert out.shape[1] % 2 == 0
    np.testing.assert_array_equal(out[:, :352], frames)
    assert out[:, 352:].max() > 200


def test_offset_shows_what_a_frame_was_made_from() -> None:
    frames = np.repeat(backdrop(352, 640), 24, axis=0)
    track = parse_script("w 12; d 12").track
    plain, shifted = draw_overlay(frames, track), draw_overlay(frames, track, offset=1)
    np.testing.assert_array_equal(plain[:-1], shifted[1:])
    np.testing.assert_array_equal(plain[0], shifted[0])
    assert (plain[11] != plain[12]).any()


def test_blocks_one_by_one_give_the_same_as_all_at_once() -> None:
    track = parse_script(SCRIPTS["templerun"], "templerun").track
    frames = np.repeat(backdrop(120, 200), 57, axis=0)
    whole = draw_overlay(frames, track, "history")
    parts = [draw_overlay(frames[a:b], track, "history", first_row=a) for a, b in ((0, 9), (9, 21), (21, 57))]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_a_tap_of_one_row_is_seen_for_six() -> None:
    track = parse_script("run 10; jump 1; run 20", "templerun").track
    frames = np.repeat(backdrop(352, 640), 31, axis=0)
    out = draw_overlay(frames, track)
    lit = (out != out[0]).any(axis=(1, 2, 3))
    assert np.flatnonzero(lit).tolist() == [10, 11, 12, 13, 14, 15]


def test_pressed_is_lighter_than_idle_without_colour() -> None:
    frames = np.full((2, 352, 640, 3), 128, np.uint8)
    out = draw_overlay(frames, parse_script("w 1; s 1").track)
    assert (out[..., 0] == out[..., 1]).all()
    assert (out[..., 1] == out[..., 2]).all()
    changed = np.abs(out[0].astype(int) - out[1]).max(axis=-1) > 100
    assert changed.sum() > 200


@pytest.mark.parametrize(
    ("script", "x", "y"),
    [
        ("right 1", 1, 0),
        ("left 1", -1, 0),
        ("up 1", 0, -1),
        ("down 1", 0, 1),
        ("look(0.2, 0.2) 1", 1, -1),
        ("w 1", 0, 0),
    ],
)
def test_the_stick_points_where_the_camera_turns(script: str, x: int, y: int) -> None:
    out = draw_overlay(np.full((1, 352, 640, 3), 128, np.uint8), parse_script(script).track)[0, :, 320:, 0]
    bright = np.argwhere(out > 225).mean(axis=0) if (out > 225).any() else np.zeros(2)
    disc = np.argwhere(out != 128)
    centre = (disc.min(axis=0) + disc.max(axis=0)) / 2
    down, right = bright - centre if bright.any() else (0, 0)
    assert (np.sign(round(right / 3)), np.sign(round(down / 3))) == (x, y)


@pytest.mark.parametrize(("script", "side"), [("right 1", 1), ("left 1", -1)])
def test_the_steering_bar_fills_towards_the_turn(script: str, side: int) -> None:
    frames = np.full((2, 352, 640, 3), 128, np.uint8)
    track = parse_script(f"{script}; idle 1", "gta_drive").track
    out = draw_overlay(frames, track)[:, :, 320:, 0].astype(int)
    lit = np.argwhere(out[0] - out[1] > 60)[:, 1]
    disc = np.argwhere(out[0] != 128)[:, 1]
    assert np.sign(lit.mean() - (disc.min() + disc.max()) / 2) == side


def test_none_is_a_copy() -> None:
    frames = backdrop(100, 100)
    out = draw_overlay(frames, parse_script("w").track, "none", below=True)
    np.testing.assert_array_equal(out, frames)
    assert out is not frames


@pytest.mark.parametrize(
    "frames", [np.zeros((1, 8, 8, 4), np.uint8), np.zeros((8, 8, 3), np.uint8), np.zeros((1, 8, 8, 3))]
)
def test_other_arrays_are_refused(frames: np.ndarray) -> None:
    with pytest.raises(ImageError, match=r"uint8 \[N, H, W, 3\]"):
        draw_overlay(frames, parse_script("w").track)


def test_other_names_are_refused() -> None:
    frames = backdrop(10, 10)
    with pytest.raises(ImageError, match="no style 'key'"):
        draw_overlay(frames, parse_script("w").track, "key")
    with pytest.raises(ImageError, match="no position 'middle'"):
        draw_overlay(frames, parse_script("w").track, position="middle")
