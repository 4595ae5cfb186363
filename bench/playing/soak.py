"""A long time of play with the test pattern: the command serves, Chromium plays, the memory of both is read."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

WARM = 1 / 6  # share of the time before which nothing is compared
METRICS = ("JSHeapUsedSize", "Nodes", "JSEventListeners")


def measure(minutes: float, chromium: str | None) -> dict[str, Any]:
    """Play for this long, W and D by turns and the mouse moving; returns how memory grew after the warm-up."""
    from playwright.sync_api import sync_playwright

    folder = Path(tempfile.mkdtemp())
    command = [sys.executable, "-m", "comfyui_matrixgame", "play", "--pattern", "--no-browser"]
    server = subprocess.Popen([*command, "-o", str(folder / "take.json")], stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    address = server.stderr.readline().removeprefix("play at ").strip()
    samples: list[dict[str, float]] = []
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 680})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.wait_for_function("window.player?.connected")
        page.locator(".mgp-stage").click()
        page.wait_for_function("player.playing")
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable")
        began, every = time.monotonic(), max(2.0, minutes)
        while time.monotonic() - began < 60 * minutes:
            _play(page, every)
            samples.append({"minute": round((time.monotonic() - began) / 60, 2), **_weigh(devtools, server.pid)})
        state = page.evaluate(
            "({ state: player.state, shown: player.pictures.pacer.shown, dropped: player.pictures.pacer.dropped })"
        )
        page.keyboard.press("Escape")
        page.locator("[data-act=stop]").click()
        server.wait(60)
        browser.close()
    take = json.loads((folder / "take.json").read_text())
    later = [sample for sample in samples if sample["minute"] >= WARM * minutes]
    names = [name for name in samples[0] if name != "minute"]
    return {
        "minutes": minutes, "blocks": state["state"]["blocks"], "shown": state["shown"], "dropped": state["dropped"],
        "blocks_in_take": take["take"]["blocks"], "page_errors": errors,
        "growth": {name: _growth([sample[name] for sample in later]) for name in names}, "samples": samples,
    }  # fmt: skip


def _play(page: Any, seconds: float) -> None:
    """Hold a key and turn for this long."""
    until = time.monotonic() + seconds
    x = 0
    while time.monotonic() < until:
        key = "w" if x % 2 else "d"
        page.keyboard.down(key)
        page.mouse.move(300 + 40 * (x % 9), 200)
        page.wait_for_timeout(700)
        page.keyboard.up(key)
        x += 1


def _weigh(devtools: Any, pid: int) -> dict[str, float]:
    devtools.send("HeapProfiler.collectGarbage")
    metrics = {entry["name"]: entry["value"] for entry in devtools.send("Performance.getMetrics")["metrics"]}
    server = psutil.Process(pid)
    return {**{name: metrics[name] for name in METRICS}, "server_rss": server.memory_info().rss}


def _growth(values: list[float]) -> float:
    """The mean of the last fifth over that of the first."""
    share = max(1, len(values) // 5)
    return round(statistics.mean(values[-share:]) / statistics.mean(values[:share]) - 1, 4)
