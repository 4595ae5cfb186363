"""Ways of computing that only a device can judge: off unless a bench asks for them, in one variable of the environment.

    MATRIXGAME_TRY=fp8-by-tensor,cudnn-benchmark python bench/run.py --only runs

Each gives the same numbers within rounding. The one that wins on a device becomes the way, and leaves this list.
"""

from __future__ import annotations

import functools
import os

from .errors import BackendError

SWITCH = "MATRIXGAME_TRY"
TRIALS = {
    "fp8-by-tensor": "cuBLAS's product of 8-bit floats with the scales after it, before the one with scales inside",
}


def chosen(trial: str) -> bool:
    """Whether a trial of TRIALS was asked for. Raises BackendError where the variable names one that is none."""
    assert trial in TRIALS
    return trial in _asked_for(os.environ.get(SWITCH, ""))


@functools.cache
def _asked_for(names: str) -> frozenset[str]:
    asked = frozenset(name.strip() for name in names.split(",") if name.strip())
    if unknown := sorted(asked - TRIALS.keys()):
        raise BackendError(f"{SWITCH} names {', '.join(unknown)}; use some of {', '.join(TRIALS)}.")
    return asked
