"""Inputs of other programs: read, written, read again; and broken ones refused with a sentence."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyui_matrixgame.actions.check_document import MAX_FRAMES
from comfyui_matrixgame.actions.formats import exporters, importers
from comfyui_matrixgame.actions.formats.poses import poses_of_track
from comfyui_matrixgame.actions.read import load_actions, read_actions, read_text, read_texts, recognise
from comfyui_matrixgame.actions.ready_made.bench import bench_track
from comfyui_matrixgame.actions.ready_made.presets import preset_names, preset_script, presets_of
from comfyui_matrixgame.actions.resample import resample_amounts, resample_held, resampled_length
from comfyui_matrixgame.actions.script.lexer import MAX_TEXT
from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.errors import ActionError
from comfyui_matrixgame.variants import GTA_DRIVE, TEMPLERUN, UNIVERSAL, VARIANTS

from .. import generate

BENCH = json.loads((Path(__file__).parents[2] / "fixtures" / "bench.json").read_text())["rows"]


def vpt(*steps: tuple[list[str], float, float]) -> str:
    lines = [
        {"tick": i, "keyboard": {"keys": [f"key.keyboard.{k}" for k in keys]}, "mouse": {"dx": dx, "dy": dy}}
        for i, (keys, dx, dy) in enumerate(steps)
    ]
    return "\n".join(map(json.dumps, lines))


# ---- resampling


@given(st.integers(1, 300), st.sampled_from([10, 20, 25, 29.97, 30, 60]))
def test_resampling_keeps_time_and_sums(count: int, fps: float) -> None:
    amounts = np.random.default_rng(count).normal(size=(count, 2))
    out = resample_amounts(amounts, fps)
    assert (
        len(out) == len(resample_held(amounts, fps)) == resampled_length(count, fps) == max(1, round(count * 25 / fps))
    )
    np.testing.assert_allclose(out.sum(axis=0), amounts.sum(axis=0), atol=1e-9)


def test_nearest_takes_the_sample_at_the_middle_of_a_row() -> None:
    assert resample_held(np.arange(4), 20).tolist() == [0, 1, 2, 2, 3]


# ---- VPT


def test_vpt_is_resampled_and_looking_down_is_negative() -> None:
    imported = importers.read_vpt(vpt(*[(["w", "a"], 20, 10)] * 20), UNIVERSAL)
    track = imported.track
    assert len(track) == 25
    assert track.keyboard.tolist() == [[1, 0, 1, 0]] * 25
    degrees = track.mouse.sum(axis=0) * 15
    np.testing.assert_allclose(degrees, [-10 * 20 * 0.15, 20 * 20 * 0.15], rtol=1e-5)
    assert imported.notes == ()


def test_vpt_notes_what_it_leaves_out() -> None:
    text = vpt((["w", "space", "left.shift"], 0, 0), (["a"], 3000, 9))
    imported = importers.read_vpt(text, GTA_DRIVE)
    assert imported.track.mouse[:, 0].tolist() == [0] * len(imported.track)
    assert imported.track.mouse.max() == 1
    notes = " ".join(imported.notes)
    for words in ("'space' means nothing", "'shift'", "'a' means nothing", "never uses pitch", "slowed down"):
        assert words in notes


def test_vpt_to_templerun() -> None:
    text = vpt((["w", "a"], 5, 0), (["space"], 0, 0), ([], 0, 0), (["s"], 0, 0))
    imported = importers.read_vpt(text, TEMPLERUN, fps=25)
    assert [TEMPLERUN.keys[i] for i in imported.track.keyboard.argmax(axis=1)] == ["jump", "jump", "idle", "slide"]
    assert any("one action at a time" in note for note in imported.notes)
    assert any("no camera input" in note for note in imported.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no lines"),
        ("[1]", "Line 1"),
        ('{"keyboard": 5}', "Line 1"),
        (vpt((["w"], 0, 0)) + "\nnonsense", "Line 2"),
        ('{"mouse": {"dx": NaN}}', "not a number"),
        ('{"mouse": {"dx": "fast"}}', "Line 1"),
        ("[" * 100_000, "Line 1"),
    ],
)
def test_broken_vpt(text: str, message: str) -> None:
    with pytest.raises(ActionError, match=message):
        importers.read_vpt(text, UNIVERSAL)


# ---- tables


def test_csv_with_a_frame_column_holds() -> None:
    track = importers.read_csv("frame;forward;yaw\n2;1;0\n5;1;0,1\n".replace("0,1", "0.1"), UNIVERSAL).track
    assert track.keyboard[:, 0].tolist() == [0, 0, 1, 1, 1, 1]
    np.testing.assert_allclose(track.mouse[:, 1], [0, 0, 0, 0, 0, 0.1])


def test_csv_without_a_header() -> None:
    track = importers.read_csv("1,0\n0,1\n", GTA_DRIVE).track
    assert track.keyboard.tolist() == [[1, 0], [0, 1]]
    assert importers.read_csv("1,0,0,0,0.05,-0.1", UNIVERSAL).track.mouse.tolist() == [
        [np.float32(0.05), np.float32(-0.1)]
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("w,s\n", "no rows"),
        ("w,s\n1,2,3", "Row 2 .* 3 values"),
        ("w,yaw\n1,fast", "Row 2 .* column yaw: 'fast'"),
        ("1,2,3", "columns w, s, a, d, pitch, yaw"),
        ("frame,w\n3,1\n3,1", "Row 3 .*does not follow"),
        ("frame,w\n1.5,1", "does not follow"),
        ("frame,w\n1e9,1", "does not follow"),
        ("w,yaw\n1,inf", "not a number"),
    ],
)
def test_broken_csv(text: str, message: str) -> None:
    with pytest.raises(ActionError, match=message):
        importers.read_csv(text, UNIVERSAL)


def test_csv_unknown_columns_are_noted() -> None:
    imported = importers.read_csv("w,jump\n1,1", UNIVERSAL)
    assert imported.notes == ("The column 'jump' means nothing to universal.",)


# ---- arrays


def test_arrays_with_a_batch_axis() -> None:
    keyboard, mouse = np.zeros((1, 9, 4)), np.full((1, 9, 2), 0.1)
    keyboard[0, :, 0] = 1
    track = importers.read_arrays(keyboard, mouse, UNIVERSAL).track
    assert track.keyboard[:, 0].all()
    np.testing.assert_allclose(track.mouse, 0.1)


def test_all_zero_rows_of_templerun_become_idle() -> None:
    imported = importers.read_arrays(np.zeros((5, 7)), None, TEMPLERUN)
    assert imported.track == ActionTrack.idle(TEMPLERUN, 5)
    assert "5 rows" in imported.notes[0]


@pytest.mark.parametrize(
    ("keyboard", "mouse"),
    [
        (np.zeros((9, 3)), None),
        (np.zeros(4), None),
        (np.zeros((0, 4)), None),
        (np.array([["w"] * 4]), None),
        (np.full((9, 4), np.nan), None),
        (np.zeros((9, 4)), np.zeros((8, 2))),
        (np.zeros((9, 4)), np.full((9, 2), np.inf)),
        (np.zeros((MAX_FRAMES + 1, 4), np.uint8), None),
    ],
)
def test_broken_arrays(keyboard: np.ndarray, mouse: np.ndarray | None) -> None:
    with pytest.raises(ActionError):
        importers.read_arrays(keyboard, mouse, UNIVERSAL)


def test_arrays_with_objects_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "keyboard_cond.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(ActionError, match="not a readable array"):
        read_actions(tmp_path)
    (tmp_path / "keyboard_cond.npy").write_bytes(b"junk")
    with pytest.raises(ActionError, match="not a readable array"):
        read_actions(tmp_path)


def test_a_file_that_is_named_is_read_whatever_lies_beside_it(tmp_path: Path) -> None:
    """The other of the two arrays comes along only with a file that is called like one of them."""
    w, s, _, d = np.repeat(np.eye(4, dtype=np.float32)[:, None], 8, axis=1)
    exporters.write_arrays(parse_script("w+right 8").track, tmp_path)
    for name, array in {"walk_b": s, "keyboard": d, "poses": poses_of_track(parse_script("d 8").track)}.items():
        np.save(tmp_path / f"{name}.npy", array)
    for name, keyboard in {"walk_b": s, "keyboard": d, "keyboard_cond": w, "mouse_cond": w}.items():
        track = read_actions(tmp_path / f"{name}.npy")
        np.testing.assert_array_equal(track.keyboard, keyboard, name)
        assert track.mouse[:, 1].any() == (name != "walk_b"), name
    assert read_actions(tmp_path / "poses.npy").keyboard[0].tolist() == d[0].tolist()
    (tmp_path / "keyboard_cond.npy").unlink()
    (tmp_path / "keyboard.npy").unlink()
    with pytest.raises(ActionError, match="no keyboard_cond"):
        read_actions(tmp_path / "mouse_cond.npy", "gta_drive")


# ---- HY-WorldPlay and Hunyuan-GameCraft


def test_hy_string() -> None:
    track = importers.read_hy("w-3, right-1, d-4", UNIVERSAL).track
    assert len(track) == 32
    assert track.keyboard.sum(axis=0).tolist() == [12, 0, 0, 16]
    assert track.mouse[12:16, 1] * 15 * 4 == pytest.approx([3] * 4)
    assert exporters.write_hy(track) == "w-3, right-1, d-4\n"


def test_broken_hy_names_its_own_line() -> None:
    for text, place in (("foo-3", "1:1"), ("w-3\nd-4, foo-3", "2:6")):
        with pytest.raises(ActionError, match=f"script:{place}: error: unknown action 'foo'") as raised:
            read_text(text, kind="hy")
        assert text.split("\n")[-1] in str(raised.value)
    with pytest.raises(ActionError, match="script:1:1: error: the script has more than"):
        read_text("w" * MAX_TEXT, kind="hy")


def test_hy_cannot_say_chords() -> None:
    for script in ("w+a 12", "w 3", "idle 4", "left(0.2) 4"):
        with pytest.raises(ActionError, match="this format"):
            exporters.write_hy(parse_script(script).track)


def test_gamecraft_lists() -> None:
    text = "--action-list w a left_rot up_rot --action-speed-list 0.2 0.2 0.4 0.2 --seed 3"
    track = read_text(text).track
    assert len(track) == 4 * 33
    np.testing.assert_allclose(track.mouse[70], [0, -0.2])
    np.testing.assert_allclose(track.mouse[100], [0.1, 0])
    assert exporters.write_gamecraft(track) == text.replace(" --seed 3", "\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--action-list", "1 to"),
        ("--action-list w s --action-speed-list 0.2", "2 actions and 1 speed;"),
        ("--action-list fly", "'fly' is no action"),
        ("--action-list w --action-speed-list fast", "takes numbers"),
        ("--action-list w --action-speed-list nan", "takes numbers"),
    ],
)
def test_broken_gamecraft(text: str, message: str) -> None:
    with pytest.raises(ActionError, match=message):
        importers.read_gamecraft_text(text, UNIVERSAL)


# ---- the benchmark and the presets


@pytest.mark.parametrize("case", BENCH)
def test_bench_rows(case: str) -> None:
    name, seed = case.split("/")
    track = bench_track(VARIANTS[name], int(seed), 57)
    for row, (keyboard, yaw) in zip((0, 1, 13, 25, 37, 49), BENCH[case], strict=True):
        assert track.keyboard[row].tolist() == keyboard
        assert track.mouse is None or track.mouse[row].tolist() == [0, np.float32(yaw)]


@pytest.mark.parametrize(("name", "first"), [("universal", 5 / 45), ("gta_drive", 2 / 12), ("templerun", 1 / 7)])
def test_bench_probabilities(name: str, first: float) -> None:
    variant = VARIANTS[name]
    track = bench_track(variant, 3, 60_001)
    assert len(track) == 60_001
    picks = np.concatenate([track.keyboard, np.zeros((60_001, 2)) if track.mouse is None else track.mouse], axis=1)[
        1::12
    ]
    assert (np.diff(picks, axis=0) != 0).any(axis=1).sum() <= 5000
    _, counts = np.unique(picks, axis=0, return_counts=True)
    kinds = {"universal": 17, "gta_drive": 8, "templerun": 7}[name]
    assert len(counts) == kinds
    assert counts.max() / 5000 == pytest.approx(first, rel=0.15)
    if track.mouse is not None:
        assert not track.mouse[:, 0].any()


def test_bench_refuses() -> None:
    with pytest.raises(ActionError, match="rows, got 0"):
        bench_track(UNIVERSAL, 0, 0)


@pytest.mark.parametrize("name", preset_names())
def test_presets(name: str) -> None:
    for variant in VARIANTS.values():
        if name not in presets_of(variant):
            with pytest.raises(ActionError, match="no preset"):
                preset_script(name, variant)
            continue
        for seconds, speed in ((0.1, 0.1), (4, 0.1), (60, 0.05), (4, 0.123)):
            script = parse_script(preset_script(name, variant, seconds, speed), variant)
            assert script.frames >= 8
            active = script.track.keyboard[:, [i for i, k in enumerate(variant.keys) if k != "idle"]].any(axis=1)
            moving = active if script.track.mouse is None else active | script.track.mouse.any(axis=1)
            assert moving.any()
    with pytest.raises(ActionError):
        preset_script("pan_left", UNIVERSAL, seconds=float("nan"))
    with pytest.raises(ActionError):
        preset_script("pan_left", UNIVERSAL, speed=3)


def test_walk_loop_turns_a_full_circle() -> None:
    track = parse_script(preset_script("walk_loop", UNIVERSAL, 8)).track
    assert track.mouse[:, 1].sum() * 15 == pytest.approx(360)


# ---- one door


@pytest.mark.parametrize("kind", list(VARIANTS))
def test_every_exact_format_round_trips(kind: str, tmp_path: Path) -> None:
    rng = random.Random(kind)
    for i in range(20):
        track = generate.track(rng, kind=VARIANTS[kind])
        for name in ("a.csv", "a.mgs", "a.npz", f"folder{i}"):
            said = track if name in ("a.csv", "a.mgs") else track.with_seeds(())
            exporters.write_actions(None, said, tmp_path / name)
            assert read_actions(tmp_path / name, kind) == said, name
            assert name.startswith("folder") or read_actions(str(tmp_path / name), kind) == said
        exporters.write_actions(None, track, tmp_path / "a.json")
        loaded = load_actions(tmp_path / "a.json")
        assert loaded.timeline.track(len(track)) == track
        assert read_text(exporters.write_csv(track), kind).track == track


def test_another_seed_is_never_left_out_quietly(tmp_path: Path) -> None:
    track = parse_script("w 2b; seed 7; d 1b").track
    for name in ("a.npz", "folder", "a.jsonl"):
        with pytest.raises(ActionError, match=r"Row 24: this format has no place for another seed \(7\)"):
            exporters.write_actions(None, track, tmp_path / name)
        assert not (tmp_path / name).exists()
    table = read_text("frame,w,seed\n0,1,\n24,0,7\n30,1,\n").track
    assert (table.seeds, len(table)) == (((24, 7),), 31)
    for cell in ("1.5", "-1", "x"):
        with pytest.raises(ActionError):
            read_text(f"w,seed\n1,{cell}\n", kind="csv")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_vpt_round_trip_keeps_turning(seed: int) -> None:
    track = generate.track(random.Random(seed), 50, UNIVERSAL)
    again = read_text(exporters.write_vpt(track)).track
    assert len(again) == len(track)
    np.testing.assert_allclose(again.mouse.sum(axis=0), track.mouse.sum(axis=0), atol=0.01)
    held = parse_script("w 25; w+d 25").track
    assert read_text(exporters.write_vpt(held)).track == held


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("w 12", "script"),
        ("w, s, a", "script"),
        ("w,s\n1,0", "csv"),
        ("1,0,0,0\n0,1,0,0", "csv"),
        ("w;yaw\n1;0.1", "csv"),
        ('{"format":"matrixgame.timeline"}', "timeline"),
        ("{", "timeline"),
        ('{"keyboard":{"keys":[]}}', "vpt"),
        ("python x.py --action-list w", "gamecraft"),
        ("http://video\n" + " ".join(["0"] * 19), "realestate"),
        ("", "script"),
        ("12 w, 3 d\n4 s, 2 a", "script"),
        ("w-3, right-1", "script"),
        ("w-3, " + "x" * 140_000 + ", d", "script"),
        ("sep=;\nw;s", "csv"),
        ("1 0 0 0\n0 1 0 0", "csv"),
        ("TRUE;0,5\nFALSE;1", "csv"),
        ("# taken by hand\n1 0 0 0 0 0 0 1", "tum"),
        ('{"0": {"w2c": []}}', "hy_poses"),
        ('{"type": "session_start"}\n{}', "biome"),
    ],
)
def test_recognise(text: str, kind: str) -> None:
    assert recognise(text) == kind


def test_one_door_errors(tmp_path: Path) -> None:
    with pytest.raises(ActionError, match=r"no file nowhere\.mgs"):
        read_actions("nowhere.mgs")
    with pytest.raises(ActionError, match="unknown action 'nowhere'"):
        read_actions("nowhere")
    (tmp_path / "a.mgs").write_bytes(b"\xff\xfe\x00w")
    with pytest.raises(ActionError, match="not text"):
        read_actions(tmp_path / "a.mgs")
    with pytest.raises(ActionError, match="cannot be read"):
        read_actions(tmp_path / "b.mgs")
    text = parse_script("w", "gta_drive").document.to_text()
    with pytest.raises(ActionError, match="for gta_drive, but here"):
        read_actions(text, "universal")
    assert read_actions(text).variant is GTA_DRIVE
    with pytest.raises(ActionError, match="no text format 'npy'"):
        read_text("w", kind="npy")
    with pytest.raises(ActionError, match="no keyboard_cond"):
        read_actions(tmp_path)


def test_several_scripts_in_one_text() -> None:
    text = "w 12\n---\n@variant universal\nleft 24\n  ---  \nw;yaw\n1;0\n---\n"
    loaded = read_texts(text)
    assert [(x.kind, len(x.track)) for x in loaded] == [("script", 12), ("script", 24), ("csv", 1)]
    assert [x.kind for x in read_texts("w\n" * 60 + "---\nw;yaw\n1;0\n")] == ["script", "csv"]  # also far down
    assert len(read_texts("w")) == 1
    with pytest.raises(ActionError, match="script:4:1: error: unknown action 'fwd'"):
        read_texts("w 12\n---\n# two\nfwd 3")
    with pytest.raises(ActionError, match="script:3:1: error: the script has no steps"):
        read_texts("w\n---\n\n---\nw")


def test_text_never_touches_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.mgs").write_text("w 12")
    with pytest.raises(ActionError):
        read_text(str(tmp_path / "a.mgs"))


def test_a_script_keeps_its_exact_length_and_its_markers() -> None:
    loaded = load_actions(":here\nw 50")
    assert len(loaded.track) == 50
    assert loaded.timeline.length == 57
    assert loaded.timeline.markers[0].name == "here"
    assert "57" in loaded.notes[0]


def test_fuzz_any_text_gives_a_track_or_an_action_error() -> None:
    rng = random.Random(9)
    track = generate.track(rng, 21, UNIVERSAL)
    texts = [writer(track) for name, writer in exporters.TEXTS.items() if name not in ("hy", "gamecraft")]
    texts += ["--action-list w s --action-speed-list 0.2 0.2", "w-3, right-1", "frame,w,yaw\n0,1,0\n8,0,0.1"]
    good = 0
    for _ in range(2000):
        text = generate.broken(rng, rng.choice(texts))
        try:
            good += len(read_text(text, rng.choice(list(VARIANTS))).track) > 0
        except ActionError as error:
            assert str(error)  # noqa: PT017
    assert good > 100
