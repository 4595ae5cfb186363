"""The picture is changed in the player's page: it goes out as a file and comes back by a chooser, a drop or a paste."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from comfyui_matrixgame.media.images import read_pixels
from comfyui_matrixgame.play.changes.taken import encode_png
from comfyui_matrixgame.play.session import PAUSED

from .conftest import Stage
from .paintable import Paintable

SIZE = (96, 160)
OPEN = ".mgp-change"
GIVE = """([how, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], 'a.png', { type: 'image/png' }));
  const event = how === 'paste'
    ? new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })
    : new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true });
  document.querySelector('.mgp-change').dispatchEvent(event);
  return event.defaultPrevented;
}"""


@pytest.fixture
def painted(browser: Any) -> Iterator[Stage]:
    made = Stage(browser, Paintable(size=SIZE))
    yield made
    made.close()


def apply(page: Any) -> None:
    page.locator("[data-change=apply]:enabled").click()
    page.wait_for_selector(OPEN, state="detached")


def test_the_picture_goes_out_as_a_file_and_comes_back(painted: Stage, tmp_path: Path) -> None:
    page = painted.page()
    assert page.locator("[data-act=change]").is_disabled()  # nothing was made yet
    page.locator(".mgp-stage").click()
    page.wait_for_function("player.state.blocks > 0")
    page.evaluate("player.look.unlock()")  # as the browser's own Escape does
    page.locator("[data-act=change]").click()  # which pauses
    page.wait_for_selector(f"{OPEN} img[src]")
    assert painted.session.state == PAUSED
    with page.expect_download() as saved:
        page.locator("[data-change=save]").click()
    saved.value.save_as(tmp_path / "picture.png")
    still = painted.session.still
    assert np.array_equal(read_pixels(tmp_path / "picture.png"), still)  # to the bit, unlike what is shown
    page.set_input_files("[data-change=file]", tmp_path / "picture.png")
    apply(page)
    assert painted.session.take.changes == ()  # nothing differs
    assert "Nothing differs" in page.locator(".mg-live").inner_text()

    page.locator("[data-act=change]").click()
    page.wait_for_selector(f"{OPEN} img[src]")
    (tmp_path / "none.png").write_bytes(b"no picture")
    page.set_input_files("[data-change=file]", tmp_path / "none.png")
    page.wait_for_function("document.querySelector('.mgp-change p').textContent.includes('cannot read')")
    assert page.locator("[data-change=apply]").is_disabled()
    file = io.BytesIO()
    Image.fromarray(255 - still).resize((320, 192), Image.Resampling.NEAREST).save(file, "PNG")
    assert page.evaluate(GIVE, ["paste", list(file.getvalue())])
    page.wait_for_function("document.querySelector('.mgp-change p').textContent.includes('320x192, scaled')")
    page.locator(f"{OPEN} input[type=range]").fill("0.5")
    page.locator(f"{OPEN} select").select_option("start")
    apply(page)
    change = painted.session.take.changes[-1]
    assert (change.strength, change.seen) == (0.5, "start")
    assert abs(change.pixels.astype(int) - (255 - still)).mean() < 4
    page.wait_for_function(
        "(wanted) => Math.abs(player.pictures.canvas.getContext('2d').getImageData(80, 48, 1, 1).data[0] - wanted) < 9",
        arg=int(change.pixels[48, 80, 0]),
    )

    page.locator("[data-act=change]").click()
    page.wait_for_selector(f"{OPEN} img[src]")
    mask = np.zeros(SIZE)
    mask[:40, :70] = 1
    assert page.evaluate(GIVE, ["drop", list(encode_png(still // 2, mask))])
    page.get_by_text("stays where this is transparent").wait_for()
    if folder := os.environ.get("PLAY_SHOTS"):
        page.screenshot(path=f"{folder}/transparent.png")
    apply(page)
    assert np.array_equal(painted.session.still, np.where(mask[..., None], still // 2, change.pixels))
    page.locator("[data-act=change]").click()
    page.locator("[data-change=undo]:enabled").click()
    page.wait_for_function("player.state.changed === 1")
    page.get_by_text("change is taken back").wait_for()
    assert page.get_by_text("connect clip_vision").is_hidden()
    page.evaluate("Object.assign(player.welcome, { changes: ['start'] }, (player.options.graph = {}))")
    page.evaluate("player.change.open()")  # as in a graph where the network cannot be shown another
    page.get_by_text("connect clip_vision").wait_for()
    assert page.locator(f"{OPEN} select").is_hidden()
    page.keyboard.press("Escape")
    page.wait_for_selector(OPEN, state="detached")
    assert np.array_equal(painted.session.still, change.pixels)
    blocks = painted.session.take.blocks
    page.keyboard.press("w")  # plays on
    page.wait_for_function("(blocks) => player.state.state === 'playing' && player.state.blocks > blocks", arg=blocks)


def test_a_world_that_cannot_be_changed_has_no_such_button(stage: Stage) -> None:
    page = stage.playing()
    assert page.locator("[data-act=change]").is_hidden()
