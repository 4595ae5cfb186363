"""`matrixgame score` on films of all kinds: its table, JSON, CSV and page, what is wrong, and going on."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
import torch

from comfyui_matrixgame.actions.formats.writers import write_csv
from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.media.datasets.lerobot import Episode, video_path, write_meta, write_table, write_video
from comfyui_matrixgame.media.video import VideoWriter
from comfyui_matrixgame.scores import protocol
from comfyui_matrixgame.scores.films import scoring
from comfyui_matrixgame.scores.template import scenario_jobs
from comfyui_matrixgame.terminal.main import main
from comfyui_matrixgame.variants import FPS, VARIANTS
from tests.batch.jobs import one_thread, write_files, write_jobs

from .films import film, track_of, write_film

WALK = [{"name": "walk", "text": "w 20f"}]
TRACK = track_of({"yaw": 0.1}, {"yaw": -0.1}, {"w": 1})


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good films and bad ones."""
    torch.set_num_threads(1)
    folder, frames = tmp_path_factory.mktemp("films"), film(TRACK, 5)
    write_film(folder / "good.mp4", frames, TRACK)
    write_film(folder / "no inputs.mp4", frames)
    write_film(folder / "longer.mp4", frames, TRACK.padded(80))
    write_film(folder / "shorter.mp4", frames, TRACK.slice(0, 20))
    write_film(folder / "one frame.mp4", frames[:1], TRACK)
    write_film(folder / "other variant.mp4", frames[:12])
    (folder / "other variant.mgs").write_text("@variant templerun\nturn_left 12f")
    write_film(folder / "bad inputs.mp4", frames[:12])
    (folder / "bad inputs.mgs").write_text("w 2 parsecs")
    whole = (folder / "good.mp4").read_bytes()
    (folder / "damaged.mp4").write_bytes(whole[: len(whole) // 4])
    (folder / "nothing.mp4").write_bytes(b"")
    (folder / "text.mkv").write_text("not a film")
    with VideoWriter(folder / "slow.mp4", 48, 80, fps=10) as writer:  # every 2.5th frame, with inputs at 25 a second
        writer.write(frames[(torch.arange(13) * 2.5).long()])
        writer.close()
    (folder / "slow.csv").write_text((folder / "good.csv").read_text())
    return folder


@pytest.fixture(scope="module")
def scored(films: Path) -> dict[str, dict[str, Any]]:
    assert main(["score", str(films)]) == 1  # some cannot be scored
    data = json.loads((films / "scores" / "scores.json").read_text(encoding="utf-8"))
    assert data["protocol"] == protocol.NAME
    assert data["version"] == protocol.VERSION
    assert data["deviations"]
    return {row["name"]: row for row in data["films"]}


def test_every_film_is_in_the_list_and_the_broken_say_why(scored: dict[str, dict[str, Any]]) -> None:
    assert len(scored) == 11
    assert {name for name, row in scored.items() if row["error"]} == {"nothing.mp4", "text.mkv", "damaged.mp4"}
    assert scored["good.mp4"]["values"]["yaw"] == 100
    assert scored["good.mp4"]["signs"]["yaw"]["asked"] == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("longer.mp4", "have 80 rows for 33 frames; the rest is left out"),
        ("shorter.mp4", "have 20 rows for 33 frames; what follows has none"),
        ("bad inputs.mp4", "inputs cannot be used"),
        ("slow.mp4", "10 frames a second; its inputs are matched by time"),
    ],
)
def test_what_does_not_fit_is_said(scored: dict[str, dict[str, Any]], name: str, words: str) -> None:
    assert words in " ".join(scored[name]["notes"])


