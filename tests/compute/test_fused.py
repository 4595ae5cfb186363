"""The tests of kernel_checks.py, in a process of their own: in Triton's interpreter, and on a CUDA device too.

Triton decides when it is imported whether it interprets, and here it may have been imported already.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
ON_A_CARD = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]


@pytest.mark.parametrize("interpreted", ["1", pytest.param("0", marks=ON_A_CARD)])
def test_the_kernels_give_what_torch_gives(interpreted: str) -> None:
    pytest.importorskip("triton", reason="Triton is not installed here, so its kernels are not tested")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/compute/kernel_checks.py"]
    environment = {**os.environ, "TRITON_INTERPRET": interpreted}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
