"""The published benchmark's actions: what each variant can do of them, as job files and as the names of films."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.batch.jobs.jobfile import read_job_file
from comfyui_matrixgame.errors import ActionError
from comfyui_matrixgame.scores.benchmark import ACTIONS, Action, action_jobs, action_of, inputs_of_action
from comfyui_matrixgame.scores.films.found import find_films
from comfyui_matrixgame.scores.measures.asked import asked_of
from comfyui_matrixgame.terminal.main import main
from comfyui_matrixgame.variants import GTA_DRIVE, TEMPLERUN, UNIVERSAL

WAYS = {  # what a word of a name asks of yaw, pitch, forward, right
    "up": (0, 1, 0, 0), "down": (0, -1, 0, 0), "l": (-1, 0, 0, 0), "r": (1, 0, 0, 0), "ul": (-1, 1, 0, 0),
    "ur": (1, 1, 0, 0), "dl": (-1, -1, 0, 0), "dr": (1, -1, 0, 0), "forward": (0, 0, 1, 0), "back": (0, 0, -1, 0),
    "left": (0, 0, 0, -1), "right": (0, 0, 0, 1), "camera": (0, 0, 0, 0), "empty": (0, 0, 0, 0),
}  # fmt: skip


def test_the_list_has_the_benchmarks_76_actions() -> None:
    assert len(ACTIONS) == 76
    some = {"empty", "attack_camera_dl", "jump_attack", "back_right", "right_jump", "left_camera_ur", "camera_down"}
    assert some <= ACTIONS.keys()
    assert not {"left_right", "attack_jump", "jump_jump", "left_forward"} & ACTIONS.keys()
    counts = [sum(not a.problem(variant) for a in ACTIONS.values()) for variant in (UNIVERSAL, GTA_DRIVE, TEMPLERUN)]
    assert counts == [49, 9, 4]


def test_every_action_asks_for_what_its_name_says() -> None:
    for name, action in ACTIONS.items():
        if action.problem(UNIVERSAL):
            continue
        asked = asked_of(read_text(action.script(UNIVERSAL), UNIVERSAL).track)
        wanted = [sum(WAYS[word][axis] for word in name.split("_")) for axis in range(4)]
        assert len(asked) == 56
        assert ((asked > 0) * 1 - (asked < 0)).tolist() == [wanted] * 56, name


def test_attack_comes_and_goes_where_a_variant_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from comfyui_matrixgame.scores import benchmark

    monkeypatch.setitem(benchmark.WORDS, "attack", ("back",))  # a key that universal has
    script = Action("forward_attack", ("forward", "attack")).script(UNIVERSAL)
    assert script == "; ".join(["w 8", "s+w 8"] * 3 + ["w 8"])


@pytest.mark.parametrize("variant", ["universal", "gta_drive", "templerun"])
def test_the_job_file_renders_films_of_those_names(
    variant: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "jobs.yaml"
    assert main(["score", "--template", str(path), "--list", "actions", "--variant", variant]) == 0
    assert "batch run" in capsys.readouterr().out
    assert "no key for jump and attack" in path.read_text() or variant != "gta_drive"
    if variant == "universal":
        jobs = list(read_job_file(path).jobs())
        assert {job.labels["script"] for job in jobs} == {a.name for a in ACTIONS.values() if not a.problem(UNIVERSAL)}
        assert all(job.name == f"{job.labels['image']}_{job.labels['script']}" for job in jobs)
    else:
        assert variant in action_jobs(variant)
    assert main(["score", "--template", str(path), "--list", "actions"]) == 0  # its own may be replaced
    path.write_text("mine")
    assert main(["score", "--template", str(path), "--list", "actions"]) == 1
    assert path.read_text() == "mine"


def test_an_action_is_read_from_a_films_name() -> None:
    names = ("0007_forward_left.mp4", "0031_test_camera_ul.mp4", "photo_left.mp4", "0001_sideways.mp4", "left.mp4")
    assert [found.name if (found := action_of(name)) else None for name in names] == [
        "forward_left", "camera_ul", None, None, None,
    ]  # fmt: skip
    assert [found.name if (found := action_of(name, numbered=False)) else None for name in names] == [
        "forward_left", "camera_ul", "left", None, "left",
    ]  # fmt: skip


def test_what_a_variant_has_no_key_for_is_left_out_and_said(tmp_path: Path) -> None:
    loaded = inputs_of_action(ACTIONS["jump_camera_up"], UNIVERSAL, 33)
    assert len(loaded.track) == 32
    assert asked_of(loaded.track)[0].tolist() == pytest.approx([0, 0.1, 0, 0])
    assert "universal has no key for jump, which is left out." in loaded.notes
    with pytest.raises(ActionError, match="no key for jump and attack, the action in its name"):
        inputs_of_action(ACTIONS["jump_attack"], UNIVERSAL, 33)
    (tmp_path / "0000_forward.mp4").write_bytes(b"")
    (tmp_path / "world_left.mp4").write_bytes(b"")
    films = find_films(tmp_path)
    assert [(found := film.inputs(9)) and found.kind for film in films] == ["name", None]
    assert [(found := film.inputs(9)) and found.kind for film in find_films(tmp_path, named=True)] == ["name", "name"]