def test_inputs_of_a_film_with_a_variable_rate_are_matched_by_time(tmp_path: Path) -> None:
    track = track_of(*[{"yaw": 0.1}] * 3, *[{"yaw": -0.1}] * 3)
    frames, path = film(track, 5), tmp_path / "uneven.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 80, 48, "yuv420p"
        for at in (at for at in range(len(frames)) if at % 3 != 1):  # steps of one and of two
            frame = av.VideoFrame.from_ndarray(frames[at].numpy(), format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    path.with_suffix(".csv").write_text(write_csv(track))
    assert main(["score", str(path)]) == 0
    (row,) = json.loads((tmp_path / "uneven.scores" / "scores.json").read_text())["films"]
    assert any("variable frame rate" in note for note in row["notes"])
    assert any("matched by time" in note for note in row["notes"])
    assert row["values"]["yaw"] == 100
    assert row["signs"]["yaw"]["asked"] >= 2


def test_what_cannot_be_computed_is_no_number(scored: dict[str, dict[str, Any]]) -> None:
    without = scored["no inputs.mp4"]["without"]
    assert without["yaw"] == without["lag"] == "no inputs belong to the film"
    assert "yaw" not in scored["no inputs.mp4"]["values"]
    assert scored["other variant.mp4"]["without"]["forward"] == "templerun has no input for it"
    assert scored["one frame.mp4"]["values"].keys() & {"frozen_percent", "flicker", "change"} == set()


def test_the_table_has_a_row_for_each(films: Path, scored: dict[str, dict[str, Any]]) -> None:
    with (films / "scores" / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert rows.keys() == scored.keys()
    assert rows["good.mp4"]["yaw"] == "100.0"
    assert rows["no inputs.mp4"]["yaw"] == ""
    assert rows["text.mkv"]["error"]


def test_what_is_scored_is_not_scored_again(
    films: Path, scored: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[str] = []
    real = scoring.facts_of
    monkeypatch.setattr(scoring, "facts_of", lambda place: tried.append(place.name) or real(place))
    assert main(["score", str(films)]) == 1
    assert sorted(tried) == ["damaged.mp4", "nothing.mp4", "text.mkv"]  # what is broken is tried again
    assert "8 films scored before" in capsys.readouterr().err
    tried.clear()
    assert main(["score", str(films / "good.mp4"), "--actions", "w 32f"]) == 0  # other inputs: another score
    assert tried == ["good.mp4"]


def test_stopped_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = film(TRACK, 5)[:12]
    for number in range(3):
        write_film(tmp_path / f"{number}.mp4", frames)
    real, tried = scoring.facts_of, []

    def stops(place: Path) -> object:
        tried.append(place.name)
        if len(tried) == 2:
            raise KeyboardInterrupt
        return real(place)

    monkeypatch.setattr(scoring, "facts_of", stops)
    assert main(["score", str(tmp_path)]) == 130
    assert len(json.loads((tmp_path / "scores" / "scores.json").read_text())["films"]) == 1
    assert main(["score", str(tmp_path)]) == 0
    assert tried == ["0.mp4", "1.mp4", "1.mp4", "2.mp4"]


def test_nothing_of_the_users_is_overwritten(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "index.html").write_text("my page")
    assert main(["score", str(films / "good.mp4"), "-o", str(tmp_path)]) == 1
    assert "index.html" in capsys.readouterr().err
    assert (tmp_path / "index.html").read_text() == "my page"


def test_a_reference_of_the_same_name(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_film(tmp_path / "one.mp4", film(TRACK, 5), TRACK)
    (tmp_path / "truth").mkdir()
    write_film(tmp_path / "truth" / "one.mp4", film(TRACK, 5))
    assert main(["score", str(tmp_path / "one.mp4"), "--reference", str(tmp_path / "truth")]) == 0
    values = json.loads((tmp_path / "one.scores" / "scores.json").read_text())["films"][0]["values"]
    assert (values["psnr"], values["ssim"]) == (100, 1)
    assert "psnr                   100 dB" in capsys.readouterr().out


def test_a_dataset_brings_its_inputs(tmp_path: Path) -> None:
    frames = film(TRACK, 5)
    _, colours = write_video(video_path(tmp_path, 0), iter(frames.numpy()), FPS)
    write_table(tmp_path, Episode(0, TRACK.padded(len(frames)), None, 0, FPS, 0), colours)
    (tmp_path / "meta").mkdir()
    write_meta(tmp_path, 1, ["walk"])
    assert main(["score", str(tmp_path)]) == 0
    row = json.loads((tmp_path / "scores" / "scores.json").read_text())["films"][0]
    assert row["signs"]["yaw"]["asked"] == 2
    assert row["variant"] == "universal"


def test_bulk_renderings_results_are_kept_in_its_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_thread()
    folder = write_files(tmp_path / "batch")
    jobs = write_jobs(folder, images="picture0.png", scripts=WALK, keep=["mp4"], size="32x32")
    assert main(["batch", "run", str(jobs), "--device", "cpu"]) == 0
    assert main(["score", str(folder / "jobs")]) == 0
    row = json.loads((folder / "jobs" / "scores" / "scores.json").read_text())["films"][0]
    assert row["signs"]["forward"]["asked"] == 2
    monkeypatch.setattr(scoring, "facts_of", lambda place: pytest.fail("scored again"))
    assert main(["score", str(folder / "jobs"), "-o", str(tmp_path / "elsewhere")]) == 0
    assert json.loads((tmp_path / "elsewhere" / "scores.json").read_text())["films"][0]["values"] == row["values"]
    assert main(["batch", "report", str(folder / "jobs")]) == 0


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_the_templates_films_come_back(variant: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "jobs.yaml"
    status = main(["score", "--template", str(path), "--variant", variant])
    if variant == "templerun":
        assert status == 1
        assert "no inputs that undo each other" in capsys.readouterr().err
        with pytest.raises(MatrixGameError):
            scenario_jobs(variant)
        return
    from comfyui_matrixgame.batch.jobs.jobfile import read_job_file
    from comfyui_matrixgame.scores.measures.scenario import is_mirrored

    assert status == 0
    text = path.read_text()
    for line in (line for line in text.splitlines() if "text:" in line):
        from comfyui_matrixgame.actions.read import read_text

        track = read_text(line.split('text: "')[1].split('"')[0], variant).track
        assert is_mirrored(track, len(track) + 1), line
    if variant == "universal":
        assert {task.labels["script"] for task in read_job_file(path).jobs()} >= {"w_s", "left_right", "up_down"}


def test_an_invalid_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(tmp_path)]) == 1
    assert main(["score", str(tmp_path / "missing.mp4")]) == 1
    assert main(["score"]) == 1
    said = capsys.readouterr().err
    assert "There are no films in" in said
    assert "There is no film or folder" in said
