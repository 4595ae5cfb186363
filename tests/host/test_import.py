"""What ComfyUI's start costs: which modules the pack imports then, and that nothing is opened or started meanwhile."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ..conftest import skip_or_fail
from .server import PACK, run_in_core, why_no_host

LIST = Path(__file__).with_name("imported_at_start.txt")
START = """
import asyncio, importlib.util, json, os, sys, threading, time
import app.frontend_management, execution, nodes, server
from comfy_api.latest import io
import comfy_execution.utils
loop = asyncio.new_event_loop()
server.PromptServer(loop)
before, threads, seen, watching = set(sys.modules), threading.active_count(), [], True
WATCHED = {"socket.connect", "socket.bind", "subprocess.Popen", "os.fork", "os.mkdir", "os.remove", "os.rename",
           "tempfile.mkstemp", "ctypes.dlopen", "sqlite3.connect"}
def watch(event, arguments):
    if not watching or any("__pycache__" in str(argument) for argument in arguments):
        return  # Python's own cache of compiled modules
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path, _, flags = os.fsdecode(arguments[0]), *arguments[1:]
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if isinstance(flags, int) else False
        if writes or os.path.splitext(path)[1] not in (".py", ".json"):
            seen.append([event, path])
    elif event in WATCHED:
        seen.append([event, str(arguments)])
sys.addaudithook(watch)
began, cpu = time.perf_counter(), time.process_time()
spec = importlib.util.spec_from_file_location("pack", pack + "/__init__.py", submodule_search_locations=[pack])
module = importlib.util.module_from_spec(spec)
sys.modules["pack"] = module
spec.loader.exec_module(module)
async def load():
    extension = await module.comfy_entrypoint()
    await extension.on_load()
    for node in await extension.get_node_list():
        node.GET_SCHEMA()
loop.run_until_complete(load())
took, cpu, watching = time.perf_counter() - began, time.process_time() - cpu, False
new = sorted(name for name in set(sys.modules) - before if not name.startswith("encodings."))
print(json.dumps({"new": new, "seen": seen, "took": took, "cpu": cpu,
                  "threads": threading.active_count() - threads}))
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> dict:
    skip_or_fail(why_no_host())
    return json.loads(
        run_in_core(START, tmp_path_factory.mktemp("base"), forked=False, pack=str(PACK)).splitlines()[-1]
    )


def test_what_is_imported_at_the_start_is_on_the_list(started: dict, capsys: pytest.CaptureFixture[str]) -> None:
    """Each module costs every start of ComfyUI two milliseconds or more. UPDATE_SNAPSHOT=1 writes the list."""
    with capsys.disabled():
        print(f" start of the pack: {len(started['new'])} modules, {started['took']:.3f} s", end=" ")
    if os.environ.get("UPDATE_SNAPSHOT") == "1":
        LIST.write_text("".join(f"{name}\n" for name in started["new"]), encoding="utf-8")
    assert started["new"] == LIST.read_text(encoding="utf-8").split()


def test_it_is_quick(started: dict) -> None:
    """Of the processor's time, which a busy machine changes little: 0.03 s when this was written, and 0.24 s before."""
    assert started["cpu"] < 0.3


def test_nothing_is_opened_or_started(started: dict) -> None:
    """Python files and the descriptions of variants are read, and that is all."""
    assert started["seen"] == []
    assert started["threads"] == 0
