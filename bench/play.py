"""Live play, measured in a browser and at its socket.

    python -m bench.play transport|latency|answer|pacing|flood [--seconds 60] [-o FILE.json]
    python -m bench.play soak --minutes 30 [-o FILE.json]

transport: from the first encoded frame of a block to the last painted one, 12 frames of 640x352 as large as those of a
real picture. latency: from a key to a changed pixel, at moments that have nothing to do with the blocks. answer: from a
key to the moved picture that answers before the block. pacing: times between frames on screen while blocks come up to
80 ms early or late. flood: what a block of the demo world costs while the route is flooded, in turns with quiet. soak:
memory of page and server over a long time of play.

Needs Chromium and playwright. A machine with other work on it measures that work too: `load` is in the result.
With -o, the result is added to what the file has under other names.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import numpy as np

from comfyui_matrixgame.measure.reports import report_argument, write_text
from comfyui_matrixgame.play.early_frames import Frames
from comfyui_matrixgame.play.pattern import CELL, TestPattern
from comfyui_matrixgame.play.played_world import Playable
from comfyui_matrixgame.play.session import Event, FramesMade, Limits, Session
from comfyui_matrixgame.terminal.play_server import Server
from comfyui_matrixgame.variants import FRAMES_PER_BLOCK, LATENTS_PER_BLOCK

FOREVER = Limits(1e9, 1e9)
DISPLAY_MS = 480.0  # how long a block is on screen
KEY = f"""() => new Promise((done) => {{
  const context = player.pictures.canvas.getContext('2d', {{ willReadFrequently: true }});
  const lit = () => context.getImageData({CELL // 2}, player.pictures.canvas.height - {CELL // 2}, 1, 1).data[0] > 128;
  const before = lit();
  const began = performance.now();
  const code = {{ code: 'KeyW', key: 'w', bubbles: true }};
  player.proxy.area.dispatchEvent(new KeyboardEvent(before ? 'keyup' : 'keydown', code));
  const look = () => (lit() !== before ? done(performance.now() - began) : requestAnimationFrame(look));
  look();
}})"""
# the preview is drawn in an animation frame; at the start of the one after it, it was on the screen
ANSWER = """() => new Promise((done) => {
  const began = performance.now();
  player.proxy.area.dispatchEvent(new KeyboardEvent('keydown', { code: 'KeyW', key: 'w', bubbles: true }));
  const look = () => {
    if (player.preview.canvas.hidden) return requestAnimationFrame(look);
    const drawn = performance.now() - began;
    requestAnimationFrame(() => done([drawn, performance.now() - began]));
  };
  requestAnimationFrame(look);
})"""
LET_GO = "() => player.proxy.area.dispatchEvent(new KeyboardEvent('keyup', { code: 'KeyW', key: 'w', bubbles: true }))"
PAINT_AT_ONCE = (
    "() => { player.pictures.queue = (head, bitmaps) => bitmaps.forEach((bitmap) => player.pictures.paint(bitmap)); }"
)
WATCH_PAINTS = """() => {
  window.paints = [];
  const { pictures } = player;
  const { paint } = pictures;
  pictures.paint = (bitmap) => { paint.call(pictures, bitmap); paints.push(performance.now()); };
}"""


class Scenery(TestPattern):
    """The test pattern with the grain of a photograph, so that a frame is as large a JPEG as one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        rng = np.random.default_rng(0)
        coarse = np.kron(rng.normal(0, 28, (11, 20)), np.ones((32, 32)))
        self._grain = (coarse + rng.normal(0, 6, coarse.shape)).astype(np.int16)[: self.size[0], : self.size[1], None]

    def _frames(self, rows: Any) -> Frames:
        frames = super()._frames(rows).astype(np.int16)
        frames[:, CELL:-CELL] += self._grain[CELL:-CELL]
        return frames.clip(0, 255).astype(np.uint8)


class Unsteady(TestPattern):
    """Blocks that take 0.2 seconds, and up to 80 ms more or less."""

    def make(self, *args: Any, **options: Any) -> None:
        self.seconds = 0.2 + random.Random(self.block).uniform(-0.08, 0.08)
        super().make(*args, **options)


@contextmanager
def page_of(played: Playable) -> Iterator[tuple[Any, Session, Server]]:
    """A page on which a session plays this world, in a Chromium of its own."""
    from playwright.sync_api import sync_playwright

    server = Server("127.0.0.1", 0)
    session = Session(played, server.hub.listen, limits=FOREVER)
    server.hub.session = session
    thread = threading.Thread(target=session.run)
    thread.start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 680})
        page.goto(server.url)
        page.wait_for_function("window.player?.connected")
        try:
            yield page, session, server
        finally:
            browser.close()
            session.stop()
            thread.join()
            server.stop()


def begin(page: Any) -> None:
    """Click into the picture and wait until it moves."""
    page.locator(".mgp-stage").click()
    page.wait_for_function("player.playing && player.state.blocks > 1")


