"""The game's rules and pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.variants import GTA_DRIVE, UNIVERSAL
from demo_world import render as drawing
from demo_world.game import PITCH_LIMIT, RADIUS, SPEED, Game, Pose, distance_to_things, play, poses_array, spawn, walk
from demo_world.inputs import SCRIPTS, random_track, script_track
from demo_world.render import render
from demo_world.scene import Ball, Box, Scene, make_scene

OPEN = Scene(0, (), (), (), (0.0,) * 8, 0.0)


def track(rows: int, **values: float) -> ActionTrack:
    return ActionTrack.from_rows(UNIVERSAL, [values] * rows)


def test_a_seed_is_one_world_and_one_clip():
    again = [play(7, random_track(np.random.default_rng(3), 5), 5, 32, 48)[0] for _ in range(2)]
    assert torch.equal(*again)
    assert make_scene(7) == make_scene(7) != make_scene(8)


def test_an_input_first_acts_on_the_next_frame():
    rows = [{"yaw": 0.0}] * 3 + [{"yaw": 0.1, "w": 1}] + [{}] * 2
    poses = walk(OPEN, Pose(0, 0, 0), ActionTrack.from_rows(UNIVERSAL, rows))
    assert poses[3] == poses[0]
    assert poses[4].yaw == pytest.approx(math.radians(1.5))
    assert math.hypot(poses[4].x, poses[4].y) == pytest.approx(SPEED)
    assert poses[6] == poses[4]


@pytest.mark.parametrize(
    ("keys", "direction"),
    [("w", (0, 1)), ("s", (0, -1)), ("a", (-1, 0)), ("d", (1, 0)), ("ws", (0, 0)), ("ad", (0, 0))],
)
def test_keys_walk_where_they_say(keys, direction):
    pose = walk(OPEN, Pose(0, 0, 0), track(1, **{k: 1.0 for k in keys}))[1]
    assert (pose.x, pose.y) == pytest.approx((SPEED * direction[0], SPEED * direction[1]))


def test_diagonals_are_no_faster_and_follow_the_view():
    pose = walk(OPEN, Pose(0, 0, math.pi / 2), track(1, w=1, d=1))[1]  # looks east: forward is +x, right is -y
    assert (pose.x, pose.y) == pytest.approx((SPEED / math.sqrt(2), -SPEED / math.sqrt(2)))


def test_the_head_stops_at_its_limit():
    assert walk(OPEN, Pose(0, 0, 0), track(200, pitch=0.5))[-1].pitch == pytest.approx(PITCH_LIMIT)


@pytest.mark.parametrize("seed", range(4))
def test_nobody_walks_through_things(seed):
    scene = make_scene(seed)
    moves = random_track(np.random.default_rng(seed), 400)
    for pose in walk(scene, spawn(scene), moves):
        assert distance_to_things(scene, pose.x, pose.y) >= RADIUS - 1e-9


def test_walls_are_slid_along():
    scene = Scene(0, (Box(0, 1.0, 5, 0.5, 1, (1, 0, 0)),), (), (), (0.0,) * 8, 0.0)
    end = walk(scene, Pose(0, 0, math.radians(45)), track(10, w=1))[-1]
    assert end.y <= 0.5 - RADIUS + 1e-9
    assert end.x == pytest.approx(10 * SPEED * math.sin(math.radians(45)))


def test_other_variants_are_refused():
    with pytest.raises(ValueError, match="universal"):
        play(0, ActionTrack.idle(GTA_DRIVE, 3), 3, 32, 48)


def test_scripts_repeat_and_cover_every_control():
    for name in SCRIPTS:
        assert len(script_track(name, 130)) == 130
    used = np.concatenate(
        [np.concatenate([t.keyboard, np.abs(t.mouse)], 1) for t in map(lambda n: script_track(n, 60), SCRIPTS)]
    )
    assert (used.max(axis=0) > 0).all()


def test_random_players_use_every_control_and_keep_their_head_level():
    moves = random_track(np.random.default_rng(0), 3000)
    assert (np.concatenate([moves.keyboard, np.abs(moves.mouse)], 1).max(axis=0) > 0).all()
    pitch = np.degrees([p.pitch for p in walk(OPEN, Pose(0, 0, 0), moves)])
    assert np.abs(pitch).max() <= np.degrees(PITCH_LIMIT)
    assert np.abs(pitch).mean() < 20


def test_a_picture_has_sky_above_and_ground_below():
    picture = Game.new(0).frame(48, 80).astype(int)
    assert picture[:4, :, 2].mean() > picture[:4, :, 0].mean()  # blue
    view = render(OPEN, poses_array([Pose(0, 5, 0)]), 48, 80)[0].numpy().astype(int)
    assert (view[-4:, :, 1] > view[-4:, :, 2]).all()  # green


def test_a_thing_is_where_it_should_be():
    red = Scene(0, (), (), (Ball(0.0, 4.0, drawing.EYE, 0.8, (1.0, 0.0, 0.0)),), (0.0,) * 8, 0.0)
    picture = (
        render(red, poses_array([Pose(0, 0, 0), Pose(0, 0, math.radians(20))]), 45, 79, samples=1).numpy().astype(int)
    )
    is_red = (picture[..., 0] > 120) & (picture[..., 1] < 90)
    ahead, turned = (np.argwhere(p).mean(axis=0) for p in is_red)
    assert ahead == pytest.approx([22, 39], abs=0.6)
    edges = [math.tan(math.radians(20) + side * math.asin(0.8 / 4)) for side in (1, -1)]
    middle = 39 - 79 / 2 * (sum(edges) / 2) / math.tan(drawing.FOV / 2)
    assert turned[1] == pytest.approx(middle, abs=0.6)


@pytest.mark.parametrize("seed", range(3))
def test_leaving_out_what_is_not_in_view_changes_nothing(seed, monkeypatch):
    scene = make_scene(seed)
    moves = random_track(np.random.default_rng(seed), 60)
    poses = poses_array(walk(scene, spawn(scene), moves)[::12])
    quick = render(scene, poses, 32, 56, samples=1)
    monkeypatch.setattr(drawing, "_in_view", lambda thing, poses: True)
    assert torch.equal(quick, render(scene, poses, 32, 56, samples=1))
