"""Every wait of the engine is needed: without it, work is out of order, and the pretended GPU says so.

The places where streams, events and the host wait are found while rollouts run; then each is left out in turn.
"""

from __future__ import annotations

import gc
import linecache
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
import torch

from comfyui_matrixgame.compute.streaming import stream_weights
from comfyui_matrixgame.networks.generator import Generator
from comfyui_matrixgame.world import Models, rollout

from ...pretend_gpu import Machine, PretendTensor, pretend_gpus
from ...support.networks import small_models, with_streams
from ..networks import CUDA, begin, small_on, track_of, without_graphs

# what may be left out, by the line of the engine, and why
REDUNDANT = {
    "compute/streaming.py: self._stream.wait_stream(torch.cuda.current_stream(device))": "their way home waits, too",
    "world/block/finish.py: main.wait_event(side.record_event())": "for speed: the first frames have the device alone",
    "world/block/finish.py: main.wait_event(there)": "for speed: the frames have the device alone, too",
}
OURS, PRETENDED = "/comfyui_matrixgame/", "/pretend_gpu/"


def whole() -> Models:
    return small_on(CUDA[0], tiny=True)


def streamed() -> Models:
    """More layers than there are places for."""
    config = replace(small_models().generator.config, layers=4)
    generator: Any = with_streams(Generator(config), "waits")
    stream_weights(generator, CUDA[0])
    there = whole()
    return Models(generator, there.vae, there.decoder, None, generator_id="waits")


def run(make: Callable[[], Models]) -> None:
    """A rollout whose frames and worlds are read at once, and whose memory is used again when it is let go."""
    models = make()
    going = rollout(models, begin(models), track_of(models, 2), 2)
    for block in going:
        block.frames.sum()
        block.latents.cpu()
        going.world.to("cpu")
    del models, going, block
    gc.collect()
    torch.empty(1000, device=CUDA[0])


def site() -> str:
    """The line of the engine that waits; empty where torch or a test does."""
    frame = sys._getframe(1)
    while frame.f_back is not None and (PRETENDED in frame.f_code.co_filename or frame.f_code.co_filename == __file__):
        frame = frame.f_back
    path = frame.f_code.co_filename
    if OURS not in path:
        return ""
    line = linecache.getline(path, frame.f_lineno).partition("  #")[0].strip()
    return f"{path.rpartition(OURS)[2]}: {line}"


@contextmanager
def watched(seen: set[str], left_out: str = "") -> Iterator[None]:
    """Every wait of the engine is noted, and those of one line are not done."""

    def wrapped(wait: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            here = site()
            seen.add(here)
            return None if here and here == left_out else wait(*args, **kwargs)

        return called

    places = [
        *((torch.cuda.Stream, name) for name in ("wait_event", "wait_stream", "synchronize")),
        *((torch.cuda.Event, name) for name in ("wait", "synchronize")),
        (torch.cuda, "synchronize"),
        (PretendTensor, "record_stream"),
    ]
    with ExitStack() as stack:
        for owner, name in places:
            stack.enter_context(mock.patch.object(owner, name, wrapped(getattr(owner, name))))
        yield


def races(make: Callable[[], Models], seen: set[str], left_out: str = "") -> list[str]:
    """What is reported of a run, and the waits in it."""
    with pretend_gpus(1) as gpus, watched(seen, left_out), without_graphs():
        run(make)
        return list(gpus.races)


@pytest.mark.parametrize("make", [whole, pytest.param(streamed, marks=pytest.mark.slow)])
def test_no_wait_may_be_left_out(make: Callable[[], Models], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATRIXGAME_TRITON", "0")
    seen: set[str] = set()
    assert races(make, seen) == []
    sites = sorted(seen - {""})
    assert len(sites) >= 2
    needed = {line for line in sites if races(make, set(), line)}
    assert set(sites) - needed == {line for line in sites if line in REDUNDANT}


def test_a_site_is_a_line_of_the_engine(gpus: Machine) -> None:
    seen: set[str] = set()
    with watched(seen):
        torch.cuda.synchronize()
    assert seen == {""}
