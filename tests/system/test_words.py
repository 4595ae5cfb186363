"""Numbers of things: one function, and no sentence that has its own way."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from comfyui_matrixgame.cache.rollout.progress import Counts
from comfyui_matrixgame.system.words import counted

ROOT = Path(__file__).parents[2]
BY_HAND = re.compile(r"""\{['"]s['"] \*|['"]s['"] if [\w.()]+ (?:!=|>) 1|['"]['"] if [\w.()]+ == 1 else ['"]s['"]""")


@pytest.mark.parametrize(
    ("number", "form", "text"),
    [(0, "", "0 blocks"), (1, "", "1 block"), (2, "", "2 blocks"), (1200, ",", "1,200 blocks")],
)
def test_one_is_one_and_all_else_is_many(number: int, form: str, text: str) -> None:
    assert counted(number, "block", form=form) == text


def test_plurals_that_are_no_s() -> None:
    assert [counted(n, "pass", "passes") for n in (1, 3)] == ["1 pass", "3 passes"]


def test_what_a_rollout_did() -> None:
    assert str(Counts(made=1, reused=1, replayed=1)) == "1 block made, 1 reused, 1 replayed"
    assert str(Counts(made=2)) == "2 blocks made, 0 reused"


def test_nobody_makes_plurals_by_hand() -> None:
    for path in (ROOT / "comfyui_matrixgame").rglob("*.py"):
        if path.name != "words.py":
            assert not BY_HAND.search(path.read_text(encoding="utf-8")), path
