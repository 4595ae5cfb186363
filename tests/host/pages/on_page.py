"""What tests of ComfyUI's page do in it: a workflow with a cache that is run, and its timeline that is looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..browser import picture, until

QUEUE = "async () => { await window.app.queuePrompt(0) }"
QUEUE_EMPTY = """async () => {
  const queue = await (await fetch('/queue')).json();
  return !queue.queue_running.length && !queue.queue_pending.length;
}"""
CONNECT = """(project) => {
  const find = (type) => window.app.graph.nodes.find((node) => node.type === type);
  const cache = window.LiteGraph.createNode('MatrixGameWorldCache');
  cache.pos = [460, 620];
  window.app.graph.add(cache);
  cache.setSize([420, 420]);
  cache.widgets.find((w) => w.name === 'name').value = project;
  cache.connect(1, find('MatrixGameRollOut'), 'cache');
  const node = find('MatrixGameActionTimeline');
  window.timeline = node.widgets.find((w) => w.timeline).timeline;
  window.told = [];
  const tell = ({ detail }) => window.told.push([detail.block, detail.state]);
  window.app.api.addEventListener('matrixgame.strip', tell);
}"""
MOVE_TO = """(t) => { const { editor, proxy } = window.timeline; proxy.focus(); editor.moveTo(t, 'w');
  return document.activeElement === proxy.area; }"""
AWAY = "() => { window.app.graph.nodes.find((n) => n.type === 'MatrixGameWorldCache').pos = [460, 1200]; }"
SHOW = """([script, scale]) => { const { timeline, app } = window;
  timeline.editor.load(script); timeline.host.changed();
  const view = app.canvas.ds; view.scale = scale;
  const node = app.graph.nodes.find((each) => each.type === 'MatrixGameActionTimeline');
  view.offset = [80 / scale - node.pos[0], 110 / scale - node.pos[1]]; app.canvas.setDirty(true, true); }"""


def move_to(page: Any, t: int) -> None:
    """The cursor at a row of lane w, and the keyboard with the timeline: it can take it once the frontend shows it."""
    until(page, MOVE_TO, 30, t)


def shot(page: Any, name: str) -> None:
    """A screenshot, where SCREENSHOT_FOLDER says that somebody looks at them."""
    if folder := os.environ.get("SCREENSHOT_FOLDER"):
        picture(page, Path(folder) / f"{name}_{page.renderer}.png")
