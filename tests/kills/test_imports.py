"""A signal in an import: what is begun is imported to its end, and then the program says that it was stopped."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .chains import KILLS, ROOT, SEED, STOPS

MODULES = (
    "numpy.linalg", "torch.autograd", "torch.nn.modules.conv", "torch.nn.functional", "torch.fx", "torch._dynamo",
    "av.container.core", "PIL.Image", "safetensors", "tqdm.std", "transformers.utils.import_utils",
    "transformers.modeling_utils", "transformers.models.auto.tokenization_auto",
)  # fmt: skip
"""Which commands import when they need them: a signal comes just after one of them, mostly within another's import."""


@pytest.mark.parametrize("module", random.Random(SEED).sample(MODULES, len(MODULES) if KILLS else 2))
def test_a_signal_waits_for_the_end_of_an_import(module: str, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "comfyui_matrixgame", "render", "--device", "cpu"]
    command += ["--keys", "w", "--blocks", "40", "-o", str(tmp_path / "o.mp4")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("import time:") and line.rpartition("|")[2].strip() == module:
                process.send_signal(STOPS[1])
                break
        else:
            pytest.fail(f"{module} is not imported any more; name another one.")
        said = [line for line in process.stderr if not line.startswith("import time:")]
    assert process.returncode == 143, said
    assert said[-1] == "matrixgame: stopped.\n"
    assert not any(word in line for line in said for word in ("Traceback", "ignored", "terminate"))


SWALLOWS = """
import os, signal
try:
    os.kill(os.getpid(), signal.{name})
    import {module}_inner
except BaseException:
    broken = True
done = True
"""


STOPS_IN_IT = """
import importlib, json, signal, sys, threading
from comfyui_matrixgame.system.stopping import SIGNALS, Stopped, stopping

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a program in the background does not have
before = [signal.getsignal(number) for number in SIGNALS]
number = 0
try:
    with stopping():
        importlib.import_module(sys.argv[1])
        threading.Event().wait(60)
except Stopped as stopped:
    number = stopped.number
module = sys.modules[sys.argv[1]]
after = [signal.getsignal(number) for number in SIGNALS]
print(json.dumps([number, module.done, hasattr(module, "broken"), after == before]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_library_does_not_swallow_a_signal(name: str, tmp_path: Path) -> None:
    """Many libraries catch everything around an import that may fail. Afterwards the program still stops, at once."""
    module = f"swallows_{name.lower()}"
    (tmp_path / f"{module}.py").write_text(SWALLOWS.format(name=name, module=module))
    (tmp_path / f"{module}_inner.py").write_text("import importlib; importlib.import_module('colorsys')")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    # in a process of its own: other tests' libraries have handlers for these signals too
    command = [sys.executable, "-c", STOPS_IN_IT, module]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [getattr(signal, name), True, False, True]
