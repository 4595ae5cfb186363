"""Many scripts at once: names, order, places of errors, limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyui_matrixgame.actions.named_scripts import MAX_PATHS, Source, file_source, plain_name, read_paths
from comfyui_matrixgame.actions.read import split_texts
from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.errors import ActionError

TEXT = """# paths around the house
--- walk
w 2s

--- look around
right(0.1) 1s; left(0.1) 1s
---
w 12
"""


def paths(text: str, variant: str = "universal") -> dict[str, int]:
    return {name: len(track) for name, track in read_paths([Source(text, "path")], variant)}


def refused(text: str, variant: str = "universal") -> str:
    with pytest.raises(ActionError) as caught:
        paths(text, variant)
    return str(caught.value)


def test_scripts_have_the_names_of_their_separators() -> None:
    assert paths(TEXT) == {"walk": 50, "look around": 50, "path 3": 12}
    assert paths("w 12\n---\na 24\n---\n") == {"path 1": 12, "path 2": 24}
    assert paths("w 12") == {"path 1": 12}
    tracks = read_paths([Source(TEXT, "path")], "universal")
    assert tracks[1].track == parse_script("right(0.1) 1s; left(0.1) 1s").track


def test_every_text_format_is_read() -> None:
    document = parse_script("d 30").document.to_text()
    text = f"--- a document\n{document}\n--- a table\nw;yaw\n1;0.1\n0;0.2\n--- latent frames\nw-3, right-1\n"
    assert paths(text) == {"a document": 33, "a table": 2, "latent frames": 16}


def test_parts_know_their_line() -> None:
    assert [(part.name, part.line) for part in split_texts(TEXT)] == [("walk", 3), ("look around", 6), ("", 8)]
    assert [part.text for part in split_texts("w 12")] == ["w 12"]
    assert len(split_texts("w\r\n---\r\nw\r\n  ---  \r\n")) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("--- one\nw 12\n--- two\n\nfwd 3", "script 'two':5:1: error: unknown action 'fwd'"),
        ("--- one\nw 12\n--- two\n", "script 'two':4:1: error: the script has no steps"),
        ("w\n---\n\n---\nw", "script 'path 2':3:1: error: the script has no steps"),
        ("--- one\nw 12\n---  One \nd 12", "Two scripts are called 'One': line 1 and line 3"),
        ("--- ../up\nw 12", "The name in line 1, '../up', cannot be that of a video"),
        ("--- a%date%\nw 12", "'a%date%', cannot be"),
        ("--- \u202ename\nw 12", "cannot be that of a video"),
        ("--- one\n{\"format\": \"other\"}", "In script 'one', from line 2: "),
        ("", "There are no scripts"),
        (" \n\n", "There are no scripts"),
        ("---\n" * 3, "error: the script has no steps"),
        ("w 1\n---\n" * (MAX_PATHS + 1), "more than 256 scripts"),
        ("w 3600s\n---\n" * 6, "The scripts have 540000 frames together (360 minutes)"),
        ("x" * 1_000_001, "The text has more than 1000000 characters"),
    ],
    ids=range(14),
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text: str, told: str) -> None:
    assert told in refused(text)


def test_scripts_are_for_the_variant_that_is_asked_for() -> None:
    assert "script 'car':2:10: error: the script is for gta_drive" in refused("--- car\n@variant gta_drive\nw 12")
    assert "has no camera input" in refused("--- run\nrun 12\n--- turn\nleft 12", "templerun")
    document = parse_script("w", "gta_drive").document.to_text()
    assert "from line 2: The timeline is for gta_drive" in refused(f"--- car\n{document}")


def test_files(tmp_path: Path) -> None:
    (tmp_path / "turns (1).mgs").write_text("--- left\nleft 1s\n--- right\nright 1s\n", encoding="utf-8-sig")
    (tmp_path / "Walk.txt").write_text("w 12")
    (tmp_path / "table.csv").write_text("w;yaw\n1;0.1\n---\nw;yaw\n1;0.1\n1;0.1\n")
    read = read_paths([Source("d 12", "path"), *map(file_source, sorted(tmp_path.iterdir()))], "universal")
    expected = {"path 1": 12, "Walk": 12, "table 1": 1, "table 2": 2, "left": 25, "right": 25}
    assert {name: len(track) for name, track in read} == expected
    (tmp_path / "bad.mgs").write_text("w 12\n---\nfwd 1")
    with pytest.raises(ActionError, match=r"bad\.mgs, script 'bad 2':3:1: error: unknown action"):
        read_paths([file_source(tmp_path / "bad.mgs")], "universal")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.png", b"\x89PNG", "a.png holds no scripts"),
        ("a.mgs", b"w 12\xff\xfe", "a.mgs is not text in UTF-8"),
        ("a.txt", b"\0" * 4_000_001, "a.txt has more than 1000000 characters"),
        ("a.json", b"[1, 2]", "In a.json, script 'a', from line 1: "),
        ("missing.mgs", None, "missing.mgs cannot be read"),
    ],
)
def test_files_of_the_wrong_kind(tmp_path: Path, name: str, content: bytes | None, told: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ActionError) as caught:
        read_paths([file_source(tmp_path / name)], "universal")
    assert told in str(caught.value)


def test_names_from_files_are_plain() -> None:
    assert plain_name("turns (1)") == "turns -1"
    assert plain_name("../..") == "path"
    assert plain_name("看 a_b") == "看 a_b"
