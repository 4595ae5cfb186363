"""The nodes' help pages: English and Chinese say the same, and fit into a panel as narrow as the frontend's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "web" / "docs"
NODES: dict[str, Any] = json.loads((ROOT / "tests" / "host" / "object_info.json").read_text(encoding="utf-8"))
CHINESE: dict[str, Any] = json.loads((ROOT / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))
WIDEST = 28  # characters of a line of code: what the panel shows without scrolling


def page(name: str, language: str) -> str:
    """The frontend looks for NODE/zh.md, and takes NODE.md where a language has none."""
    return (DOCS / (f"{name}.md" if language == "en" else f"{name}/{language}.md")).read_text(encoding="utf-8")


def inputs_of(name: str) -> list[str]:
    groups = NODES[name]["input"]
    return [*groups.get("required", {}), *groups.get("optional", {})]


def blocks(text: str) -> list[list[str]]:
    """Code blocks without their comments, which are translated."""
    found = re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)
    return [[line.strip() for line in block.splitlines() if not line.strip().startswith("#")] for block in found]


def commands(name: str, text: str) -> set[str]:
    """Inline code, but for the names of inputs and outputs, which Chinese pages put beside their translation."""
    names = {*inputs_of(name), *NODES[name]["output_name"]}
    return {code for code in re.findall(r"`([^`\n]+)`", text) if code not in names}


def test_no_page_is_of_no_node() -> None:
    assert {path.stem for path in DOCS.glob("*.md")} == set(NODES)
    assert {path.parent.name for path in DOCS.glob("*/*")} == set(NODES)
    assert {path.name for path in DOCS.glob("*/*")} == {"zh.md"}


@pytest.mark.parametrize("name", NODES)
def test_both_name_the_node_and_the_same_inputs(name: str) -> None:
    english, chinese = page(name, "en"), page(name, "zh")
    assert english.startswith(f"# {NODES[name]['display_name']}\n")
    assert chinese.startswith(f"# {CHINESE[name]['display_name']}\n")
    for widget in inputs_of(name):
        assert re.search(rf"\b{widget}\b", english), widget
        assert f"（`{widget}`" in chinese, widget
        assert CHINESE[name]["inputs"][widget]["name"] in chinese, widget


@pytest.mark.parametrize("name", NODES)
def test_code_and_parts_are_the_same_in_both(name: str) -> None:
    english, chinese = page(name, "en"), page(name, "zh")
    assert blocks(english) == blocks(chinese)
    assert commands(name, english) == commands(name, chinese)
    headings = [[len(mark) for mark in re.findall(r"^(#+) ", text, re.MULTILINE)] for text in (english, chinese)]
    assert headings[0] == headings[1]
    assert english.count("\n- ") == chinese.count("\n- ")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", NODES)
def test_nothing_is_wider_than_the_panel(name: str, language: str) -> None:
    text = page(name, language)
    assert not re.search(r"^\|", text, re.MULTILINE), "a table is cut off where a word of it is long; use a list"
    for block in re.findall(r"(?:^    .*\n)+", text, re.MULTILINE):
        assert all(len(line) - 4 <= WIDEST for line in block.splitlines()), block
