"""Live play, measured in a browser: transport, pacing, and the way from a key to a changed pixel.

    python -m bench.play [--seconds 20] [--model SECONDS] [-o FILE.json]

Uses the test pattern at 640x352, which takes --model seconds a block (0: nothing), so that everything but the model is
measured. Needs Chromium and playwright. A machine with other work on it measures that work: `load` is in the result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import threading
from typing import Any

from comfyui_matrixgame.play.pattern import CELL, TestPattern
from comfyui_matrixgame.play.session import Limits, Session
from comfyui_matrixgame.play.standalone import Server

WATCH = """() => {
  window.seen = { paints: [], batches: [], keys: [] };
  const { paint, receive } = player;
  player.paint = (bitmap) => { paint.call(player, bitmap); seen.paints.push(performance.now()); };
  player.receive = (head, blobs) => {
    const came = performance.now();
    receive.call(player, head, blobs);
    player.decoding.then(() => seen.batches.push(performance.now() - came));
  };
}"""
KEY = f"""() => new Promise((done) => {{
  const began = performance.now();
  const context = player.canvas.getContext('2d', {{ willReadFrequently: true }});
  const lit = () => context.getImageData({CELL // 2}, player.canvas.height - {CELL // 2}, 1, 1).data[0] > 128;
  const before = lit();
  const code = {{ code: 'KeyW', key: 'w', bubbles: true }};
  player.proxy.area.dispatchEvent(new KeyboardEvent(before ? 'keyup' : 'keydown', code));
  const look = () => (lit() !== before ? done(performance.now() - began) : requestAnimationFrame(look));
  look();
}})"""


def measure(seconds: float, model: float) -> dict[str, Any]:
    """Play for so long, pressing and letting go of W once a second."""
    from playwright.sync_api import sync_playwright

    server = Server("127.0.0.1", 0)
    session = Session(TestPattern(seconds=model), server.hub.listen, limits=Limits(1e9, 1e9))
    server.hub.session = session
    thread = threading.Thread(target=session.run)
    thread.start()
    transports: list[float] = []
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 680})
        page.goto(server.url)
        page.wait_for_function("window.player?.connected")
        page.evaluate(WATCH)
        page.locator(".mgp-stage").click()
        page.wait_for_function("player.playing && player.state.blocks > 1")
        latencies = []
        for _ in range(int(seconds)):
            page.wait_for_timeout(700)
            latencies.append(page.evaluate(KEY))
            transports.append(server.hub.clients[0].transport * 1000)
        seen = page.evaluate("seen")
        dropped, shown = page.evaluate("[player.pacer.dropped, player.pacer.shown]")
        browser.close()
    session.stop()
    thread.join()
    server.stop()
    gaps = [b - a for a, b in zip(seen["paints"], seen["paints"][1:], strict=False)]
    return {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "model_seconds": model,
        "size": [640, 352],
        "transport_ms": spread(transports),
        "decoding_in_page_ms": spread(seen["batches"]),
        "frame_interval_ms": spread(gaps),
        "key_to_pixel_ms": spread(latencies),
        "frames_shown": shown,
        "frames_dropped": dropped,
    }


def spread(values: list[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 1),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 1),
        "count": len(ordered),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--model", type=float, default=0.0, help="seconds that a block takes")
    parser.add_argument("-o", "--output")
    args = parser.parse_args()
    text = json.dumps(measure(args.seconds, args.model), indent=1)
    print(text)
    if args.output:
        with open(args.output, "w", encoding="utf-8") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
