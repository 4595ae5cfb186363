"""A variant is one file: 9 keys that nobody knew are put beside a running ComfyUI, chosen, edited, rendered, played."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.actions.drawing.overlay import draw_overlay
from comfyui_matrixgame.variants import VARIANTS, read_file
from tests.web.page import FIND, TimelinePage

from ..browser import RENDERERS, SETTLED, open_page
from ..conftest import make_base
from ..graphs import Graph
from ..models import generator_tensors, save
from ..pages.on_page import PLAYER, show_node
from ..runs import save_images, saved_images
from ..server import Host
from ..worlds import add_models, add_world

FILE = Path(__file__).parents[2] / "variants" / "files" / "spacewalk.json"
WEIGHTS = "spacewalk.safetensors"
TIMELINE = "MatrixGameActionTimeline"
CHOICES = "() => window.node.widgets.find((w) => w.name === 'variant').options.values"
REFRESH = "async () => { await app.refreshComboInNodes(); }"
RUN = """() => { window.ended = false;
  app.api.addEventListener('execution_success', () => { window.ended = true; }, { once: true });
  app.queuePrompt(0); }"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A ComfyUI of its own: what is added here stays known to it."""
    host = Host(make_base(tmp_path_factory.mktemp("new_variant")))
    yield host
    host.stop()


def add_the_variant(host: Host) -> None:
    """The description and its weights, into the models folder of a host that runs."""
    models = host.base / "models"
    save(
        models / "diffusion_models" / WEIGHTS, {f"model.{k}": v for k, v in generator_tensors(read_file(FILE)).items()}
    )
    (models / "matrixgame_variants").mkdir(exist_ok=True)
    shutil.copy(FILE, models / "matrixgame_variants")


def whole_graph() -> Graph:
    """Timeline and world to rolled-out frames with the overlay on them, and a session of the same world."""
    graph = Graph()
    world = add_world(graph, *add_models(graph, WEIGHTS), seed=5, width=320, height=192)
    actions = graph.add(TIMELINE, "actions", variant="spacewalk", script="thrust 12f\n")
    rolled = graph.add("MatrixGameRollOut", world=world, actions=actions, images="always")
    save_images(graph, rolled[0], "plain")
    drawn = graph.add("MatrixGameActionOverlay", images=rolled[0], actions=actions, style="keys", position="bottom",
                      scale=1.5, opacity=1.0, below=False, offset=0, numbers=True, counter=False)  # fmt: skip
    save_images(graph, drawn, "drawn")
    return graph


