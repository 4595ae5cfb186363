"""Devices: which there are, the streams of each thread on them, and the dtypes they can compute in.

CUDA has a current device in each thread. Triton's kernels, events and captures go there, whatever device the tensors
are on. `computing_on` sets it, and everything that computes runs inside: no thread has to think of it.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import torch
import torch.nn.functional as functional
from torch import Tensor

from ..errors import BackendError
from .faults import reason_of
from .trials import trial_is_chosen

Function = TypeVar("Function", bound=Callable[..., Any])
VISIBLE = "CUDA_VISIBLE_DEVICES"
OTHERS = ("xpu", "mps")  # kinds of devices that are used where they have every operation
log = logging.getLogger(__name__)
BFLOAT16_FROM = (8, 0)  # compute capability: older cards have no products in it, nor does Triton compile it for them
SMALL = 50_000_000  # parameters up to which one thread of a CPU is enough
CUDNN_ATTENTION = (9, 10)  # major capabilities on which cuDNN's attention is ahead (Hopper; data centre Blackwell)


def find_device(name: str | None) -> torch.device:
    """The device called `name`, or the best there is, which becomes this thread's current one. Raises BackendError,
    with the reason, where it does not work."""
    if name is None:
        name = "cuda" if _cuda_works() else next((kind for kind in OTHERS if _serves(kind)), "cpu")
    try:
        device = torch.device(name)
        if device.type == "meta":
            raise RuntimeError("it computes nothing")
        torch.ones(1, device=device).add(1).item()  # a kernel of its own, waited for: does the card run this torch?
        if device.type == "cuda":
            torch.cuda.set_device(device)
    except Exception as error:  # each kind of device has its own classes, down to a module that is not there
        why = _why_not(name, error)
        raise BackendError(f"The device '{name}' is not available here: {why}. Use --device cpu.") from None
    return device


def _serves(kind: str) -> bool:
    """Whether a device other than NVIDIA's is there and has every operation that the networks use; where one is
    missing, the log says so."""
    module = getattr(torch, kind, None)
    if module is None or not module.is_available():
        return False
    why = missing_operation(torch.device(kind))
    if why:
        log.warning("The device '%s' is there, but %s; the CPU is used. --device %s forces it.", kind, why, kind)
    return not why


def missing_operation(device: torch.device) -> str:
    """The first of the networks' operations that a device does not have, as a clause; empty where it has all."""
    for name, run in _OPERATIONS.items():
        try:
            if not bool(torch.isfinite(run(device).float()).all()):
                return f"its {name} gives infinities or NaN"
        except (RuntimeError, NotImplementedError, TypeError) as error:
            return f"it has no {name} ({reason_of(error)})"
    return ""


def _rotation(device: torch.device) -> Tensor:
    pairs = torch.view_as_complex(torch.ones(4, 2, 2, device=device))
    return torch.view_as_real(pairs * torch.polar(torch.ones(2), torch.ones(2)).to(torch.complex64).to(device))


def _attention(device: torch.device) -> Tensor:
    q = torch.ones(1, 2, 8, 16, device=device, dtype=torch.bfloat16 if multiplies_bfloat16(device) else torch.float32)
    return functional.scaled_dot_product_attention(q, q, q)


_OPERATIONS: dict[str, Callable[[torch.device], Tensor]] = {
    "convolution in space and time": lambda device: functional.conv3d(
        torch.ones(1, 2, 3, 4, 4, device=device), torch.ones(2, 2, 3, 3, 3, device=device), padding=1
    ),
    "convolution": lambda device: functional.conv2d(
        torch.ones(1, 2, 4, 4, device=device), torch.ones(2, 2, 3, 3, device=device), padding=1
    ),
    "complex product": _rotation,
    "attention": _attention,
    "enlarging": lambda device: functional.interpolate(
        torch.ones(1, 2, 4, 4, device=device), scale_factor=2.0, mode="nearest-exact"
    ),
    "norm": lambda device: functional.layer_norm(torch.ones(2, 8, device=device), (8,)),
}
"""What the networks compute with besides sums and products, each as small as it can be."""


@cache
def widest_float(device: torch.device) -> torch.dtype:
    """float64 where a device has it, otherwise float32: MPS has none, and neither have XPUs of some cards."""
    if device.type in ("cpu", "cuda", "meta"):
        return torch.float64
    try:
        torch.ones(1, dtype=torch.float64, device=device).add(1).item()
    except (RuntimeError, TypeError):
        return torch.float32
    return torch.float64


