"""What an installation from the registry holds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from ..conftest import skip_or_fail
from .server import PACK

pytest.importorskip("pathspec", reason="pathspec is not installed")

from .archive import packed_files, write_archive

pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern")
MOST_MB = 30
FOR_OTHERS = ("tests", "bench", "demo_world", "script", ".ci")
# as comfy-cli reads `requires-comfyui`; a value of another form is dropped with a warning
PART = re.compile(r"((==|>=|<=|!=|~=|>|<|<>|=)\s*)?(\d+\.\d+\.\d+(-[a-zA-Z0-9]+)?)?")


def tracked(*folders: str) -> set[str]:
    listed = subprocess.run(["git", "-C", str(PACK), "ls-files", "--", *folders], capture_output=True, text=True)
    return {path for path in listed.stdout.splitlines() if (PACK / path).exists()}


@pytest.fixture(autouse=True)
def _checkout() -> None:
    skip_or_fail(None if shutil.which("git") and (PACK / ".git").exists() else "This is not a git checkout.")


def test_what_runs_is_in_it_and_nothing_else() -> None:
    files = set(packed_files())
    runs = {"__init__.py", "nodes.py", "requirements.txt", "pyproject.toml", "README.md", "LICENSE", "NOTICE"}
    runs |= tracked("comfyui_matrixgame", "web", "workflows", "subgraphs", "locales") - {"web/jsconfig.json"}
    assert runs - files == set()
    assert files - runs == set()
    assert not [path for path in files if path.split("/")[0] in FOR_OTHERS]


def test_it_is_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_archive(tmp_path / "node.zip")
    size = (tmp_path / "node.zip").stat().st_size / 1e6
    with capsys.disabled():
        print(f" archive of the registry: {len(packed_files())} files, {size:.1f} MB", end=" ")
    assert size < MOST_MB


def test_the_host_it_needs_is_of_the_form_that_the_tool_takes() -> None:
    (needs,) = re.findall(r'^requires-comfyui = "(.*)"$', (PACK / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert all(PART.fullmatch(part.strip()) for part in needs.split(","))
    assert re.search(r"\d", needs)


@pytest.mark.skipif(not os.environ.get("COMFY_CLI"), reason="COMFY_CLI names no comfy of comfy-cli")
def test_the_tool_itself_makes_the_same_archive(tmp_path: Path) -> None:
    """COMFY_CLI=/path/to/comfy: it needs too many packages to be installed with the others."""
    copy = tmp_path / "pack"
    for path in tracked():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACK / path, copy / path)
    for command in (["git", "init", "-q"], ["git", "add", "-A"]):
        subprocess.run(command, cwd=copy, check=True)
    tool = [os.environ["COMFY_CLI"], "--skip-prompt", "--no-enable-telemetry", "node", "pack"]
    said = subprocess.run(
        tool, cwd=copy, capture_output=True, text=True, check=True, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert "Warning" not in said.stdout + said.stderr
    with zipfile.ZipFile(copy / "node.zip") as made:
        assert sorted(made.namelist()) == sorted(packed_files())
