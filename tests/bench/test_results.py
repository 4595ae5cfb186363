"""What is published was measured: speeds are means of enough blocks, no part beats its limit, docs say the same."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from comfyui_matrixgame.measure.check import report_faults
from comfyui_matrixgame.measure.clock import Spread, sustained

ROOT = Path(__file__).parents[2]
H100 = ROOT / "bench" / "results" / "h100-2026-11-26.json"


def reports() -> list[Path]:
    """The results that hold speeds of rollouts."""
    return [path for path in (ROOT / "bench" / "results").glob("*.json") if "runs" in json.loads(path.read_text())]


@pytest.fixture
def good() -> dict[str, Any]:
    """A report in which all is right, with a part and a pass."""
    report = json.loads(H100.read_text())
    for run in report["runs"]:
        run["parts"][0]["of_limit"] = 0.9
        run["pass"] = {**run["block"], "count": 20}
        run["transformer_only_fps"] = 130.0
    assert report_faults(report) == []
    return report


@pytest.mark.parametrize("path", reports(), ids=lambda path: path.stem)
def test_published_reports_have_no_faults(path: Path) -> None:
    assert report_faults(json.loads(path.read_text())) == []


def test_what_may_not_be_published_is_named(good: dict[str, Any]) -> None:
    def of(**changes: Any) -> str:
        report = copy.deepcopy(good)
        report["runs"][0] |= changes
        return " ".join(report_faults(report))

    run = good["runs"][0]
    assert "129% of the limit" in of(parts=[{"part": "decode", "ms": 1.0, "gflop": 1.0, "of_limit": 1.29}])
    assert "its speed is of 19 warm blocks" in of(blocks=run["blocks"][1:])
    assert "its blocks 68.2" in of(end_to_end_fps=12 / run["block"]["fastest"])
    assert "the mean of a block" in of(block={**run["block"], "mean": run["block"]["fastest"]})
    assert "of 3 passes" in of(**{"pass": {**run["pass"], "count": 3}})
    without = copy.deepcopy(good)
    del without["runs"][0]["decoder"]
    assert "without the decoder" in " ".join(report_faults(without))


def test_the_page_on_speed_says_what_was_measured() -> None:
    page = re.sub(r"<!--.*?-->", "", (ROOT / "docs" / "speed.md").read_text(encoding="utf-8"))
    rows = re.findall(r"^\| (Wan VAE|tiny) \| (\d+) frames/s \| (.*) \| (\d+) ms \|$", page, re.M)
    runs = {run["decoder"].partition(",")[0].partition(" (")[0]: run for run in json.loads(H100.read_text())["runs"]}
    assert [row[0] for row in rows] == list(runs)
    for decoder, speed, times, start in rows:
        run = runs[decoder]
        mean, median, slowest = (round(1e3 * run["block"][name]) for name in ("mean", "median", "slowest"))
        assert int(speed) == round(run["end_to_end_fps"])
        assert times == f"{mean} ms ({median}, {slowest})"
        assert int(start) == round(1e3 * run["first_frames_s"])


def test_a_spread_is_led_by_its_mean() -> None:
    spread = Spread.of([1.0, 2.0, 6.0])
    assert (spread.mean, spread.median, spread.slowest, spread.fastest, spread.count) == (3.0, 2.0, 6.0, 1.0, 3)


def test_a_limit_is_of_many_calls_between_two_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    from comfyui_matrixgame.measure import clock

    waits: list[int] = []
    calls: list[int] = []
    monkeypatch.setattr(clock, "synchronise", lambda _: waits.append(len(calls)))
    sustained(lambda: calls.append(1), torch.device("meta"))
    assert waits == [1, 21, 21, 41, 41, 61]
