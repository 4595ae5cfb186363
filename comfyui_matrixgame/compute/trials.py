"""Ways of computing that only a device can judge: off unless a bench asks for them, in one environment variable.

    MATRIXGAME_TRY=fp8-by-tensor,cudnn-benchmark python bench/run.py --only runs

Each gives the same numbers within rounding. The one that wins on a device becomes the way, and leaves this list.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import BackendError

SWITCH = "MATRIXGAME_TRY"
TRIALS = {
    "fp8-by-tensor": "cuBLAS's product of 8-bit floats with the scales after it, before the one with scales inside",
    "convolve-in-planes": "the VAE's wide convolutions in the plane, over the channels of three frames at once",
    "96-in-two": "Triton's convolution to 96 channels with sums of 64 and 32 of them, where 128 waste a quarter",
    "latents-together": "the VAE's decoder up to the first doubling of time with all latents that it is given at once",
    "cudnn-benchmark": "cuDNN times its convolutions and takes the quickest, which may be another one in each process",
}


def trial_is_chosen(trial: str) -> bool:
    """Whether a trial of TRIALS was asked for. Raises BackendError where the variable names an unknown trial."""
    assert trial in TRIALS
    return trial in _asked_for(os.environ.get(SWITCH, ""))


@contextmanager
def with_trials(*trials: str) -> Iterator[None]:
    """Ask for these trials and no others."""
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = ",".join(trials)
    try:
        yield
    finally:
        if before is None:
            del os.environ[SWITCH]
        else:
            os.environ[SWITCH] = before


@functools.cache
def _asked_for(names: str) -> frozenset[str]:
    asked = frozenset(name.strip() for name in names.split(",") if name.strip())
    if unknown := sorted(asked - TRIALS.keys()):
        raise BackendError(f"{SWITCH} names {', '.join(unknown)}; use some of {', '.join(TRIALS)}.")
    return asked
