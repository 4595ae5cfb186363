"""The picture is changed in the middle of Live Play in a real ComfyUI: it goes into the graph, and an image of the
graph comes back; and the network is shown it through core's image encoder."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.media.images import read_pixels
from comfyui_matrixgame.play.changes.taken import changes_of
from comfyui_matrixgame.play.programs.client import Client
from comfyui_matrixgame.terminal.main import main

from ..browser import RENDERERS, SETTLED, open_page
from ..graphs import Graph
from ..live import Events, demo_graph
from ..models import CLIP, UNIVERSAL, VAE
from ..runs import save_images, saved_images, succeed
from ..server import Host
from ..worlds import add_models, add_world
from .on_page import PLAYER, show_node

GREY = 0x406080
LEFT = 30  # columns where it counts
NODE = "app.graph._nodes.find((n) => n.comfyClass === '{}')"
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
    nowhere, here = (graph.add("SolidMask", value=v, width=w, height=48) for v, w in ((0.0, 80), (1.0, LEFT)))
    mask = graph.add("MaskComposite", destination=nowhere, source=here, x=0, y=0, operation="add")
    masked = graph.add("JoinImageWithAlpha", image=image, alpha=graph.add("InvertMask", mask=mask))
    graph.add("PreviewImage", images=masked)
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
    assert (change.pixels[:, :LEFT] == (0x40, 0x60, 0x80)).all()
    assert np.array_equal(change.pixels[:, LEFT:], read_pixels(sent)[:, LEFT:])


async def change_and_go_on(host: Host, token: str) -> None:
    """The first player is refused, and the second goes on in the first one's world from another picture."""

    def play() -> None:
        with Client(f"{host.url}/#{token}") as client:
            if not client.first_block:
                client.play("w+right(0.1) 8f")
                with pytest.raises(MatrixGameError, match=r"no image tower .* connect clip_vision to Live Play, or"):
                    client.change(255 - client.picture, seen="changed")
                client.save(host.base / "refused.json")
            else:
                client.change(255 - client.picture)
                client.play("w 12f")
                client.save(host.base / "shown.json")
            client.stop()

    await asyncio.to_thread(play)


def test_the_network_is_shown_the_picture_through_an_image_encoder_and_a_render_shows_it_again(
    host: Host, tmp_path: Path
) -> None:
    graph = Graph()
    world = add_world(graph, *add_models(graph), seed=3)
    options = {"mode": "responsive", "images": "always", "blocks": 9, "idle": 600}
    first = graph.add("MatrixGameLivePlay", "first", world=world, **options)
    second = graph.add(
        "MatrixGameLivePlay", "second", world=first[2],
        clip_vision=graph.add("CLIPVisionLoader", clip_name=CLIP), **options,
    )  # fmt: skip
    for name, played in (("first", first), ("second", second)):
        save_images(graph, played[0], f"seen_{name}")
        graph.add("MatrixGameSaveWorld", world=played[2], filename_prefix=f"seen_{name}")
    succeed(host, graph, on_event=Events(host, change_and_go_on))
    assert changes_of(Timeline.from_text((host.base / "refused.json").read_text())) == ()
    (change,) = changes_of(Timeline.from_text((host.base / "shown.json").read_text()))
    assert (change.seen, change.row) == ("changed", 0)
    assert np.array_equal(change.pixels, 255 - saved_images(host, "seen_first")[-1])

    files, still, made = host.base / "models", tmp_path / "last.png", tmp_path / "made.safetensors"
    first_world, second_world = (next(host.base.rglob(f"seen_{name}*.safetensors")) for name in ("first", "second"))
    said = [
        "render", "--from-world", first_world, "--world", made, "--blocks", 1,
        "--generator", files / "diffusion_models" / UNIVERSAL, "--vae", files / "vae" / VAE, "--dtype", "float32",
        "--clip", files / "clip_vision" / CLIP, "--actions", host.base / "shown.json", "--last-frame", still,
        "-o", tmp_path / "made.mp4",
    ]  # fmt: skip
    assert main(list(map(str, said))) == 0
    assert np.array_equal(read_pixels(still), saved_images(host, "seen_second")[-1])
    assert made.read_bytes() == second_world.read_bytes()
