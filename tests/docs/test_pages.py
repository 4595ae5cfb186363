"""README and docs: numbers are those of the results, the program takes the commands, links and pictures are there."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest
from PIL import Image

from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.terminal.main import main, parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").glob("*.md")])
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
CODE = re.compile(r"^    (\S.*)$", re.M)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
MARK = re.compile(r"<!--n [\w-]+-->.*?<!--/n-->", re.S)
SPEED = re.compile(r"\d[\d.]* ?(?:frames/s|ms\b|帧/秒|毫秒)")
MOST_MOVING = 4_000_000  # bytes


def commands() -> list[str]:
    """Every call of the program in the pages, without its comment."""
    lines = [line for page in PAGES for line in CODE.findall(page.read_text(encoding="utf-8"))]
    inline = [text for page in PAGES for text in re.findall(r"`(matrixgame [^`]+)`", page.read_text(encoding="utf-8"))]
    return sorted({re.split(r"\s+# ?", line)[0] for line in [*lines, *inline] if line.startswith("matrixgame ")})


def test_the_numbers_are_those_of_the_results() -> None:
    """python3 script/numbers writes them."""
    script = runpy.run_path(str(ROOT / "script" / "numbers"))
    found = script["numbers"]()
    for page in PAGES:
        assert page.read_text(encoding="utf-8") == script["written"](page, found), page.name


@EACH
def test_no_speed_stands_there_that_no_result_has(page: Path) -> None:
    text = MARK.sub("", page.read_text(encoding="utf-8"))
    assert SPEED.findall(text) == []


@EACH
def test_links_and_pictures_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    assert missing == []


def test_the_moving_picture_moves_and_is_small() -> None:
    path = ROOT / "docs" / "pictures" / "painting.webp"
    assert path.stat().st_size < MOST_MOVING
    with Image.open(path) as picture:
        assert picture.n_frames > 30  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", commands())
def test_the_program_takes_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`...` stands for the options of a line before; what is in capitals, for a file."""
    words = [word for word in shlex.split(command) if word != "..."][1:]
    code = 0
    try:
        parser().parse_args(words)
    except SystemExit as end:  # --help, or a command that is only named
        code = 0 if len(words) == 1 else end.code
    assert code == 0, capsys.readouterr().err


def test_the_script_of_the_page_is_one() -> None:
    text = (ROOT / "docs" / "scripts.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"(?:^    .*\n)*^    @variant universal\n(?:^    .*\n)*", text, re.M)
    assert parse_script("\n".join(line[4:] for line in block.splitlines()), "universal")


def test_the_job_file_of_the_page_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "bulk.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^    images: .*\n(?:^    .*\n)*", text, re.M)
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (80, 48)).save(tmp_path / "photos" / "a.jpg")
    (tmp_path / "walk.mgs").write_text("w 2b")
    (tmp_path / "jobs.yaml").write_text("\n".join(line[4:] for line in block.splitlines()), encoding="utf-8")
    assert main(["batch", "plan", str(tmp_path / "jobs.yaml")]) == 0
    assert "30" in capsys.readouterr().out  # one picture, three scripts, ten seeds


def test_every_page_is_in_the_site_and_in_the_readme() -> None:
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    site = set(re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M))
    assert pages == site
    linked = set(re.findall(r"\(docs/([\w-]+\.md)\)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert pages - {"index.md"} == linked


def test_the_tables_of_versions_are_those_of_the_records() -> None:
    """python3 script/versions writes all of it, and names tests that exist."""
    script = runpy.run_path(str(ROOT / "script" / "versions"))
    page = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
    assert page == script["tables"](script["read"](script["RECORDS"]), script["read"](script["HOSTS"]))
    assert not [each for each in script["SUITE"] + script["HOST_SUITE"] if not (ROOT / each).exists()]
    nightly = (ROOT / ".github" / "workflows" / "nightly.yml").read_text(encoding="utf-8")
    (tried,) = re.findall(r"environment: \[(.+)\]", nightly)
    assert tried.split(", ") == list(script["ENVIRONMENTS"])


def test_a_record_of_versions_replaces_only_that_of_its_python(tmp_path: Path) -> None:
    script, path = runpy.run_path(str(ROOT / "script" / "versions")), tmp_path / "hosts.json"
    about = {"committed": "2026-08-22", "commit": "783545f6"}
    for python, passed in (("3.11.7", 1), ("3.12.1", 2), ("3.11.9", 3)):
        script["keep"](path, {**about, "python": python, "passed": passed}, script["_host_key"])
    assert [(each["python"], each["passed"]) for each in script["read"](path)] == [("3.11.9", 3), ("3.12.1", 2)]
