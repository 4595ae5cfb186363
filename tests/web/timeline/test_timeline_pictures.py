"""The longest timelines with their pictures: playing stays smooth, memory is bounded, nothing is sent unseen."""

from __future__ import annotations

import io
import statistics
import time
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Route

from ..page import TimelinePage

FRAMES, BLOCKS = 1437, 120
CONNECT = """(() => {
  const blocks = Array.from({ length: 120 }, (_, k) => ({ state: 'cached', key: `k${k}` }));
  const stored = (doc) => ({ doc, project: 'p', first: 0, blocks });
  editor.load('w 1437f');
  editor.storedBlocks = stored(editor.doc);
  timeline.pictures.connect({ stored: async (doc) => stored(doc), frame: (p, key) => `/fake/frame/${key}`,
    frames: (p, key, height) => `/fake/frames/${key}/${height}` });
})()"""
PLAY = """new Promise((done) => { const rows = []; const gaps = []; let last = performance.now();
  const end = last + 3000;
  const look = () => { const now = performance.now(); gaps.push(now - last); last = now;
    if (timeline.monitor.last[0]?.loaded) rows.push(timeline.pictures.row);
    if (now < end) requestAnimationFrame(look); else done({ rows, gaps }); };
  requestAnimationFrame(look); })"""
COST = """(() => { const took = [];
  for (let k = 0; k < 60; k++) {
    editor.playhead = 60 + k;
    const begun = performance.now();
    timeline.draw();
    took.push(performance.now() - begun);
  }
  editor.playhead = null;
  return took; })()"""


def sheet(height: int, count: int) -> bytes:
    """Frames of full size, as the server sends them."""
    buffer = io.BytesIO()
    Image.effect_noise((height * 640 // 352, height * count), 20).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def asked(timeline: TimelinePage) -> Any:
    bodies = {240: sheet(240, 12), 480: sheet(352, 12), 0: sheet(120, 1)}
    urls: list[str] = []

    def answer(route: Route) -> None:
        urls.append(route.request.url)
        height = int(route.request.url.rpartition("/")[2]) if "/frames/" in route.request.url else 0
        route.fulfill(body=bodies[height], content_type="image/jpeg")

    timeline.page.route("**/fake/**", answer)
    yield urls
    timeline.js("timeline.pictures.set({ show: false, film: false, mode: 'one' })")
    timeline.page.unroute("**/fake/**")


def test_long_timelines_play_and_scrub_with_their_pictures(timeline: TimelinePage, asked: list[str]) -> None:
    timeline.js(CONNECT)
    timeline.js("timeline.pictures.set({ show: true, film: true })")
    timeline.page.wait_for_function(
        "() => window.node.widgets.find((w) => w.timeline).timeline.monitor.last[0]?.loaded", timeout=30_000
    )
    assert sum("/frames/" in url for url in asked) == 1
    assert sum("/frame/" in url for url in asked) <= 20, "far away each picture stands for several blocks"

    timeline.js("(editor.moveTo(600), timeline.play(false, false))")
    played = timeline.js(PLAY)
    timeline.js("timeline.transport.stop()")
    shown = sorted(set(played["rows"]))
    due = shown[-1] - shown[0] + 1
    drawn = min(due, len(played["gaps"]))  # a busy machine draws less often than there are frames
    assert len(shown) >= 0.6 * drawn, (len(shown), due, drawn)
    assert all(590 < row < 700 for row in shown)
    assert sum("/frames/" in url for url in asked) <= 12, "the block at the playhead and the next"

    took = timeline.js(COST)
    # what it costs does not grow with the length: ten times as many frames, and about the same
    timeline.js("(editor.load('w 141f'), editor.storedBlocks = { ...editor.storedBlocks, doc: editor.doc })")
    short = timeline.js(COST)
    quarter = [statistics.quantiles(each)[0] for each in (took, short)]  # the rest waited for other programs
    assert quarter[0] < 4 * quarter[1] + 4, (took, short)

    timeline.js(CONNECT)
    before = len(asked)
    for block in range(0, BLOCKS, 2):
        timeline.js("editor.moveTo(argument)", 12 * block)
        timeline.settle()
    deadline = time.monotonic() + 60
    while timeline.js("timeline.pictures.sheets.coming.size") and time.monotonic() < deadline:
        timeline.page.wait_for_timeout(50)
    bytes_kept, kept = timeline.js("[timeline.pictures.sheets.bytes, timeline.pictures.sheets.kept.size]")
    assert bytes_kept <= 96e6, kept
    assert sum("/frames/" in url for url in asked[before:]) <= BLOCKS / 2 + 2
