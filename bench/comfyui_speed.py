"""Frames a second of Roll Out in a real ComfyUI, which is started for it with weights of its own.

It times warm blocks: a long rollout minus a short one, both after a warm-up.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from comfyui_matrixgame.checkpoints.builtin import NAME as DEMO_WORLD
from comfyui_matrixgame.checkpoints.builtin import start_images
from comfyui_matrixgame.measure.networks import SIZES, image_tower, random_models
from comfyui_matrixgame.measure.rollouts import WARM
from comfyui_matrixgame.variants import FRAMES_PER_BLOCK, UNIVERSAL

PACK = Path(__file__).resolve().parents[1]
LAUNCHER = PACK / "tests" / "host" / "launch.py"  # also starts one whose torchvision does not fit its torch
START_SECONDS = 240
TELLING = re.compile(r"matrix-?game|graphs|vram|device:|loaded", re.IGNORECASE)  # lines of the log that say how it ran


def frames_a_second(root: Path, device: torch.device, small: bool, blocks: int, flags: list[str]) -> dict[str, Any]:
    """Mean seconds of a warm block of the universal variant, and the lines of the log that say how it ran.

    small: use the demo world, to try the program itself. blocks: how many blocks are averaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        for name in ("custom_nodes", "input", "output", "temp", "user", "models"):
            (base / name).mkdir()
        (base / "custom_nodes" / "matrixgame").symlink_to(PACK, target_is_directory=True)
        shutil.copy(start_images()[0], base / "input" / "a.png")
        if not small:
            write_weights(base / "models")
        server = Server(root, base, [*flags, *(["--cpu"] if device.type == "cpu" else [])])
        try:
            short = 2 if small else WARM
            server.run(prompt(short, small, seed=0))  # loads, and chooses kernels
            lengths = (short, short + blocks)
            spent = [server.run(prompt(count, small, seed=1 + turn)) for turn, count in enumerate(lengths)]
        finally:
            server.stop()
        block = (spent[1] - spent[0]) / blocks
        lines = [line for line in server.log().splitlines() if TELLING.search(line)]
    return {
        "variant": UNIVERSAL.name, "decoder": "Wan VAE", "dtype": "bfloat16",
        "weights": "demo world" if small else "random",
        "block_s": block, "of_blocks": blocks, "frames_per_s": FRAMES_PER_BLOCK / block, "rollouts_s": spent,
        "log": lines[-40:],
    }  # fmt: skip


def write_weights(models: Path) -> None:
    """Random weights of the published sizes and layouts."""
    made = random_models(UNIVERSAL, "full", "bfloat16", torch.device("cpu"), "wan")
    tower = image_tower(torch.bfloat16, torch.device("cpu")).model.state_dict()
    tower = {f"vision_model.{name.removeprefix('vision_model.')}": tensor for name, tensor in tower.items()}
    # published files carry the last block, which is never run
    last = {name: tensor for name, tensor in tower.items() if ".layers.30." in name}
    tower |= {name.replace(".layers.30.", ".layers.31."): tensor.clone() for name, tensor in last.items()}
    files = {
        "diffusion_models/g.safetensors": made.generator.state_dict(),
        "vae/v.safetensors": made.vae.state_dict(),
        "clip_vision/c.safetensors": tower,
    }
    for name, tensors in files.items():
        (models / name).parent.mkdir(parents=True, exist_ok=True)
        save_file({key: value.contiguous() for key, value in tensors.items()}, models / name)


def prompt(blocks: int, small: bool, seed: int) -> dict[str, Any]:
    """A rollout of this many blocks whose frames become a video."""
    picture = {"class_type": "LoadImage", "inputs": {"image": "a.png"}}
    tower = {"class_type": "CLIPVisionLoader", "inputs": {"clip_name": "c.safetensors"}}
    generator, vae = (DEMO_WORLD, DEMO_WORLD) if small else ("g.safetensors", "v.safetensors")
    height, width = (0, 0) if small else SIZES["full"]
    start = {"model": ["g", 0], "vae": ["v", 0], "seed": seed, "width": width, "height": height, "image": ["i", 0]}
    nodes: dict[str, Any] = {
        "g": ("MatrixGameLoadGenerator", {"file": generator, "dtype": "auto", "attention": "auto"}),
        "v": ("MatrixGameLoadVAE", {"file": vae, "decoder": "full", "dtype": "auto"}),
        "w": ("MatrixGameStartWorld", start if small else {**start, "clip_vision": ["c", 0]}),
        "a": ("MatrixGameActionTimeline", {"variant": UNIVERSAL.name, "script": f"w {12 * blocks - 3}f"}),
        "r": ("MatrixGameRollOut", {"world": ["w", 0], "actions": ["a", 0], "images": "when connected"}),
        "s": (
            "SaveVideo",
            {"video": ["r", 1], "filename_prefix": "a", "format": "auto", "codec": "auto", "format.codec": "auto"},
        ),
    }
    made = {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}
    return made | {"i": picture} | ({} if small else {"c": tower})


class Server:
    """A ComfyUI that this program started."""

    def __init__(self, root: Path, base: Path, flags: list[str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        self._log = base / "host.log"
        places = [root / ".venv", root / "venv", root.parent / "python_embeded"]
        pythons = [place / name for place in places for name in ("bin/python", "Scripts/python.exe", "python.exe")]
        python = next((path for path in pythons if path.exists()), sys.executable)
        command = [
            str(python), str(LAUNCHER), "--port", str(port), "--base-directory", str(base), "--disable-auto-launch",
            "--disable-api-nodes", "--database-url", "sqlite:///:memory:", *flags,
        ]  # fmt: skip
        environment = {**os.environ, "COMFYUI_PATH": str(root)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=root, env=environment)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                self._ask("/system_stats")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.2)
        self.stop()
        raise RuntimeError(f"ComfyUI did not start; its log ends with: {self.log()[-600:]}")

    def run(self, nodes: dict[str, Any]) -> float:
        """Seconds from the first node to the last of a prompt. Raises RuntimeError where it failed."""
        number = self._ask("/prompt", {"prompt": nodes})["prompt_id"]
        while number not in (history := self._ask(f"/history/{number}")):
            if self._process.poll() is not None:
                raise RuntimeError(f"ComfyUI ended; its log ends with: {self.log()[-600:]}")
            time.sleep(0.05)
        status = history[number]["status"]
        if status["status_str"] != "success":
            raise RuntimeError(f"ComfyUI: {json.dumps(status['messages'][-1])[:600]}")
        times = {name: about["timestamp"] for name, about in status["messages"]}
        return (times["execution_success"] - times["execution_start"]) / 1e3

    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())
