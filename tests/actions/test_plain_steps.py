"""A script put together from steps that were read before gives what reading it token by token gives."""

from __future__ import annotations

import random

import pytest

from comfyui_matrixgame.actions.read import rows_of_text
from comfyui_matrixgame.actions.script.lexer import ScriptError
from comfyui_matrixgame.actions.script.parser import Parser, statements_or_none
from comfyui_matrixgame.actions.script.plain_steps import plain_steps
from comfyui_matrixgame.actions.script.to_timeline import write_timeline
from comfyui_matrixgame.variants import VARIANTS, Variant, get_variant

from ..support.calls import counted_calls
from . import generate

# a piece between two separators here is not always a step, or not the step that the whole script has there
TRAPS = (
    "w # a, d", "w # a\nd 2f, s", "look(0.1, 0.2) 3", "look(0.1\n, 0.2)", "w,,;\n\n d 7f;", "w +\nd", "w, + d", "3, w",
    "w - 3", "w-3, d-2", '"a, b"', ':"a, b", w', "keys: w, d\ncam: left 2b", "keys: w\n, d", "2 x {w, d}", "w }", "{ w",
    "repeat 2 {w\nd}", "at 3s, w", "w; at 1s; d", "seed 7, w", "w, seed 7", "@unit b, w 2", "w, @unit b", "up 3b, w",
    "w+s 1b, d", "w+idle, d", "idle, w", "\x0bw, d", "w\u00a0 2b", "W 2B, Left(0.05)", "", " \n;, ", "w 90001f", "w 0f",
    "w 1.5b, d 1.3b", "w 60000f, d 60000f", "left(9), w", "w 2 b", "yaw(0->0.1 smooth) 2b, yaw(0..0.1)", "fwd, w",
    "w 2b\ud800", "w 12f w", "w,d" * 3000, "jump 3, left 2b, right",
)  # fmt: skip

STEPS = ("w 2b", "left 12f", "w+left(0.05) 1s", "idle", "yaw(0->0.1 smooth) 24", "d-3", "jump", "up 3b", "W 9", "w,")


def said(parser: Parser, statements: list | None = None) -> object:
    """Everything a script gives: its timeline, rows and warnings, or its error."""
    try:
        body = parser.read_tokens() if statements is None else parser.read()
        timeline, frames = write_timeline(parser, body, parser.text)
    except ScriptError as error:
        return error.code, str(error), error.line, error.column, error.width
    return timeline.to_text(), frames, parser.warnings


def same(text: str, variant: Variant | None) -> None:
    assert said(Parser(text, variant), []) == said(Parser(text, variant)), (text, variant)


@pytest.mark.parametrize("variant", [None, *VARIANTS.values()], ids=lambda each: each.name if each else "any")
def test_traps(variant: Variant | None) -> None:
    for text in TRAPS:
        same(text, variant)


def test_random_scripts_and_damaged_ones() -> None:
    rng = random.Random(5)
    plain = 0
    for number in range(1500):
        variant = generate.variant(rng)
        text = generate.script(rng, variant)
        if number % 3 == 1:
            text = generate.broken(rng, text)
        elif number % 3 == 2:  # as a job file has them
            text = ", ".join(rng.sample(STEPS, rng.randint(1, 4)))
        same(text, variant)
        plain += plain_steps(text, variant, statements_or_none) is not None
    assert plain > 100


def test_a_step_of_many_scripts_is_read_once() -> None:
    """A job file may have tens of thousands of scripts; the calls are counted, which no busy machine changes."""
    universal = get_variant("universal")
    scripts = [f"w {n % 40 + 1}f, left(0.05) {n % 7 + 1}b, s+d; idle {n % 11 + 2}f" for n in range(3080)]
    for text in scripts[:40]:
        rows_of_text(text, universal)
    with counted_calls() as calls:
        rows = [rows_of_text(text, universal) for text in scripts]
    assert len(calls) <= 100 * len(scripts)
    assert rows[41] == 2 + 7 * 12 + 12 + 10
