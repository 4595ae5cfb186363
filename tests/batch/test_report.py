"""What is looked at and used after a run: the page in a real browser, tables, contact sheets, exports."""

from __future__ import annotations

import csv
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.batch.results import export as batch_export
from comfyui_matrixgame.batch.results import outputs, report_files
from comfyui_matrixgame.batch.results.report import write_report
from comfyui_matrixgame.batch.results.result import short_lanes, track_of_short_lanes
from comfyui_matrixgame.errors import TargetError
from comfyui_matrixgame.media.datasets.lerobot import count_episodes, read_episode
from comfyui_matrixgame.media.video import read_video
from comfyui_matrixgame.terminal.main import main
from comfyui_matrixgame.variants import UNIVERSAL, VARIANTS
from tests.support.networks import random_track

from .jobs import one_thread, write_files, write_jobs

SCRIPTS = [{"name": "walk", "text": "w 8f; right(0.123) 13f"}, {"name": "back", "text": "s 20f"}]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four jobs, one of which failed."""
    one_thread()
    folder = write_files(tmp_path_factory.mktemp("report"))
    real = outputs.ResultWriter.finish

    def fails(self: outputs.ResultWriter, *args: object) -> object:
        if self.task.name == "picture1_walk":
            raise RuntimeError("</script><b>no luck</b>")
        return real(self, *args)  # type: ignore[arg-type]

    patch = pytest.MonkeyPatch()
    patch.setattr(outputs.ResultWriter, "finish", fails)
    path = write_jobs(folder, images="picture*.png", scripts=SCRIPTS, keep=["mp4", "png", "inputs"], size="32x32")
    assert main(["batch", "run", str(path), "--device", "cpu"]) == 1
    patch.undo()
    return folder / "jobs"


def test_tables_have_a_row_for_each_job(out: Path) -> None:
    with (out / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = pq.read_table(out / "results.parquet").to_pylist()
    assert [row["name"] for row in rows] == [row["name"] for row in table]
    assert [row["state"] for row in table].count("failed") == 1
    done = [row for row in table if row["state"] == "done"]
    assert len(done) == 3
    for row in done:
        assert (row["frames"], row["blocks"], row["width"]) == (21, 2, 32)
        assert sum(1 for _ in read_video(out / row["video"])) == 21
        assert row["model_seconds"] > 0


def test_contact_sheets_show_the_finished_jobs(out: Path) -> None:
    with Image.open(out / "contact_sheet_001.jpg") as sheet:
        assert sheet.width == 3 * 192
        assert np.asarray(sheet)[:120].std() > 10


def test_the_page_can_be_written_while_a_run_is_on(out: Path) -> None:
    from comfyui_matrixgame.batch.results.ledger import Ledger

    ledger = Ledger(out)
    ledger.put_note("total", 9)
    write_report(out)
    page = (out / "report.html").read_text()
    ledger.put_note("total", 4)
    ledger.close()
    assert '"total":9' in page
    assert "</script><b>" not in page


def test_the_page_in_a_browser(browser: Any, out: Path) -> None:
    (page_file, *_) = write_report(out)
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(page_file.as_uri())
    names = "[...document.querySelectorAll('#rows b')].map(n => n.textContent)"
    assert page.evaluate(names) == ["picture0_back", "picture0_walk", "picture1_back", "picture1_walk"]
    assert "3 done, 1 failed" in page.inner_text("#sum")
    assert "RuntimeError: </script><b>no luck</b>" in page.inner_text("#rows")
    page.click("#head button >> text=Name")
    assert page.evaluate(names)[0] == "picture1_walk"
    page.select_option("#state", "failed")
    assert page.evaluate(names) == ["picture1_walk"]
    page.select_option("#state", "")
    page.fill("#find", "picture0 walk")
    assert page.evaluate(names) == []
    page.fill("#find", "0_walk")
    assert page.evaluate(names) == ["picture0_walk"]
    image = "document.querySelector('.shot img')"
    page.wait_for_function(f"{image}.complete && {image}.naturalWidth === 32")
    inks = "c => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size"
    assert page.eval_on_selector("#rows canvas", inks) > 3
    page.click(".shot")
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    assert page.evaluate("document.querySelector('video').videoWidth") == 32
    assert not problems
    page.close()


def test_lanes_hold_the_inputs_to_the_last_bit() -> None:
    for variant in VARIANTS.values():
        track = random_track(variant, 20)
        assert track_of_short_lanes(variant.name, short_lanes(track), len(track)) == track


def test_a_dataset_has_a_row_of_inputs_for_each_frame(out: Path, tmp_path: Path) -> None:
    target = tmp_path / "data"
    for _ in range(2):
        assert main(["batch", "export", str(out), str(target)]) == 0
    found = []
    for number in range(3):
        frames, track = read_episode(target, number)
        assert frames.shape == (21, 32, 32, 3)
        found.append(track)
    expected = read_text("w 8f; right(0.123) 13f", "universal").track
    assert sum(track == expected for track in found) == 1
    assert {len(track) for track in found} == {21}
    first = pq.read_table(target / "data/chunk-000/episode_000001.parquet")["index"][0].as_py()
    assert first == 21
    assert not (target / "data/chunk-000/episode_000003.parquet").exists()


def export(folder: Path, target: Path, **settings: Any) -> int:
    """Run jobs, and add their results to a dataset."""
    assert main(["batch", "run", str(write_jobs(folder, keep=["mp4"], **settings)), "--device", "cpu"]) == 0
    return main(["batch", "export", str(folder / "jobs"), str(target)])


def test_a_dataset_has_one_size(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = write_files(tmp_path / "jobs")
    assert export(folder, tmp_path / "data") == 0
    assert export(folder, tmp_path / "data", size="32x32") == 1
    assert "universal at 16x16, and these jobs are of universal at 32x32" in capsys.readouterr().err


def test_an_export_that_broke_off_goes_on_with_other_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, target = write_files(tmp_path / "jobs"), tmp_path / "data"
    assert export(folder, target, name="one") == 0
    with monkeypatch.context() as patch:
        patch.setattr(batch_export, "write_table", Mock(side_effect=KeyboardInterrupt))
        assert export(folder, target, name="two", seeds=1) != 0
    assert export(folder, target, name="two", seeds=2, lengths=2) == 0
    assert count_episodes(target) == 2
    assert [len(read_episode(target, number)[1]) for number in range(2)] == [9, 21]
    assert pq.read_table(target / "data/chunk-000/episode_000001.parquet")["index"][0].as_py() == 9


def test_a_video_of_another_result_is_replaced(tmp_path: Path) -> None:
    folder, target = write_files(tmp_path / "jobs"), tmp_path / "videos"
    video, named = target / "picture0_w-8f.mp4", folder / "jobs" / "by_name" / "picture0_w-8f.mp4"
    for seed in (1, 2):
        path = write_jobs(folder, keep=["mp4"], seeds=seed)
        assert main(["batch", "run", str(path), "--device", "cpu"]) == 0
        assert main(["batch", "export", str(folder / "jobs"), str(target), "--as", "videos"]) == 0
        assert video.read_bytes() == named.read_bytes()
    written = video.stat().st_mtime_ns
    assert main(["batch", "export", str(folder / "jobs"), str(target), "--as", "videos"]) == 0
    assert video.stat().st_mtime_ns == written


def test_jobs_that_share_a_result_keep_their_labels(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "jobs")
    scripts = [{"name": "short", "text": "w 8f"}, {"name": "other", "text": "w 4f; w 4f"}]
    path = write_jobs(folder, keep=["mp4"], scripts=scripts)
    assert main(["batch", "run", str(path), "--device", "cpu"]) == 0
    with (folder / "jobs" / "results.csv").open(newline="") as file:
        assert [row["script"] for row in csv.DictReader(file)] == ["other", "short"]
    target = tmp_path / "videos"
    assert main(["batch", "export", str(folder / "jobs"), str(target), "--as", "videos"]) == 0
    assert {video.stem for video in target.glob("*.mp4")} == {"picture0_short", "picture0_other"}
    database = sqlite3.connect(folder / "jobs" / "batch.sqlite")  # as older programs wrote it
    database.execute("alter table jobs drop column labels")
    database.close()
    write_report(folder / "jobs")
    assert main(["batch", "run", str(path), "--device", "cpu"]) == 0
    assert pq.read_table(folder / "jobs" / "results.parquet")["script"].to_pylist() == ["other", "short"]


def test_videos_for_benchmarks(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["batch", "export", str(out), str(tmp_path / "set"), "--as", "videos"]) == 0
    names = sorted(path.name for path in (tmp_path / "set").glob("*.mp4"))
    assert names == ["picture0_back.mp4", "picture0_walk.mp4", "picture1_back.mp4"]
    rows = (tmp_path / "set" / "index.csv").read_text().splitlines()
    assert [row.split(",")[2] for row in rows] == ["action", "back", "back", "walk"]
    capsys.readouterr()
    more = ["--as", "videos", "--names", "{action}"]
    assert main(["batch", "export", str(out), str(tmp_path / "clash"), *more]) == 1
    assert "would both be back.mp4" in capsys.readouterr().err
    assert main(["batch", "export", str(tmp_path), str(tmp_path / "x")]) == 1
    assert "no bulk rendering" in capsys.readouterr().err
    assert main(["batch", "export", str(out), str(tmp_path / "x"), "--variant", "templerun"]) == 1
    assert UNIVERSAL.name not in capsys.readouterr().err


def test_an_export_writes_over_nobodys_files(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["batch", "export", str(out), str(tmp_path / "set"), "--as", "videos"]) == 0
    for name in [path.name for path in (tmp_path / "set").iterdir()]:
        target = tmp_path / f"in {name}"
        target.mkdir()
        (target / name).write_text("mine")
        assert main(["batch", "export", str(out), str(target), "--as", "videos"]) == 1
        assert f"{name} exists and is no" in capsys.readouterr().err
        assert [path.name for path in target.iterdir()] == [name]
        assert (target / name).read_text() == "mine"


REPORT = ("report.html", "results.csv", "results.parquet", "contact_sheet_001.jpg", "batch.sqlite")


def of_the_user(folder: Path) -> None:
    """Files of the user's own under the names of a report, each of its kind."""
    (folder / "report.html").write_text("<!doctype html><title>My thesis</title>")
    (folder / "results.csv").write_text("name,grade\nme,1\n")
    pq.write_table(pa.table({"name": ["me"], "grade": [1]}), folder / "results.parquet")
    Image.effect_noise((384, 154), 80).convert("RGB").save(folder / "contact_sheet_001.jpg")
    with closing(sqlite3.connect(folder / "batch.sqlite")) as database:
        database.execute("create table recipes (name text)")


