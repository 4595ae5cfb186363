"""What is seen of the camera's motion: on the game's films, on fields of motion, at cuts and where nothing moves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import demo_world.render as renderer
from comfyui_matrixgame.scores.motion.camera import AXES, GUESSES, fit_camera
from comfyui_matrixgame.scores.motion.flow import CELL, WIDTH, Flow, flow_between, small_grey
from comfyui_matrixgame.scores.motion.meter import LEAST_TURN, _has_cut, _signs
from demo_world.game import play

from .films import film, measured, track_of

BOTH_WAYS = [{"yaw": 0.1}, {"yaw": -0.1}, {"pitch": 0.1}, {"pitch": -0.1}, {"w": 1}, {"s": 1}, {"d": 1}, {"a": 1}]
WANTED = [(axis, sign) for axis in range(4) for sign in (1, -1)]


@pytest.mark.parametrize(("height", "width", "field"), [(48, 80, 78), (176, 320, 78), (176, 320, 95), (352, 640, 78)])
def test_signs_of_the_games_films(height: int, width: int, field: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderer, "FOV", math.radians(field))
    right = judged = 0
    for world in (5, 21) if width < 320 else (5,):
        blocks = measured(film(track_of({}, *BOTH_WAYS), world, height, width)).blocks
        assert len(blocks) == 9
        for block, (axis, sign) in zip(blocks[1:], WANTED, strict=True):
            judged += block.signs[axis] != 0
            right += block.signs[axis] == sign
    assert judged >= (14 if width < 320 else 7)  # of 16 or 8
    assert right >= judged - 1


def test_the_same_in_chunks_of_any_size() -> None:
    frames = film(track_of({"yaw": 0.1}, {"w": 1}, {"d": 1}), 5)
    one, other = measured(frames, 25), measured(frames, 7)
    assert [block.signs for block in one.blocks] == [block.signs for block in other.blocks]
    np.testing.assert_allclose(one.series, other.series, atol=1e-4)
    assert len(one.series) == len(frames) // 2


def test_a_film_that_stands_still_has_no_signs() -> None:
    blocks = measured(film(track_of({}, {}, {}), 5)).blocks
    assert {block.why for block in blocks} == {"still"}
    assert {block.signs for block in blocks} == {(0, 0, 0, 0)}


def test_a_change_of_light_is_no_motion() -> None:
    frames = film(track_of({}, {}), 5)
    light = torch.linspace(1.0, 0.6, len(frames)).view(-1, 1, 1, 1)
    darker = (frames.float() * light).to(torch.uint8)
    assert not any(any(block.signs) for block in measured(darker).blocks)


def test_a_cut_is_not_judged() -> None:
    one, other = film(track_of({"yaw": 0.1}, {"yaw": 0.1}), 5), film(track_of({"yaw": 0.1}, {"yaw": 0.1}), 21)
    blocks = measured(torch.cat([one[:14], other[:7]])).blocks
    assert blocks[1].why == "cut"
    assert blocks[0].why == ""


@pytest.mark.parametrize(
    ("world", "place", "key", "sign", "size"), [(12056, 56, "a", -1, (48, 80)), (12212, 12, "d", 1, (176, 320))]
)
def test_what_goes_by_close_is_no_cut_and_not_unclear(
    world: int, place: int, key: str, sign: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps to the side past what stands beside the player: much is covered and comes into view."""
    monkeypatch.setattr(renderer, "FOV", math.radians(78 if size[0] < 100 else 60))
    frames, _ = play(world, track_of({key: 1}), 9, *size, place=place, samples=1)
    (block,) = measured(frames).blocks
    assert (block.why, block.signs[AXES.index("right")]) == ("", sign)


def test_a_cut_is_sudden() -> None:
    assert _has_cut(np.array([0.06, 0.07, 0.34, 0.08]))
    assert _has_cut(np.array([0.3]))
    assert _has_cut(np.array([0.7, 0.7, 0.6]))
    assert not _has_cut(np.array([0.33, 0.26, 0.23, 0.17, 0.14, 0.1]))
    assert not _has_cut(np.array([0.1, 0.2, 0.1]))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_turn_too_small_to_see_has_no_side(axis: int) -> None:
    """As soft frames are fitted: hardly a turn, or a worse fit that turns the other way."""
    cost, motion = np.array([0.26, 0.30, 0.27, 0.31]), np.zeros((4, 4))
    motion[:, axis], motion[:, 3] = [0.0014, -0.0385, 0.0036, -0.0391], [1, -1, 1, -1]
    signs = _signs(cost, motion, 0.26)
    assert (signs[axis], signs[3]) == (0, 1)
    motion[0, axis] = -2 * LEAST_TURN
    motion[1:, axis] = 0.03
    assert _signs(cost, motion, 0.26)[axis] == -1