def transport(seconds: float) -> dict[str, Any]:
    """From the first frame handed over to the acknowledgement of the last one, painted; milliseconds."""
    began: dict[int, float] = {}
    taken: dict[int, float] = {}
    with page_of(Scenery()) as (page, session, server):
        page.evaluate(PAINT_AT_ONCE)
        (client,) = server.hub.clients
        listen, acknowledge = session.listener, client.acknowledge

        def heard(event: Event) -> None:
            if isinstance(event, FramesMade) and event.part == 0:
                began[event.block] = time.perf_counter()
            listen(event)

        def acknowledged(batch: int) -> None:
            block, part = divmod(batch - 2, LATENTS_PER_BLOCK)  # the first batch is the still picture
            if part == LATENTS_PER_BLOCK - 1:
                taken[block] = time.perf_counter()
            acknowledge(batch)

        session.listener, client.acknowledge = heard, acknowledged  # type: ignore[method-assign]
        page.locator(".mgp-stage").click()
        page.wait_for_timeout(seconds * 1000)
    whole = [1000 * (taken[block] - began[block]) for block in taken if block]  # the first has 9 frames
    return {"size": [640, 352], "frames": FRAMES_PER_BLOCK, "encode_to_painted_ms": spread(whole)}


def latency(seconds: float) -> dict[str, Any]:
    """From a key event to a changed pixel, for blocks that take no time and ones that take 0.3 seconds."""
    results = {}
    for model in (0.0, 0.3):
        # the last change came with a block, so these moments are spread evenly over a block's time
        count = int(seconds / 2)
        waits = [500 + DISPLAY_MS * (i + 0.5) / count for i in range(count)]
        random.Random(1).shuffle(waits)
        with page_of(TestPattern(seconds=model)) as (page, _, _):
            begin(page)
            page.evaluate(KEY)
            values = []
            for wait in waits:
                page.wait_for_timeout(wait)
                values.append(page.evaluate(KEY))
        first = 1000 * model / LATENTS_PER_BLOCK  # the first frames of a block are there after a part of its time
        over = statistics.mean(values) - DISPLAY_MS / 2 - first
        results[f"{model:g}"] = {
            "key_to_pixel_ms": spread(values), "mean_ms": round(statistics.mean(values), 1),
            "generation_ms": round(first, 1), "over_half_a_block_and_generation_ms": round(over, 1),
        }  # fmt: skip
    return {"by_seconds_a_block": results}


def answer(seconds: float) -> dict[str, Any]:
    """From a key event to the moved picture of 640x352, drawn and on the screen, while blocks take 0.3 seconds."""
    values = []
    with page_of(TestPattern(seconds=0.3)) as (page, _, _):
        page.evaluate("() => { player.shows.preview = true; }")
        begin(page)
        for i in range(int(seconds / 2)):
            page.wait_for_timeout(500 + DISPLAY_MS * (i * 0.618 % 1))  # moments spread evenly over a block's time
            values.append(page.evaluate(ANSWER))
            page.evaluate(LET_GO)
            page.locator(".mgp-preview").wait_for(state="hidden")
    drawn, seen = zip(*values, strict=True)
    return {"size": [640, 352], "key_to_drawn_ms": spread(list(drawn)), "key_to_screen_ms": spread(list(seen))}


def pacing(seconds: float) -> dict[str, Any]:
    """Times between frames on screen under 80 ms of jitter; nominal is 40 ms."""
    with page_of(Unsteady()) as (page, _, _):
        page.evaluate(WATCH_PAINTS)
        begin(page)
        page.wait_for_timeout(seconds * 1000)
        paints = page.evaluate("paints")[FRAMES_PER_BLOCK:]
        dropped, shown = page.evaluate("[player.pictures.pacer.dropped, player.pictures.pacer.shown]")
    gaps = [b - a for a, b in itertools.pairwise(paints)]
    return {"jitter_ms": 80, "frame_interval_ms": spread(gaps), "shown": shown, "dropped": dropped}


def chromium() -> str | None:
    """The browser to measure with."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium")


def spread(values: list[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 1),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 1),
        "count": len(ordered),
    }


def about() -> dict[str, Any]:
    """The machine, its load and the date."""
    return {
        "date": date.today().isoformat(), "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(), "python": platform.python_version(),
        "load": [round(value, 1) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    from .playing import flood, soak

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["transport", "latency", "answer", "pacing", "flood", "soak"])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("-o", "--output", type=report_argument())
    args = parser.parse_args()
    measures = {
        "transport": lambda: transport(args.seconds), "latency": lambda: latency(args.seconds),
        "answer": lambda: answer(args.seconds), "pacing": lambda: pacing(args.seconds),
        "flood": lambda: flood.measure(args.seconds), "soak": lambda: soak.measure(args.minutes, chromium()),
    }  # fmt: skip
    before = about()
    result = measures[args.what]()
    result = {args.what: {**before, **result}}
    print(json.dumps(result, indent=1))
    if args.output:
        before = json.loads(args.output.read_text()) if args.output.exists() else {}
        write_text(args.output, json.dumps(before | result, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