@pytest.mark.parametrize("comment", [b"", report_files.SHEET_COMMENT])
def test_sheets_of_pictures_as_wide_as_their_cells_are_known(comment: bytes, tmp_path: Path) -> None:
    """Those of an earlier version have no comment."""
    wide, high = report_files.CELL
    sheet = Image.new("RGB", (2 * wide, 2 * (high + report_files.TEXT)), report_files.BACKGROUND)
    for place in ((0, 0), (wide, 0), (0, high + report_files.TEXT)):
        sheet.paste(Image.effect_noise((wide, high), 80).convert("RGB"), place)
    sheet.save(tmp_path / "contact_sheet_001.jpg", quality=85, comment=comment)
    report_files.check_report_files(tmp_path, 1)
    Image.effect_noise(sheet.size, 80).convert("RGB").save(tmp_path / "contact_sheet_001.jpg")
    with pytest.raises(TargetError, match="is no contact sheet"):
        report_files.check_report_files(tmp_path, 1)


def test_a_run_writes_over_nobodys_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so before anything is loaded."""
    folder, theirs = write_files(tmp_path / "jobs"), tmp_path / "theirs"
    theirs.mkdir()
    of_the_user(theirs)
    for name in REPORT:
        target = tmp_path / f"in {name}"
        target.mkdir()
        data = (theirs / name).read_bytes()
        (target / name).write_bytes(data)
        path = write_jobs(folder, output=str(target), keep=["mp4"])
        for command in (["plan", str(path)], ["run", str(path), "--device", "cpu"]):
            assert main(["batch", *command]) == 1
            assert f"{name} exists and is no" in capsys.readouterr().err
        assert [file.name for file in target.iterdir()] == [name]
        assert (target / name).read_bytes() == data


def test_a_report_writes_over_nobodys_files(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copyfile(out / "batch.sqlite", tmp_path / "batch.sqlite")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    of_the_user(theirs)
    for name in REPORT[:-1]:
        data = (theirs / name).read_bytes()
        (tmp_path / name).write_bytes(data)
        assert main(["batch", "report", str(tmp_path)]) == 1
        assert f"{name} exists and is no" in capsys.readouterr().err
        assert (tmp_path / name).read_bytes() == data
        (tmp_path / name).unlink()
    assert main(["batch", "report", str(tmp_path)]) == 0
    assert main(["batch", "report", str(tmp_path)]) == 0  # over its own


def test_what_lies_in_a_folder_named_parts_stays(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "jobs")
    parts = folder / "jobs" / "parts"
    (parts / "engine").mkdir(parents=True)
    (parts / "engine" / "crank.stl").write_text("mine")
    (parts / ("0" * 40 + "-decoder-none.0123abcd")).mkdir()  # of a run that was killed
    assert main(["batch", "run", str(write_jobs(folder, keep=["mp4"])), "--device", "cpu"]) == 0
    assert [path.name for path in parts.iterdir()] == ["engine"]
    assert (parts / "engine" / "crank.stl").read_text() == "mine"
