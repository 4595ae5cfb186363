"""What answers an input before the block is made: the next picture of the screen shows it, and nothing else changes."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from comfyui_matrixgame.play.pattern import TestPattern

from .conftest import SLOW, Stage

KEYS = ("w", None, "ArrowRight", None)  # pressed while a block is made
BLOCKS = len(KEYS)
# what the preview shows is looked at after each picture of the screen from the press on
WATCH = """() => {
  const shown = () => {
    const { canvas } = player.preview;
    if (canvas.hidden) return '';
    return canvas.toDataURL();
  };
  window.answers = [];
  addEventListener('keydown', (event) => {
    const before = shown();
    let pictures = 0;
    const look = () => {
      pictures += 1;
      const now = shown();
      if (now !== before) answers.push([event.key, pictures, performance.now() - event.timeStamp]);
      else if (pictures < 30) requestAnimationFrame(look);
      else answers.push([event.key, null, null]);
    };
    requestAnimationFrame(look);
  }, { capture: true });
  window.frames = {};
  const { paint } = player.pictures;
  player.pictures.paint = function (bitmap) {
    paint.call(this, bitmap);
    setTimeout(() => { frames[player.shownFrame] = this.canvas.toDataURL(); });
  };
}"""


class Stepped(TestPattern):
    """Makes a block only when it is told to; its player then holds what they will hold in it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.asked = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def make(self, *args: Any, **options: Any) -> Any:
        self.asked.release()
        assert self.go.acquire(timeout=60)
        return super().make(*args, **options)


def played(browser: Any, **options: Any) -> tuple[list[Any], dict[str, str], Any]:
    """Press W while the first block is made, and an arrow key beside it two blocks later: what answered, the frames
    that were shown, and the take."""
    world = Stepped(size=(96, 160))
    stage = Stage(browser, world)
    try:
        page = stage.page(**options)
        page.locator(".mgp-stage").click()
        page.wait_for_function("player.playing")
        assert world.asked.acquire(timeout=60)
        page.evaluate(WATCH)
        for block, key in enumerate(KEYS):
            if key:
                page.locator(".mgp-preview").wait_for(state="hidden")  # what was asked before has its frames
                page.keyboard.down(key)
                page.wait_for_function(f"answers.length === {block // 2 + 1}", timeout=SLOW)
            world.go.release()
            page.wait_for_function(f"player.shownFrame === {12 * block + 8}")
            assert world.asked.acquire(timeout=60)
        page.keyboard.press("Escape")
        page.wait_for_function(f"frames[{12 * BLOCKS - 4}]")
        world.go.release()
        page.wait_for_function("player.state.state === 'paused'")
        page.locator(".mgp-preview").wait_for(state="hidden")  # nothing is played now
        track = stage.session.take.track()
        assert track is not None
        return page.evaluate("answers.slice(0, 2)"), page.evaluate("frames"), track.slice(0, 8 + 12 * (BLOCKS - 1))
    finally:
        for _ in range(3):
            world.go.release()
        stage.close()


def test_the_next_picture_answers_and_frames_and_take_are_the_same_without_it(
    browser: Any, record_property: pytest.RecordProperty
) -> None:
    answers, frames, take = played(browser, reduced_motion="no-preference")
    assert [(key, pictures) for key, pictures, _ in answers] == [("w", 1), ("ArrowRight", 1)]
    record_property("milliseconds", [round(ms, 1) for *_, ms in answers])
    still, frames_without, take_without = played(browser, reduced_motion="reduce")  # off, unless it is chosen
    assert [pictures for _, pictures, _ in still] == [None, None]
    assert take == take_without
    assert take.keyboard[8:, 0].all()
    assert take.mouse is not None
    assert (take.mouse[:, 1] > 0).tolist() == [False] * 32 + [True] * 12
    both = frames.keys() & frames_without.keys()  # a browser that is late leaves frames out
    assert str(12 * BLOCKS - 4) in both
    assert all(frames[number] == frames_without[number] for number in both)


def test_it_is_switched_remembered_and_off_while_recording(stage: Stage) -> None:
    page = stage.page(reduced_motion="no-preference")
    button = page.locator("[data-act=preview]")
    assert button.get_attribute("aria-pressed") == "true"
    page.locator(".mgp-stage").click()
    page.wait_for_function("player.playing")
    page.evaluate("() => { player.pictures.receive = async () => false; }")  # nothing is answered any more
    page.keyboard.down("d")
    page.locator(".mgp-preview").wait_for()
    page.locator("[data-act=record]").dispatch_event("click")  # the mouse is caught
    page.locator(".mgp-preview").wait_for(state="hidden")
    page.keyboard.up("d")
    button.dispatch_event("click")
    assert button.get_attribute("aria-pressed") == "false"
    page.reload()
    page.wait_for_function("window.player?.connected")
    assert button.get_attribute("aria-pressed") == "false"
