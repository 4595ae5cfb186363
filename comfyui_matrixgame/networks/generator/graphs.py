"""The passes of a rollout, each kind recorded once and replayed: one launch in place of more than a thousand.

A pass does the same work on the same addresses in every block in which the window is full and starts at the same
slot: every second one for a window of 6, every fourth for one of 4, every fifth for one of 6 with a sink of 1. What
changes from pass to pass is copied into tensors that stay where they are. Where passes cannot be recorded they run
call by call, and the log says why.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from weakref import ref

import torch
from torch import Tensor, nn

from .kv_cache import Caches, slot_of
from .model import BlockConstants, Generator, RolloutConstants
from .recording import Recorder, RefusedError, Replay

log = logging.getLogger(__name__)


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
                image_kv=[(k.clone(), v.clone()) for k, v in rollout.image_kv],
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

    def copy_rollout(self, rollout: RolloutConstants) -> None:
        for ours, theirs in zip(self.rollout.image_kv, rollout.image_kv, strict=True):
            for mine, other in zip(ours, theirs, strict=True):
                mine.copy_(other)

    def copy_step(self, latents: Tensor, rollout: RolloutConstants, step: int) -> None:
        self.latents.copy_(latents)
        self.rollout.modulations.copy_(rollout.modulations[step : step + 1])
        self.rollout.head_modulations.copy_(rollout.head_modulations[step : step + 1])

    def copy_block(self, condition: Tensor, block: BlockConstants) -> None:
        self.condition.copy_(condition)
        self.block.span.rotations.copy_(block.span.rotations)
        self.block.rotations.copy_(block.rotations)
        for ours, theirs in zip(self.block.cameras, block.cameras, strict=True):
            if ours is not None and theirs is not None:
                ours.copy_(theirs)


class Passes:
    """Runs the passes of a rollout, whose caches stay where they are; several rollouts may take turns.

    The tensor returned by a call is overwritten by the next one.
    """

    def __init__(self, generator: Generator, caches: Caches, recorder: Recorder | None) -> None:
        self._of, self.caches, self._recorder = ref(generator), caches, recorder  # kept passes keep no generator
        self._replays: dict[int, tuple[Replay, Tensor]] = {}
        self._warm: set[int] = set()
        self._inputs: _Inputs | None = None
        self._block: BlockConstants | None = None
        self._rollout: RolloutConstants | None = None
        self._layers: list[ref[nn.Module]] = []  # nor its layers
        self._weights: list[object] = []

    @property
    def recorder(self) -> Recorder | None:
        """What records the passes; None where nothing does, or after it failed."""
        return self._recorder

    def __call__(
        self, latents: Tensor, condition: Tensor, step: int, rollout: RolloutConstants, block: BlockConstants
    ) -> Tensor:
        """See Generator.forward."""
        generator = self._of()
        assert generator is not None
        new_block, self._block = block is not self._block, block
        if self._recorder is not None and new_block:
            self._look_at_weights(generator, latents.device)
        config = generator.config
        slot = slot_of(block.span.first_frame, config.window, config.sink)
        full = block.span.end_frame >= config.window
        if self._recorder is None or not full or slot not in self._warm:
            # the first pass of a kind loads kernels and makes workspaces, which cannot be done while recording
            self._warm.update({slot} if full else ())
            return generator(latents, condition, step, rollout, block, self.caches)
        if self._inputs is None:
            self._inputs, self._rollout = _Inputs.like(latents, condition, rollout, block), rollout
        inputs = self._inputs
        if rollout is not self._rollout:
            inputs.copy_rollout(rollout)
            self._rollout = rollout
        if new_block or slot not in self._replays:
            inputs.copy_block(condition, block)
        inputs.copy_step(latents, rollout, step)
        if slot not in self._replays and not self._record(generator, slot, block):
            return generator(latents, condition, step, rollout, block, self.caches)
        replay, output = self._replays[slot]
        replay()
        return output

    def begin(self) -> None:
        """Continue with another rollout."""
        self._block, self._rollout, self._layers = None, None, []

    def look_again(self) -> None:
        """Check the weights before the next pass as well, though its block is not a new one."""
        self._block = None

    def _record(self, generator: Generator, slot: int, block: BlockConstants) -> bool:
        assert self._inputs is not None
        assert self._recorder is not None
        inputs = self._inputs
        # the block's position decides which slots are written; its tensors are those that stay in place
        span = replace(block.span, rotations=inputs.block.span.rotations)
        here = replace(inputs.block, span=span)
        try:
            self._replays[slot] = self._recorder.record(
                lambda: generator(inputs.latents, inputs.condition, 0, inputs.rollout, here, self.caches)
            )
        except RuntimeError as error:
            self._give_up(None if isinstance(error, RefusedError) else f"recording them failed: {error}")
            return False
        return True

    def _look_at_weights(self, generator: Generator, device: torch.device) -> None:
        """Forget what was recorded with weights that a host has moved since, or with layers that it has changed; give
        up where weights are on another device."""
        self._layers = self._layers or [ref(layer) for layer in generator.modules()]
        layers = [layer for known in self._layers if (layer := known()) is not None]
        parameters = [p for layer in layers for p in layer._parameters.values() if p is not None]
        away = sum(parameter.device != device for parameter in parameters)
        if away:
            self._give_up(f"{away} of {len(parameters)} weights are not on the device")
            return
        weights = [generator.attention, generator.compute_dtype, *(parameter.data_ptr() for parameter in parameters)]
        weights += [change for layer in layers for change in _changes_of(layer)]
        if weights != self._weights:
            if self._replays:
                log.info("The generator's weights have moved; its passes are recorded again.")
            self._replays.clear()
            self._warm.clear()
            self._weights = weights

    def _give_up(self, why: str | None) -> None:
        if why is not None:
            log.info("Passes run call by call, not as CUDA graphs: %s.", why)
        self._recorder = None
        self._replays.clear()
        self._inputs = None


def _changes_of(layer: nn.Module) -> list[object]:
    """What a host may have put in place of a layer's own work: a wrapped call, hooks, and weights in 8 bits that it
    made on the fly (host/models/layers.py)."""
    own = vars(layer)
    changes: list[object] = [own.get("forward"), len(layer._forward_hooks), len(layer._forward_pre_hooks)]
    if (kept := own.get("kept")) is not None:
        changes += [kept[0].values.data_ptr(), kept[0].scales.data_ptr()]
    return changes
