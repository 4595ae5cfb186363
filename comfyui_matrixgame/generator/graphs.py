"""Whole passes recorded once and replayed: one launch in place of more than a thousand.

A pass does the same work on the same addresses in every block in which the window is full and starts at the same
slot: twice for a window of 6, four times for one of 4. What changes from pass to pass is copied into tensors that
stay where they are. Where passes cannot be recorded they run call by call, and the log says why.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ..streaming import is_streamed
from .kv_cache import Caches
from .model import BlockConstants, Generator, RolloutConstants

log = logging.getLogger(__name__)
SWITCH = "MATRIXGAME_GRAPHS"  # set to 0 to do without

Replay = Callable[[], None]


class Recorder(Protocol):
    """Records work on a device: the work is not done then, but each time the replay is called, on the same tensors."""

    def record(self, work: Callable[[], Tensor]) -> tuple[Replay, Tensor]:
        """The replay, and the tensor that it fills."""
        ...


class CudaRecorder:
    """CUDA graphs that share one pool of memory."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, work: Callable[[], Tensor]) -> tuple[Replay, Tensor]:
        """See Recorder.record."""
        graph = torch.cuda.CUDAGraph()
        # other threads of a host may use the device meanwhile
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            output = work()
        return graph.replay, output


def recorder_for(generator: Generator, device: torch.device) -> Recorder | None:
    """What can record a generator's passes on a device; None where nothing can, or where it was switched off."""
    if is_streamed(generator):
        log.info("Passes run call by call, not as CUDA graphs: the weights come from main memory layer by layer.")
        return None
    if device.type != "cuda" or torch.version.hip is not None or os.environ.get(SWITCH) == "0":
        return None
    return CudaRecorder()


@dataclass(frozen=True)
class _Inputs:
    """Tensors that stay where they are, one for each thing that changes between passes."""

    latents: Tensor
    condition: Tensor
    rollout: RolloutConstants  # with one step
    block: BlockConstants

    @staticmethod
    def like(latents: Tensor, condition: Tensor, rollout: RolloutConstants, block: BlockConstants) -> _Inputs:
        return _Inputs(
            latents.clone(),
            condition.clone(),
            replace(
                rollout,
                modulations=rollout.modulations[:1].clone(),
                head_modulations=rollout.head_modulations[:1].clone(),
            ),
            replace(
                block,
                span=replace(block.span, rotations=block.span.rotations.clone()),
                rotations=block.rotations.clone(),
                cameras=[None if camera is None else camera.clone() for camera in block.cameras],
            ),
        )

    def take_step(self, latents: Tensor, rollout: RolloutConstants, step: int) -> None:
        self.latents.copy_(latents)
        self.rollout.modulations.copy_(rollout.modulations[step : step + 1])
        self.rollout.head_modulations.copy_(rollout.head_modulations[step : step + 1])

    def take_block(self, condition: Tensor, block: BlockConstants) -> None:
        self.condition.copy_(condition)
        self.block.span.rotations.copy_(block.span.rotations)
        self.block.rotations.copy_(block.rotations)
        for ours, theirs in zip(self.block.cameras, block.cameras, strict=True):
            if ours is not None and theirs is not None:
                ours.copy_(theirs)


class Passes:
    """Runs the passes of one rollout, whose caches stay where they are.

    The tensor returned by a call is overwritten by the next one.
    """

    def __init__(self, generator: Generator, caches: Caches, recorder: Recorder | None) -> None:
        self._generator, self._caches, self._recorder = generator, caches, recorder
        self._replays: dict[int, tuple[Replay, Tensor]] = {}
        self._warm: set[int] = set()
        self._inputs: _Inputs | None = None
        self._block: BlockConstants | None = None
        self._addresses: list[int] = []

    def __call__(
        self, latents: Tensor, condition: Tensor, step: int, rollout: RolloutConstants, block: BlockConstants
    ) -> Tensor:
        """See Generator.forward."""
        new_block, self._block = block is not self._block, block
        if self._recorder is not None and new_block:
            self._look_at_weights(latents.device)
        slot = block.span.first_frame % self._generator.config.window
        full = block.span.end_frame >= self._generator.config.window
        if self._recorder is None or not full or slot not in self._warm:
            # the first pass of a kind loads kernels and makes workspaces, which cannot be done while recording
            self._warm.update({slot} if full else ())
            return self._generator(latents, condition, step, rollout, block, self._caches)
        if self._inputs is None:
            self._inputs = _Inputs.like(latents, condition, rollout, block)
        inputs = self._inputs
        if new_block or slot not in self._replays:
            inputs.take_block(condition, block)
        inputs.take_step(latents, rollout, step)
        if slot not in self._replays and not self._record(slot, block):
            return self._generator(latents, condition, step, rollout, block, self._caches)
        replay, output = self._replays[slot]
        replay()
        return output

    def _record(self, slot: int, block: BlockConstants) -> bool:
        assert self._inputs is not None
        assert self._recorder is not None
        inputs = self._inputs
        # where the block stands decides which slots are written; its tensors are the ones that stay
        span = replace(block.span, rotations=inputs.block.span.rotations)
        here = replace(inputs.block, span=span)
        try:
            self._replays[slot] = self._recorder.record(
                lambda: self._generator(inputs.latents, inputs.condition, 0, inputs.rollout, here, self._caches)
            )
        except RuntimeError as error:
            self._give_up(f"recording them failed: {error}")
            return False
        return True

    def _look_at_weights(self, device: torch.device) -> None:
        """Forget what was recorded with weights that a host has moved since; do without where they are elsewhere."""
        parameters = list(self._generator.parameters())
        away = sum(parameter.device != device for parameter in parameters)
        if away:
            self._give_up(f"{away} of {len(parameters)} weights are not on the device")
            return
        addresses = [parameter.data_ptr() for parameter in parameters]
        if addresses != self._addresses:
            if self._replays:
                log.info("The generator's weights have moved; its passes are recorded again.")
            self._replays.clear()
            self._warm.clear()
            self._addresses = addresses

    def _give_up(self, why: str) -> None:
        log.info("Passes run call by call, not as CUDA graphs: %s.", why)
        self._recorder = None
        self._replays.clear()
        self._inputs = None
