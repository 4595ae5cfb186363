"""What tests do in the page of the player."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.play import WATCH_PAINTS
from comfyui_matrixgame.play.pattern import CELL

# the lamps of the keys in the picture on screen, as a list of 0 and 1
LAMPS = f"""() => {{
  const context = player.pictures.canvas.getContext('2d');
  return [0, 1, 2, 3].map((i) => Number(context.getImageData(i * {CELL} + {CELL // 2}, player.pictures.canvas.height - {CELL // 2}, 1, 1).data[0] > 128));
}}"""  # noqa: E501

SENT = """() => {
  window.sent = [];
  const { say } = player.link;
  player.link.say = (type, content) => { sent.push({ type, ...content }); say.call(player.link, type, content); };
}"""


def lamps_become(page: Any, lamps: list[int]) -> None:
    page.wait_for_function(f"(wanted) => JSON.stringify(({LAMPS})()) === JSON.stringify(wanted)", arg=lamps)


def even_for_a_while(page: Any, blocks: int = 9, tries: int = 6) -> None:
    """One stretch of blocks without a gap of two frames, nor many dropped. Other work on the machine may disturb one;
    without the pacer none is even."""
    page.evaluate(WATCH_PAINTS)
    for seen in range(1, tries + 1):
        page.evaluate("() => { paints.length = 0; player.pictures.pacer.dropped = 0; }")
        page.wait_for_function(f"player.state.blocks >= {1 + blocks * seen}")
        gaps = np.diff(page.evaluate("paints")[12:])
        dropped = page.evaluate("player.pictures.pacer.dropped")
        if np.percentile(gaps, 95) < 80 and dropped < 0.1 * len(gaps):
            return
    raise AssertionError(f"{dropped} dropped, {sorted(gaps)[-10:]}")