def fit_threads(device: torch.device, parameters: int) -> None:
    """On a CPU, have one thread compute networks as small as the demo world's; OMP_NUM_THREADS has the last word.

    Several would mostly wait for each other: three blocks took 1.5 s with one and 20 s with two on a busy machine of
    two cores, with the same frames to the bit (measured 2026-11-30).
    """
    if device.type == "cpu" and parameters < SMALL and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def _cuda_works() -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about an old driver: using the CPU is no error where nobody asked for CUDA
        return torch.cuda.is_available()


def _why_not(name: str, error: BaseException) -> str:
    kind = name.partition(":")[0]
    if kind == "mps" and not torch.backends.mps.is_available():
        return "it needs a Mac with Apple silicon, and a torch for it"
    if kind != "cuda":
        return reason_of(error) if kind in ("mps", "xpu") else "torch does not know it"
    hidden = os.environ.get(VISIBLE)
    if not torch.backends.cuda.is_built() and not torch.cuda.is_available():
        return "this torch was built without CUDA (pytorch.org has one with it)"
    if hidden is not None and torch.cuda.device_count() == 0:
        return f"{VISIBLE} is '{hidden}' and hides all GPUs"
    count = torch.cuda.device_count() if _cuda_works() else 0
    _, _, index = name.partition(":")
    if count and index.isdecimal() and int(index) >= count:
        last = f"cuda:0 to cuda:{count - 1}" if count > 1 else "cuda:0"
        return f"there is only {last}" + (f", of those that {VISIBLE}={hidden} shows" if hidden else "")
    return reason_of(error)


@contextmanager
def computing_on(device: torch.device) -> Iterator[None]:
    """Compute on `device`, without gradients, with it as this thread's current one; restored afterwards."""
    if device.type != "cuda":
        with torch.inference_mode():
            yield
        return
    with torch.cuda.device(device), torch.inference_mode(), _cudnn_choosing():
        yield


@contextmanager
def _cudnn_choosing() -> Iterator[None]:
    """In that trial, let cuDNN time its convolutions and choose."""
    if not trial_is_chosen("cudnn-benchmark"):
        yield
        return
    before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def computes(function: Function) -> Function:
    """For functions whose first argument is the models: run inside `computing_on` their device."""

    @functools.wraps(function)
    def inside(models: Any, *arguments: Any, **named: Any) -> Any:
        with computing_on(models.device):
            return function(models, *arguments, **named)

    return inside  # type: ignore[return-value]


def computes_with_its_models(method: Function) -> Function:
    """The same for methods of objects that hold the models as `models`."""

    @functools.wraps(method)
    def inside(self: Any, *arguments: Any, **named: Any) -> Any:
        with computing_on(self.models.device):
            return method(self, *arguments, **named)

    return inside  # type: ignore[return-value]


@cache
def _streams() -> threading.local:
    return threading.local()


def side_stream(device: torch.device) -> torch.cuda.Stream:
    """This thread's second stream of a CUDA device, which goes first where both have work. One for all rollouts: the
    allocator keeps what was used on a stream for that stream alone."""
    mine = vars(_streams())
    key = f"side of {device}"
    if key not in mine:
        mine[key] = torch.cuda.Stream(device, priority=-1)
    return mine[key]


@cache
def capture_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream that work of a device is recorded on. torch has one for all devices, which records on its own only."""
    return torch.cuda.Stream(device)


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device other than a CPU has products in bfloat16."""
    if device.type == "cuda":
        if torch.version.hip is not None or not torch.cuda.is_available():  # the device is on a Ray worker's machine
            return True
        return torch.cuda.get_device_capability(device) >= BFLOAT16_FROM
    if device.type == "meta":
        return True
    try:
        one = torch.ones(16, 16, dtype=torch.bfloat16, device=device)
        return bool(((one @ one) == 16).all())
    except (RuntimeError, TypeError):  # MPS before macOS 14, XPU of some cards
        return False


@cache
def prefers_cudnn_attention(device: torch.device) -> bool:
    """Whether cuDNN's attention is faster there than torch's own flash-attn 2 (measured on an H100)."""
    if device.type != "cuda" or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability(device)[0] in CUDNN_ATTENTION
