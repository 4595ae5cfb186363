"""A real ComfyUI as a subprocess, and what a client of it does: queue, listen, interrupt, read the log."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from .launch import GPUS, REPORT, comfyui_path
from .processes import host_python, printed, start

PACK = Path(__file__).parents[2]
START_SECONDS = 240
PREVIEW, TEXT, PREVIEW_WITH_METADATA = 1, 3, 4  # binary messages that carry a picture, or a text for a node
ENDS = {"execution_success": "success", "execution_error": "error", "execution_interrupted": "interrupted"}

Prompt = Mapping[str, Mapping[str, Any]]


IN_CORE = """
import sys
root, pack, base = sys.argv[1:4]
sys.argv = ["main.py", "--cpu", "--base-directory", base]
sys.path[:0] = [pack]
from tests.host.launch import install_stand_ins
install_stand_ins()
sys.path[:0] = [root]  # its tests folder has the name of ours
import comfy.options
comfy.options.enable_args_parsing()
"""


def run_in_core(script: str, base: Path, forked: bool = True, **names: str) -> str:
    """What a script prints in a process of core's own without a server, where these names have these values. forked:
    whether the packages that core imports may be imported already."""
    values = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    return printed(IN_CORE + values + script, str(comfyui_path()), str(PACK), str(base), forked=forked)


def why_no_host() -> str | None:
    """The reason why no ComfyUI can be started here; None where one can."""
    root = comfyui_path()
    if not (root / "main.py").exists():
        return f"There is no ComfyUI at {root}; clone it there or set COMFYUI_PATH, then python3 script/setup --host."
    if host_python(root) is None:
        return f"{root} has no .venv or venv; python3 script/setup --host makes one, COMFYUI_PYTHON names another."
    return None


@dataclass
class Run:
    """What became of one queued prompt."""

    prompt_id: str
    status: str = ""
    executed: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    progress: list[tuple[str, float, float]] = field(default_factory=list)  # node, value, maximum
    previews: list[bytes] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)  # node, what it shows while it runs
    error: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """The error's text as the node shows it."""
        return self.error.get("exception_message", "").strip()


class Rejected(Exception):
    """The host refused a prompt; `details` is its answer, with node_errors."""

    def __init__(self, details: dict[str, Any]) -> None:
        super().__init__(json.dumps(details, indent=1))
        self.details = details


