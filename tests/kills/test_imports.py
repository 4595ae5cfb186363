"""A signal in an import: what is begun is imported to its end, and then the program says that it was stopped."""

from __future__ import annotations

import importlib
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from comfyui_matrixgame.system.stopping import SIGNALS, Stopped, stopping

from .chains import KILLS, ROOT, SEED, STOPS

MODULES = (
    "numpy.linalg", "torch.autograd", "torch.nn.modules.conv", "torch.nn.functional", "torch.fx", "torch._dynamo",
    "av.container.core", "PIL.Image", "safetensors", "tqdm.std", "transformers.utils.import_utils",
    "transformers.modeling_utils", "transformers.models.clip.configuration_clip",
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


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_library_does_not_swallow_a_signal(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many do whose parts may be missing; whoever goes on after the import waits in vain, but for a moment."""
    module = f"swallows_{name.lower()}"
    (tmp_path / f"{module}.py").write_text(SWALLOWS.format(name=name, module=module))
    (tmp_path / f"{module}_inner.py").write_text("import importlib; importlib.import_module('colorsys')")
    monkeypatch.syspath_prepend(tmp_path)
    before = [signal.getsignal(number) for number in SIGNALS]

    def work() -> None:
        with stopping():
            importlib.import_module(module)
            threading.Event().wait(60)
            pytest.fail("The signal was lost.")

    with pytest.raises(Stopped) as stopped:
        work()
    assert stopped.value.number == getattr(signal, name)
    assert sys.modules[module].done
    assert not hasattr(sys.modules[module], "broken")
    assert [signal.getsignal(number) for number in SIGNALS] == before
