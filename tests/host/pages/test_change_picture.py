"""The picture is changed in the middle of Live Play in a real ComfyUI: it goes into the graph, and an image of the
graph comes back."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import pytest

from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.media.images import read_pixels
from comfyui_matrixgame.play.changes.taken import changes_of

from ..browser import RENDERERS, SETTLED, open_page
from ..live import demo_graph
from ..server import Host
from .on_page import PLAYER, show_node

GREY = 0x406080
NODE = "app.graph._nodes.find((n) => n.comfyClass === '{}')"
PREVIEW = NODE.format("PreviewImage")
LOADER = NODE.format("LoadImage")
QUEUE = "(mode) => { " + NODE.format("MatrixGameLivePlay") + ".mode = mode; app.queuePrompt(0); }"
RUN, MUTE = 0, 2  # modes of a node
WATCH = "() => { window.made = []; app.api.addEventListener('executed', ({ detail }) => made.push(detail)); }"


@pytest.mark.alternates
def test_the_picture_goes_into_the_graph_and_an_image_of_it_comes_back(
    browser: Any, page_host: Host, renderer: str
) -> None:
    graph = demo_graph()
    image = graph.add("EmptyImage", width=80, height=48, batch_size=1, color=GREY)
    graph.add("PreviewImage", images=image)
    takes = page_host.base / "output" / "matrixgame" / "takes"
    before = set(takes.glob("*.json"))
    with open_page(browser, page_host, RENDERERS[renderer]) as page:
        page.evaluate("(prompt) => app.loadApiJson(prompt, 'change')", graph.prompt)
        page.evaluate(SETTLED)
        show_node(page, "MatrixGameLivePlay")
        page.evaluate(WATCH)
        page.evaluate(QUEUE, MUTE)
        page.wait_for_function("made.some((each) => each.output?.images?.length)", timeout=120_000)
        page.evaluate(QUEUE, RUN)
        page.wait_for_function(f"{PLAYER}?.connected && {PLAYER}.state.state === 'ready'", timeout=120_000)
        page.locator(".mgp-stage").click()
        page.wait_for_function(f"{PLAYER}.state.blocks > 0", timeout=60_000)
        page.evaluate(f"{PLAYER}.pause()")
        page.locator("[data-act=change]:enabled").click()
        page.wait_for_selector(".mgp-change img[src]", timeout=60_000)
        page.locator("[data-change=send]").click()
        page.wait_for_function(f"{LOADER}?.widgets[0].value.startsWith('matrixgame_')", timeout=60_000)
        assert "holds the queue" in page.locator(".mgp-change p").inner_text()
        sent = page_host.base / "input" / page.evaluate(f"{LOADER}.widgets[0].value")
        now = page.evaluate(f"async () => [...new Uint8Array(await {PLAYER}.change.now.arrayBuffer())]")
        assert sent.read_bytes() == bytes(now)
        assert read_pixels(sent).shape == (48, 80, 3)
        page.locator("[data-change=fetch]").click()
        page.locator("[data-change=apply]:enabled").wait_for(timeout=60_000)
        if folder := os.environ.get("PLAY_SHOTS"):
            page.screenshot(path=f"{folder}/change_{renderer}.png")
        page.locator("[data-change=apply]").click()
        page.wait_for_function(f"{PLAYER}.state.changed === 1", timeout=60_000)
        blocks = page.evaluate(f"{PLAYER}.state.blocks")
        page.evaluate(f"{PLAYER}.play()")  # and on it goes
        page.wait_for_function(f"(blocks) => {PLAYER}.state.blocks > blocks", arg=blocks, timeout=60_000)
        page.evaluate(f"{PLAYER}.ask('stop')")
        kept = NODE.format("MatrixGameLivePlay") + ".properties.matrixgame_take"
        page.wait_for_function(f"{kept}?.take", timeout=60_000)
        said = page.evaluate(f"{kept}.take")
        assert len(said["changes"]) == 1
        assert "pictures" not in said  # they are not for a workflow
        page.wait_for_function("app.ui.lastQueueSize === 0 || app.ui.lastQueueSize === undefined", timeout=60_000)
        assert not page.errors  # type: ignore[attr-defined]
    (written,) = set(takes.glob("*.json")) - before
    (change,) = changes_of(Timeline.from_json(json.loads(written.read_text())))
    assert (change.strength, change.seen) == (1.0, "changed")
    assert np.array_equal(np.unique(change.pixels.reshape(-1, 3), axis=0), [[0x40, 0x60, 0x80]])
