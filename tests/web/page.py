"""A page of the frontend with one timeline node, and hands to work it with."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Page

from .stub import Stub

READY = "!!(window.app?.extensionManager && window.app.canvas && window.LiteGraph?.registered_node_types?.%s)"
ADD = """([type, scale]) => {
  app.graph.clear();
  const node = LiteGraph.createNode(type);
  node.pos = [60, 90];
  app.graph.add(node);
  app.canvas.ds.reset();
  node.setSize([760, node.size[1]]);
  app.canvas.setDirty(true, true);
  window.node = node;
}"""
SAVE = "() => JSON.stringify(app.graph.serialize())"
LOAD = """async (text) => {
  await app.loadGraphData(JSON.parse(text));
  window.node = app.graph._nodes.find((n) => n.widgets?.some((w) => w.timeline));
}"""
STEADY = """() => {
  const timeline = window.node?.widgets?.find((w) => w.timeline)?.timeline;
  const box = timeline?.canvas.isConnected && timeline.canvas.getBoundingClientRect();
  if (!box?.width || timeline.editor.view.width !== timeline.canvas.clientWidth) return false;
  const place = [box.left, box.top, box.width, box.height].join();
  if (window.steady?.place !== place) window.steady = { place, frames: 0 };
  return ++window.steady.frames > 12;
}"""
FIND = "(() => window.node.widgets.find((w) => w.timeline))()"


class TimelinePage:
    """The page, and the timeline of the node that `add` made."""

    def __init__(self, page: Page, stub: Stub | None, url: str, node: str = "TimelineProbe") -> None:
        self.page, self.stub, self.url, self.node = page, stub, url, node
        self.errors: list[str] = []
        self._touches: Any = None
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self) -> TimelinePage:
        self.page.goto(self.url)
        self.page.wait_for_function(READY % self.node, timeout=90_000)
        self.page.wait_for_timeout(800)
        self.add()
        return self

    def add(self) -> None:
        """An empty graph with one new node."""
        self.page.evaluate(ADD, [self.node, 1])
        self.page.wait_for_selector(".mg-stage canvas")
        self.page.wait_for_function(f"{FIND}?.timeline.editor.view.width > 600")
        self.settle()

    def settle(self) -> None:
        """Two frames: what was asked for is drawn."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def steady(self) -> None:
        """The timeline is laid out, and has stayed where it is for a while."""
        self.page.evaluate("() => (window.steady = null)")
        self.page.wait_for_function(STEADY)

    # ---- looking

    def js(self, expression: str, argument: Any = None) -> Any:
        """`expression` with `widget`, `timeline` and `editor` of the node."""
        head = f"const widget = {FIND}; const timeline = widget?.timeline; const editor = timeline?.editor;"
        return self.page.evaluate(f"(argument) => {{ {head} return ({expression}); }}", argument)

    @property
    def value(self) -> dict[str, Any]:
        return json.loads(self.js("widget.value"))

    @property
    def tracks(self) -> dict[str, Any]:
        return {name: lane for name, lane in self.value["tracks"].items() if lane}

    @property
    def live(self) -> str:
        return self.page.locator(".mg-live").inner_text()

    def place(self, t: float, lane: str = "", share: float = 0.5) -> tuple[float, float]:
        """Where row `t` of a lane (or an area: ruler, strip, markers) is on the page."""
        x, y = self.js(
            "[editor.view.x(argument[0] + 0.5), "
            "({ruler: 6, strip: 29, markers: 46})[argument[1]] ?? "
            "((r) => r.top + r.height * argument[2])(editor.view.rows.find((r) => r.id === argument[1]))]",
            [t, lane, share],
        )
        left, top, scale = self.js(
            "((b) => [b.left, b.top, b.width / timeline.canvas.clientWidth])(timeline.canvas.getBoundingClientRect())"
        )
        return left + x * scale, top + y * scale

    # ---- doing

    def click(self, t: float, lane: str, share: float = 0.5, **options: Any) -> None:
        self.page.mouse.click(*self.place(t, lane, share), **options)
        self.settle()

    def double(self, t: float, lane: str, share: float = 0.5) -> None:
        self.page.mouse.dblclick(*self.place(t, lane, share))
        self.settle()

    def drag(
        self, start: tuple[float, str], stop: tuple[float, str], steps: int = 3, shares: Sequence[float] = (0.5, 0.5)
    ) -> None:
        self.page.mouse.move(*self.place(*start, shares[0]))
        self.page.mouse.down()
        self.page.mouse.move(*self.place(*stop, shares[1]), steps=steps)
        self.page.mouse.up()
        self.settle()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def focus(self) -> None:
        """The keyboard in the lanes, without an edit."""
        self.page.mouse.click(*self.place(0, "ruler"))
        self.settle()

    def touch(self, kind: str, *points: tuple[float, float]) -> None:
        """A touch event (touchStart, touchMove, touchEnd) with all fingers that are down."""
        self._touches = self._touches or self.page.context.new_cdp_session(self.page)
        fingers = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        self._touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    def script_tab(self) -> None:
        popover = self.page.locator(".workflow-popover-fade")  # the host's, where the mouse rests on a workflow's tab
        if popover.count():
            self.page.mouse.move(5, 500)
            popover.first.wait_for(state="detached")
        self.page.locator(".mg-timeline [data-tab=script]").click()
        self.settle()

    def pixels(self) -> str:
        """The canvas as a data URL."""
        self.page.mouse.move(5, 5)
        self.js("(timeline.proxy.blur(), timeline.draw())")
        return self.js("timeline.canvas.toDataURL()")

    def colour(self, t: float, lane: str, share: float = 0.5) -> tuple[int, ...]:
        """The colour of the canvas at a place of a lane."""
        return self.pixel(self.js("editor.view.x(argument + 0.5)", t), lane, share)

    def pixel(self, x: float, lane: str, share: float = 0.5) -> tuple[int, ...]:
        """The colour of the canvas, `x` canvas pixels from its left, in a lane."""
        found = self.js(
            "(() => { timeline.draw(); const row = editor.view.rows.find((r) => r.id === argument[1]);"
            "const { canvas } = timeline; const k = canvas.width / canvas.clientWidth;"
            "const y = row.top + row.height * argument[2];"
            "return [...canvas.getContext('2d').getImageData(argument[0] * k, y * k, 1, 1).data]; })()",
            [x, lane, share],
        )
        return tuple(found[:3])

    def nodes(self) -> int:
        return self.page.evaluate("() => app.graph._nodes.length")

    def set_variant(self, name: str) -> None:
        self.page.evaluate(
            "(name) => { const w = window.node.widgets.find((w) => w.name === 'variant');"
            "w.value = name; w.callback?.(name, app.canvas, window.node); }",
            name,
        )
        self.settle()


def relative_luminance(colour: Sequence[int]) -> float:
    """WCAG 2 relative luminance of 8-bit RGB."""
    parts = [c / 255 for c in colour[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Sequence[int], other: Sequence[int]) -> float:
    """WCAG 2 contrast ratio."""
    high, low = sorted((relative_luminance(one), relative_luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def rgb(css: str) -> tuple[int, ...]:
    """`rgb(1, 2, 3)` as numbers."""
    return tuple(int(float(n)) for n in re.findall(r"[\d.]+", css)[:3])