class Host:
    """One running ComfyUI with a base directory of its own, with this pack and no other.

    gpus: pretended ones that it runs on, instead of the CPU; what they found is in `gpu_report`. forked: whether the
    packages that core imports may be imported already, which saves most of a start.
    """

    def __init__(self, base: Path, *options: str, gpus: int = 0, forked: bool = True) -> None:
        self.base, self.gpus = base, gpus
        self.gpu_report = base / "gpu_report.txt"
        self.log_path = base / "host.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        for folder in ("custom_nodes", "input", "output", "temp", "user", "models"):
            (base / folder).mkdir(parents=True, exist_ok=True)
        if not (base / "custom_nodes" / "matrixgame").exists():
            (base / "custom_nodes" / "matrixgame").symlink_to(PACK, target_is_directory=True)
        self._start(options, forked)

    def _start(self, options: tuple[str, ...], forked: bool) -> None:
        arguments = [
            "--port", str(self.port), "--base-directory", str(self.base),
            "--disable-auto-launch", "--disable-api-nodes", "--database-url", "sqlite:///:memory:", *options,
        ]  # fmt: skip
        if not self.gpus and not any(option.startswith("--cuda-device") for option in options):
            arguments.append("--cpu")
        if not any(option.startswith("--cache") for option in options):
            arguments += ["--cache-ram", "0"]  # or it forgets results whenever others leave a tenth of the memory
        environment = {}
        if self.gpus:  # Triton's kernels are for real ones
            environment = {GPUS: str(self.gpus), REPORT: str(self.gpu_report), "MATRIXGAME_TRITON": "0"}
        self.log_path.write_bytes(b"")
        self.process = start(None, arguments, self.log_path, self.log_path, environment, forked)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.get("/system_stats")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"ComfyUI did not start; its log ends with:\n{self.log()[-4000:]}")

    def stop(self) -> None:
        """End the process that this object started."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log(self) -> str:
        """Everything the host has printed, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.log_path.read_text(errors="replace"))

    def get(self, path: str) -> Any:
        """GET `path`: JSON where it is JSON, otherwise bytes."""
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            body = answer.read()
            return json.loads(body) if "json" in answer.headers.get("Content-Type", "") else body

    def post(self, path: str, body: object) -> Any:
        """POST JSON; raises Rejected with the host's answer where it says 400."""
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            if error.code == 400:
                raise Rejected(json.loads(error.read())) from None
            raise

    def run(
        self, prompt: Prompt, on_event: Callable[[str, dict[str, Any]], None] | None = None, timeout: float = 300,
        metadata_previews: bool = True,
    ) -> Run:  # fmt: skip
        """Queue a prompt in API format, and listen until it ends; on_event gets every message of the run."""
        listening = asyncio.wait_for(self._run(prompt, on_event, metadata_previews), timeout)
        with ThreadPoolExecutor(1) as thread:  # this one's event loop may be a browser's
            return thread.submit(asyncio.run, listening).result()

    def free(self) -> None:
        """Do what ComfyUI's button for it does, and wait: the host frees memory when a run ends, before it begins the
        next."""
        self.post("/free", {"unload_models": True, "free_memory": True})
        for text in ("a run", "the next"):
            source = {"class_type": "PrimitiveString", "inputs": {"value": text}}
            shown = {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}
            assert self.run({"1": source, "2": shown}).status == "success"

    async def _run(self, prompt: Prompt, on_event: Callable[..., None] | None, metadata_previews: bool) -> Run:
        client = uuid.uuid4().hex
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{self.url}/ws?clientId={client}", max_msg_size=0) as socket_,
        ):
            flags = {"supports_preview_metadata": metadata_previews}
            await socket_.send_json({"type": "feature_flags", "data": flags})
            answer = await asyncio.to_thread(self.post, "/prompt", {"prompt": prompt, "client_id": client})
            run = Run(answer["prompt_id"])
            async for message in socket_:
                if message.type == aiohttp.WSMsgType.BINARY:
                    _take_binary(run, message.data)
                elif message.type == aiohttp.WSMsgType.TEXT:
                    event = json.loads(message.data)
                    _take_event(run, event["type"], event["data"])
                    if on_event is not None:
                        await asyncio.to_thread(on_event, event["type"], event["data"])
                    if run.status and event["type"] == "executing":  # the last word, once the history is written
                        break
        history = await asyncio.to_thread(self.get, f"/history/{run.prompt_id}")
        run.outputs = history.get(run.prompt_id, {}).get("outputs", {})
        return run

    def memory_bytes(self) -> int:
        """Resident memory of the host process."""
        import psutil

        return psutil.Process(self.process.pid).memory_info().rss

    def output_files(self, pattern: str) -> list[Path]:
        """Files in the output folder, oldest first."""
        return sorted((self.base / "output").glob(pattern), key=lambda path: path.stat().st_mtime)


def _take_event(run: Run, kind: str, data: dict[str, Any]) -> None:
    if data.get("prompt_id") not in (None, run.prompt_id):
        return
    if kind == "executing" and data.get("node"):
        run.executed.append(data["node"])
    elif kind == "execution_cached":
        run.cached = list(data["nodes"])
    elif kind == "progress":
        run.progress.append((data["node"], data["value"], data["max"]))
    elif kind in ENDS and data.get("prompt_id") == run.prompt_id:
        run.status = ENDS[kind]
        run.error = data if kind == "execution_error" else {}


def _take_binary(run: Run, data: bytes) -> None:
    (kind,) = struct.unpack(">I", data[:4])
    if kind == PREVIEW:
        run.previews.append(data[8:])
    elif kind == PREVIEW_WITH_METADATA:
        (length,) = struct.unpack(">I", data[4:8])
        run.previews.append(data[8 + length :])
    elif kind == TEXT:
        (length,) = struct.unpack(">I", data[4:8])
        run.texts.append((data[8 : 8 + length].decode(), data[8 + length :].decode()))