def shot(page: Any, name: str) -> None:
    """Keep a picture of the page, where VARIANT_SHOTS names a folder."""
    if folder := os.environ.get("VARIANT_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


def test_a_ninth_key_needs_nothing_but_its_file(
    browser: Any, running: Host, renderer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = read_file(FILE)
    monkeypatch.setitem(VARIANTS, variant.name, variant)  # for what this process says of it
    with open_page(browser, running, RENDERERS[renderer]) as page:
        timeline = TimelinePage(page, None, running.url, node=TIMELINE)
        timeline.add()
        if not (running.base / "models" / "matrixgame_variants").exists():
            assert page.evaluate(CHOICES) == ["universal", "gta_drive", "templerun"]
            add_the_variant(running)
            page.evaluate(REFRESH)  # the page's own key R
        assert page.evaluate(CHOICES) == ["universal", "gta_drive", "templerun", "spacewalk"]
        edit(timeline, renderer)
        render_and_overlay(timeline, running, renderer)
        play(page, renderer)
        assert not page.errors


def edit(timeline: TimelinePage, name: str) -> None:
    """Lanes, colours, conversion, digits and the script language, in the editor."""
    timeline.drag((10, "a"), (20, "a"))
    timeline.set_variant("spacewalk")
    timeline.page.locator(".mg-banner button").first.click()  # what it was in the other variant, w, would be lost
    timeline.settle()
    assert timeline.value["variant"] == "spacewalk"
    assert timeline.tracks["drift_left"] == [[10, 11]]
    lanes = timeline.js("editor.view.rows.map((row) => editor.nameOf(row.id))")
    assert lanes == [
        "thrust",
        "retreat",
        "drift L",
        "drift R",
        "roll L",
        "roll R",
        "rise",
        "dive",
        "grab",
        "yaw",
        "pitch",
    ]
    timeline.drag((30, "grab"), (40, "grab"))
    timeline.focus()
    timeline.js("editor.moveTo(60, 'grab')")
    timeline.press("9")
    assert timeline.tracks["grab"][-1] == [60, 1]
    timeline.drag((12, "yaw"), (36, "yaw"), steps=4, shares=(0.2, 0.2))
    assert 0.1 < max(abs(entry[1]) for entry in timeline.tracks["yaw"]) <= 0.4
    colours = {lane: timeline.colour(35, lane) for lane in ("grab", "dive")}
    assert colours["grab"] != colours["dive"]
    assert max(colours["grab"]) == colours["grab"][2]  # its hue is blue
    shot(timeline.page, f"timeline_{name}")
    timeline.script_tab()
    timeline.page.locator(".mg-script textarea").fill("grab+yaw(0.5) 12f\nrise 2b")
    timeline.settle()
    assert timeline.tracks["rise"] == [[12, 24]]
    assert "beyond ±0.4" in timeline.page.locator(".mg-note").inner_text()


def render_and_overlay(timeline: TimelinePage, host: Host, name: str) -> None:
    """What the node sends is rendered, and its overlay is the engine's."""
    page = timeline.page
    page.evaluate("(prompt) => app.loadApiJson(prompt, 'spacewalk')", whole_graph().prompt)
    page.evaluate(SETTLED)
    show_node(page, TIMELINE)
    page.evaluate("(type) => { window.node = app.graph._nodes.find((n) => n.comfyClass === type); }", TIMELINE)
    timeline.js("(timeline.showTab('lanes'), editor.moveTo(14, 'grab'), editor.toggle(), editor.moveTo(15, 'rise'), "
                "editor.toggle())")  # fmt: skip
    document = Timeline.from_text(page.evaluate(f"{FIND}.value"))
    for path in host.output_files("*.png"):
        path.unlink()
    page.evaluate(RUN)
    page.wait_for_function("() => window.ended", timeout=120_000)
    plain, drawn = saved_images(host, "plain"), saved_images(host, "drawn")
    track = document.track()
    assert track.keyboard[:, 8].sum() == 1
    assert plain.shape[0] == len(track)
    assert np.array_equal(drawn, draw_overlay(plain, track, position="bottom", scale=1.5, numbers=True))
    assert not np.array_equal(drawn[14], draw_overlay(plain, track.padded(len(track)), "none")[14])
    if folder := os.environ.get("VARIANT_SHOTS"):
        shutil.copy(host.output_files("drawn_*.png")[14], f"{folder}/overlay_{name}.png")


def play(page: Any, name: str) -> None:
    """A session in the node: the ninth key is held, its cap lights up, and the take has it."""
    graph = Graph()
    world = add_world(graph, *add_models(graph, WEIGHTS), seed=6)
    graph.add("MatrixGameLivePlay", "play", world=world, mode="responsive", images="never", blocks=341, idle=60)
    page.evaluate("(prompt) => app.loadApiJson(prompt, 'live')", graph.prompt)
    page.evaluate(SETTLED)
    show_node(page, "MatrixGameLivePlay")
    page.evaluate("() => { app.queuePrompt(0); }")
    page.wait_for_function(f"{PLAYER}?.state.state === 'ready'", timeout=120_000)
    assert page.locator(".mgp-cap").all_inner_texts() == ["W", "S", "A", "D", "Q", "E", "SPACE", "C", "G"]
    page.locator(".mgp-stage").click()
    page.keyboard.down("g")
    page.locator(".mgp-cap.mgp-made[data-lane=grab]").wait_for(timeout=60_000)
    shot(page, f"player_{name}")
    page.keyboard.up("g")
    page.keyboard.press("Escape")
    page.locator("[data-act=stop]").click()
    kept = "app.graph._nodes.find((n) => n.comfyClass === 'MatrixGameLivePlay').properties.matrixgame_take"
    page.wait_for_function(f"!!{kept}", timeout=60_000)
    take = page.evaluate(kept)
    assert take["variant"] == "spacewalk"
    assert take["tracks"]["grab"]
