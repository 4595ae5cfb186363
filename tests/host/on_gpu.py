"""Scripts in a process of core's own, on a pretended GPU (tests/pretend_gpu), with or without its dynamic VRAM."""

from __future__ import annotations

import json
from pathlib import Path

from .launch import comfyui_path
from .processes import printed
from .server import PACK

CARD = 24e9  # bytes

ON_GPU = """
import json, os, sys
given = json.loads(sys.argv[1])
sys.argv = ["main.py", "--base-directory", given["base"]]
sys.path[:0] = [given["pack"]]
import torch
torch.set_num_threads(1)
from tests.host.launch import install_stand_ins
from tests.pretend_gpu import pretend_gpus
install_stand_ins()
with pretend_gpus(1, total=given["card"]) as gpus:
    sys.path[:0] = [given["root"]]  # its tests folder has the name of ours
    import comfy.options
    comfy.options.enable_args_parsing()
    if given["dynamic"]:
        from tests.host.gpu.pretend_aimdo import VBar, turn_on
        turn_on()
    exec(compile(given["script"], "script", "exec"), {**globals(), **given["names"]})
assert not gpus.races, gpus.races
"""


def run_on_gpu(script: str, base: Path, dynamic: bool = True, card: float = CARD, **names: str | int) -> str:
    """What a script prints, where these names have these values, and `gpus` is the pretended machine. dynamic: whether
    core's dynamic VRAM is on, as it is by default; then `VBar.all` are the models' places on the device. card: bytes
    of the device."""
    given = {"script": script, "base": str(base), "pack": str(PACK), "root": str(comfyui_path()), "dynamic": dynamic}
    given |= {"card": card, "names": names}
    return printed(ON_GPU, json.dumps(given), environment={"MATRIXGAME_TRITON": "0"})
