"""Imports point downward, and no files import each other in a circle: the picture in CONTRIBUTING, held."""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "comfyui_matrixgame"
# from the ground up; rooms of one floor do not import each other
FLOORS = (
    ("errors",),
    ("variants", "system"),
    ("compute",),
    ("networks",),
    ("checkpoints", "actions", "memory"),
    ("media",),
    ("world",),
    ("cache", "weights"),
    ("play", "batch"),
    ("measure", "scores"),
    ("terminal", "host"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
IMPORT = re.compile(r"""^\s*(?:(?:import|export)\b[^"'`;]*?\bfrom|import)\s*["'](\.[^"']+)["']""", re.M)


def python_files(*roots: str) -> dict[str, Path]:
    """Dotted names of modules, and where they are."""
    files = [path for root in roots for path in sorted((ROOT / root).rglob("*.py"))]
    names = (path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in files)
    return {name.removesuffix(".__init__"): path for name, path in zip(names, files, strict=True)}


def imports(name: str, files: dict[str, Path]) -> set[str]:
    """The modules that a module imports, anywhere in it."""
    found: set[str] = set()
    package = name if files[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(files[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in files else base for alias in node.names}
    return {other for other in found if other in files and other != name}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The files of a circle, where there is one."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_imports_point_downward() -> None:
    files = python_files(PACKAGE)
    against = []
    for name in files:
        for other in imports(name, files):
            here, there = name.split(".")[1:2], other.split(".")[1:2]
            if not here or here == ["__main__"] or not there or here == there:
                continue
            if FLOOR[there[0]] >= FLOOR[here[0]]:
                against.append(f"{name} imports {other}")
    assert against == []


@pytest.mark.parametrize("root", [PACKAGE, "demo_world", "bench"])
def test_no_circle_of_files(root: str) -> None:
    files = python_files(root)
    assert circle({name: imports(name, files) for name in files}) == []


def test_no_circle_of_files_or_folders_in_the_browser() -> None:
    files = [path for path in (ROOT / "web").rglob("*.*js") if "node_modules" not in path.parts]
    graph: dict[str, set[str]] = {}
    folders: dict[str, set[str]] = {}
    for path in files:
        for match in IMPORT.finditer(path.read_text(encoding="utf-8")):
            target = (path.parent / match[1]).resolve()
            if target.is_relative_to(ROOT / "web"):
                graph.setdefault(str(path), set()).add(str(target))
                if target.parent != path.parent:
                    folders.setdefault(str(path.parent), set()).add(str(target.parent))
    assert graph
    assert circle(graph) == []
    assert circle(folders) == []


def test_the_picture_shows_the_floors() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    picture = re.search(r"```\n(.*?)```", text[text.index("## How the code is laid out") :], re.S)
    assert picture is not None
    rows = [re.findall(r"[a-z]+", line.partition("#")[0]) for line in picture[1].splitlines()]
    assert [sorted(row) for row in rows if row] == [sorted(rooms) for rooms in reversed(FLOORS)]


def test_rooms_are_small() -> None:
    """So that a file is found by looking."""
    top = [path for path in (ROOT / PACKAGE).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    assert len(top) - 2 <= 18  # without __init__ and __main__
    folders: dict[Path, int] = {}
    for root in (PACKAGE, "web"):
        for path in (ROOT / root).rglob("*"):
            if path.suffix in (".py", ".js", ".mjs") and path.name != "__init__.py":
                folders[path.parent] = folders.get(path.parent, 0) + 1
    assert {str(folder.relative_to(ROOT)): count for folder, count in folders.items() if count > 12} == {}


def test_no_test_file_is_imported() -> None:
    """What several tests need is in a module that is not a test: in tests/support or in their folder."""
    files = python_files("tests")
    needed = {f"{name} imports {other}" for name in files for other in imports(name, files) if ".test_" in other}
    assert needed == set()
