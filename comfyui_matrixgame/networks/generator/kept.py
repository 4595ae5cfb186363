"""Passes that are kept from one rollout to the next: their rings, and what was recorded on them.

Recording costs the first blocks of a rollout a third of a second, and rings take a gigabyte. A rollout has the passes
of its generator to itself as long as it lives; worlds never hold their rings, only copies.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch

from .graphs import Passes
from .kv_cache import Caches
from .model import Generator
from .recording import Recorder


@dataclass
class _Kept:
    """Passes between two rollouts. kind: of their rings. holder: the rollout that has them. stream: where it worked."""

    kind: Hashable
    passes: Passes
    holder: ref[object]
    stream: Any


_KEPT: WeakKeyDictionary[Generator, dict[torch.device, _Kept]] = WeakKeyDictionary()
_KEEPING = threading.RLock()


def passes_for(
    generator: Generator,
    holder: object,
    recorder: Recorder | None,
    kind: Hashable,
    device: torch.device,
    new_caches: Callable[[], Caches],
    worthwhile: bool,
) -> Passes:
    """Passes for a rollout (the holder), with rings of a kind whose entries may be anything.

    They are those that an earlier rollout has left, with all that it recorded, or new ones, which are recorded where
    that is worthwhile and kept for the next rollout. A generator keeps those of one rollout on each device, as long
    as it lives or until `forget_passes`. Nobody else gets them while their holder lives.
    """
    generator.when_moved = forget_passes
    with _KEEPING:
        mine = _KEPT.setdefault(generator, {})
        kept = mine.get(device)
        taken = kept is not None and kept.holder() is not None
        if kept is not None and not taken:
            if recorder is not None and kept.kind == kind and kept.passes.recorder is recorder:
                kept.holder = ref(holder)
                _go_on_after(kept)
                kept.passes.begin()
                return kept.passes
            if worthwhile or recorder is None:
                del mine[device]  # before there are new ones beside them
        kept = None
    passes = Passes(generator, new_caches(), recorder if worthwhile else None)
    if passes.recorder is not None and not taken:
        with _KEEPING:
            mine.setdefault(device, _Kept(kind, passes, ref(holder), _stream_of(device)))
    return passes


def release_passes(generator: Generator, passes: Passes, for_good: bool) -> None:
    """Let go of passes that their holder no longer needs. for_good: nobody else may have their rings either."""
    with _KEEPING:
        mine = _KEPT.get(generator, {})
        for device, kept in list(mine.items()):
            if kept.passes is passes and for_good:
                del mine[device]
            elif kept.passes is passes:
                kept.holder = ref(_Nobody())


def forget_passes(generator: Generator) -> None:
    """Free what is kept for a generator's next rollout: rings, recordings and their working memory."""
    with _KEEPING:
        _KEPT.pop(generator, None)


class _Nobody:
    """A holder that is gone at once."""


def _stream_of(device: torch.device) -> Any:
    return torch.cuda.current_stream(device) if device.type == "cuda" else None


def _go_on_after(kept: _Kept) -> None:
    """Make this thread's stream wait for what the last rollout did with the same memory."""
    if kept.stream is not None:
        now = torch.cuda.current_stream(kept.stream.device)
        if now != kept.stream:
            now.wait_stream(kept.stream)
        kept.stream = now