def test_frames_of_noise_are_not_judged() -> None:
    noise = torch.randint(0, 256, (21, 48, 80, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    assert not any(any(block.signs) for block in measured(noise).blocks)


def test_flow_finds_a_shift() -> None:
    frame = film(track_of({}), 5, 176, 320)[:1]
    moved = torch.roll(frame, (4, -6), (1, 2))  # down, left; half of it in pixels of 160
    flow = flow_between(small_grey(frame), small_grey(moved))
    sure = flow.known.diagonal(dim1=-2, dim2=-1).min(-1).values[0] > 0.6
    middle = (flow.places.abs() < torch.tensor([50.0, 25.0])).all(-1)
    found = flow.vectors[0, sure & middle].median(0).values
    assert found.tolist() == pytest.approx([-3, 2], abs=0.15)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("field", [60, 75, 100])
def test_fields_of_motion_over_a_plane(axis: str, sign: int, field: int) -> None:
    """The flow that perspective gives for a ground plane and a far field, at other fields of view than it fits."""
    rows, columns = 88 // CELL, WIDTH // CELL
    y, x = torch.meshgrid(
        (torch.arange(rows) + 0.5) * CELL - 44, (torch.arange(columns) + 0.5) * CELL - 80, indexing="ij"
    )
    places = torch.stack([x, y], -1).reshape(-1, 2)
    focal = WIDTH / 2 / math.tan(math.radians(field) / 2)
    u, v = (places / focal).unbind(-1)
    near = v.clamp(min=1 / 40)  # of a ground one unit below, and of hills
    turn, step = math.radians(3), 0.2
    flow = {
        "yaw": (-turn * (1 + u * u), -turn * u * v),
        "pitch": (turn * u * v, turn * (1 + v * v)),
        "forward": (step * u * near, step * v * near),
        "right": (-step * near, torch.zeros_like(u)),
    }[axis]
    vectors = sign * focal * torch.stack(flow, -1)[None]
    known = torch.eye(2).expand(1, len(places), 2, 2) * 0.9
    found = fit_camera(Flow(vectors, known, torch.zeros(1, len(places)), places, WIDTH))
    best = int(found.cost[0].argmin())
    index = AXES.index(axis)
    assert np.sign(float(found.motion[0, best, index])) == sign
    if axis in ("forward", "right"):
        ways = np.array([way[index - 2] for _, way in GUESSES])
        cost = found.cost[0].numpy()
        assert cost[ways == sign].min() + 0.01 < cost[ways == -sign].min()


def test_smoothness_is_how_well_neighbours_make_the_frame_between_them() -> None:
    generator = torch.Generator().manual_seed(4)
    noise = torch.rand(1, 3, 24, 60, generator=generator)
    wide = F.interpolate(noise, (96, 240), mode="bicubic").clamp(0, 1).mul(255).round().to(torch.uint8)[0]
    steady = torch.stack([wide[:, :, 2 * at : 2 * at + WIDTH] for at in range(31)]).permute(0, 2, 3, 1)
    smooth = measured(steady).smoothness.score
    without_flow = 1 - float((steady[:-1:2].float() + steady[2::2].float()).div(2).sub(steady[1::2]).abs().mean()) / 255
    assert smooth is not None
    assert smooth > 0.985 > without_flow
    uneven = steady.clone()
    uneven[1::2] = steady[2::2]  # every second step is twice as long, and none the next
    assert (measured(uneven).smoothness.score or 1) < smooth - 0.005
    assert measured(steady, chunk=7).smoothness.score == pytest.approx(smooth, abs=1e-4)
    assert measured(steady[:2]).smoothness.score is None
    still = steady[:1].expand(9, -1, -1, -1)
    assert measured(still).smoothness.score == pytest.approx(1, abs=1e-3)
