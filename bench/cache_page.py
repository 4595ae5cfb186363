"""How long it takes until a person sees an undo or a flip: the demo world in a real ComfyUI, its page in Chromium.

    python bench/cache_page.py [--blocks 50] [-o bench/results/NAME.json]

Three times are taken, in the page and by its clock, from the key press on: until the strip over the lanes is green
again, until the frame of a block stands in the strip's tooltip, and, with a run, from queueing until the run's first
preview has come. Nothing is made in any of them.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from comfyui_matrixgame.measure.reports import report_argument, write_text
from tests.host.browser import RENDERERS, load_workflow, open_page, until
from tests.host.graphs import WORKFLOWS, read_workflow
from tests.host.server import Host

REPEATS = 5
PREPARE = """(blocks) => {
  const find = (type) => window.app.graph.nodes.find((node) => node.type === type);
  const cache = window.LiteGraph.createNode('MatrixGameWorldCache');
  window.app.graph.add(cache);
  cache.widgets.find((w) => w.name === 'name').value = 'bench';
  cache.connect(1, find('MatrixGameRollOut'), 'cache');
  const timeline = (window.timeline = find('MatrixGameActionTimeline').widgets.find((w) => w.timeline).timeline);
  const { editor } = timeline;
  const tracks = { ...editor.doc.tracks, w: [[0, 12 * blocks - 3]], yaw: [[0, 0.1]] };
  editor.apply((doc) => { const { source, ...rest } = doc; return { ...rest, length: 12 * blocks - 3, tracks }; });
}"""
FORK = "(t) => { const { editor } = window.timeline; editor.moveTo(t, 's'); editor.fork(); editor.toggle(); }"
EDIT = "(t) => { const { editor } = window.timeline; editor.moveTo(t, 'a'); editor.toggle(); }"
KEY = """window.timeline.proxy.area.dispatchEvent(
  new KeyboardEvent('keydown', { key, ctrlKey, bubbles: true, cancelable: true }))"""
GREEN = "window.timeline.editor.blocks.every((state) => ['cached', 'resumable', 'pinned'].includes(state))"
LOOK = """async ([key, ctrlKey, block]) => {
  const frame = () => new Promise(requestAnimationFrame);
  const { canvas, editor } = window.timeline;
  const box = canvas.getBoundingClientRect();
  const scale = box.width / canvas.clientWidth;
  const point = { clientX: box.left + (editor.view.x(12 * block) + 1) * scale, clientY: box.top + 25 * scale };
  document.querySelector('.mg-hover')?.remove();
  canvas.dispatchEvent(new PointerEvent('pointerleave'));
  const began = performance.now();
  PRESS;
  while (!GREEN) await frame();
  const green = performance.now() - began;
  canvas.dispatchEvent(new PointerEvent('pointermove', point));
  const seen = () => document.querySelector('.mg-hover img');
  while (!seen()?.complete || !seen().naturalWidth) await frame();
  await frame();
  return [green, performance.now() - began];
}""".replace("PRESS", KEY).replace("GREEN", GREEN)
RUN = """async () => {
  const { api } = window.app;
  const began = performance.now();
  const first = (kinds) => new Promise((done) => {
    for (const kind of kinds) api.addEventListener(kind, () => done(performance.now() - began), { once: true });
  });
  const came = first(['b_preview', 'b_preview_with_metadata']);
  const ended = first(['execution_success']);
  await window.app.queuePrompt(0);
  return [await Promise.race([came, ended.then(() => null)]), await ended];
}"""


def main() -> None:
    """Measure in both renderers and print; write the figures where -o says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=50)
    parser.add_argument("-o", "--output", type=report_argument())
    args = parser.parse_args()
    figures: dict[str, Any] = {"blocks": args.blocks, "machine": platform.machine(), "repeats": REPEATS}
    with tempfile.TemporaryDirectory() as folder:
        host = Host(Path(folder))
        try:
            for renderer, vue in RENDERERS.items():
                figures[renderer] = measure(host, vue, args.blocks)
        finally:
            host.stop()
    print(json.dumps(figures, indent=1))
    if args.output:
        write_text(args.output, json.dumps(figures, indent=1) + "\n")


def measure(host: Host, vue: bool, blocks: int) -> dict[str, Any]:
    """Medians and extremes of all times, in seconds."""
    with open_page(host, vue) as page:
        load_workflow(page, read_workflow(next(path for path in WORKFLOWS if "First steps" in path.stem)))
        page.evaluate(PREPARE, blocks)
        page.evaluate(RUN)
        until(page, f"() => {GREEN}", 60)
        looks: dict[str, list[list[float]]] = {"undo": [], "flip": []}
        runs = {"undo": [], "flip": []}
        page.evaluate(FORK, 12 * blocks // 2)
        page.evaluate(RUN)
        until(page, f"() => {GREEN}", 60)
        for k in range(REPEATS):
            for what, key in (("flip", ["x", False]), ("undo", ["z", True])):
                if what == "undo":
                    page.evaluate(EDIT, 12 * (blocks - 3) + k)
                    page.evaluate(RUN)
                page.wait_for_timeout(500)  # a person takes longer
                looks[what].append(page.evaluate(LOOK, [*key, 3 + k + 20 * (what == "undo")]))
                runs[what].append(page.evaluate(RUN))
                until(
                    page,
                    f"() => document.querySelector('.mg-report').textContent === '0 blocks made, {blocks} reused'",
                    5,
                )
        assert page.errors == []  # type: ignore[attr-defined]
    return {
        what: {
            "strip_green_s": spread([each[0] for each in looks[what]]),
            "frame_of_a_block_s": spread([each[1] for each in looks[what]]),
            "queue_to_preview_s": spread([each[0] for each in runs[what] if each[0] is not None]),
            "queue_to_end_s": spread([each[1] for each in runs[what]]),
        }
        for what in looks
    }


def spread(times: list[float]) -> dict[str, float] | None:
    """Median, least and most of milliseconds, in seconds."""
    if not times:
        return None
    median = statistics.median(times)
    of_all = {"median": median, "least": min(times), "most": max(times)}
    return {name: round(value / 1000, 4) for name, value in of_all.items()}


if __name__ == "__main__":
    main()
