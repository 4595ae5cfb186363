"""What tests of ComfyUI's page share: a workflow with a cache, and steps on its timeline."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from ..browser import SETTLED, VIEW, picture, until

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
    """Put the cursor at a row of lane w, and give the timeline the keyboard once the frontend shows it."""
    until(page, MOVE_TO, 30, t)


def shot(page: Any, name: str) -> None:
    """Write a screenshot, where SCREENSHOT_FOLDER names a folder for them."""
    if folder := os.environ.get("SCREENSHOT_FOLDER"):
        picture(page, Path(folder) / f"{name}_{page.renderer}.png")


PLAYER = "app.graph._nodes.find((n) => n.comfyClass === 'MatrixGameLivePlay').matrixGamePlay.player"


def show_node(page: Page, kind: str) -> None:
    """Zoom to one node."""
    box = page.evaluate(
        "(kind) => { const n = app.graph._nodes.find((n) => n.comfyClass === kind); return [...n.pos, ...n.size]; }",
        kind,
    )
    page.evaluate(VIEW, [box[0] - 15, box[1] - 60, box[2] + 30, box[3] + 90])
    page.evaluate(SETTLED)


SHOWN = """(t) => { const { pictures, monitor } = window.timeline; return pictures.row === t
  && !!monitor.last[0]?.loaded && document.querySelector('.mg-picture-note').textContent === ''; }"""


SHRINK = """(size) => { for (const node of window.app.graph.nodes)
  if (node.type === 'MatrixGameStartWorld')
    for (const widget of node.widgets) if (widget.name in size) widget.value = size[widget.name]; }"""


ADD_GALLERY = """() => {
  const { graph } = window.app;
  const find = (type) => graph.nodes.find((node) => node.type === type);
  const out = find('MatrixGameRollOut');
  const add = (type, pos, size) => {
    const node = window.LiteGraph.createNode(type);
    node.pos = pos;
    graph.add(node);
    node.setSize(size);
    return node;
  };
  const timeline = find('MatrixGameActionTimeline');
  const gallery = add('MatrixGameSeedGallery', [timeline.pos[0] + 640, timeline.pos[1]], [420, 520]);
  find('MatrixGameStartWorld').connect(0, gallery, 'world');
  timeline.connect(0, gallery, 'actions');
  find('MatrixGameWorldCache').connect(1, gallery, 'cache');
  gallery.widgets.find((w) => w.name === 'count').value = 3;
  const grid = add('MatrixGameGridVideo', [out.pos[0], out.pos[1] + 900], [300, 200]);
  for (const name of ['video_1', 'video_2', 'video_3']) out.connect(1, grid, name);
  grid.widgets.find((w) => w.name === 'names').value = 'first\\nsecond';
  grid.connect(0, find('SaveVideo'), 'video');
  window.gallery = gallery;
}"""


CAPTURE = "() => window.app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState()"


UNDO = "async () => { await window.app.extensionManager.workflow.activeWorkflow.changeTracker.undo(); }"


UNDOS = "() => window.app.extensionManager.workflow.activeWorkflow.changeTracker.undoQueue.length"
