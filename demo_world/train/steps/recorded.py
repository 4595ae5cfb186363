"""What makes a step quick where launches, not arithmetic, take its time: weights in half precision that nothing casts
again, and steps recorded as a CUDA graph."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor

from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.networks.generator.model import Generator

Step = Callable[..., Sequence[Tensor]]
WARM_UPS = 3
LOSS_WITHIN, GRADIENT_ALIKE = 0.15, 0.2  # of a replay and the step itself, even if their noise differed


class Twin:
    """A generator's weights in bfloat16, which passes run with; its own stay in float32, and get the gradients."""

    def __init__(self, model: Generator) -> None:
        self.model = copy.deepcopy(model).bfloat16()
        self.model.compute_dtype = torch.bfloat16
        self.pairs = list(zip(model.parameters(), self.model.parameters(), strict=True))

    @torch.no_grad()
    def take(self) -> None:
        """Copy the weights as they are now."""
        torch._foreach_copy_([half for _, half in self.pairs], [own for own, _ in self.pairs])  # pyright: ignore[reportPrivateImportUsage]

    @torch.no_grad()
    def give(self) -> None:
        """Hand the gradients to the weights in float32."""
        for own, half in self.pairs:
            own.grad = None if half.grad is None else torch.empty_like(own)
        pairs = [(own.grad, half.grad) for own, half in self.pairs if half.grad is not None]
        torch._foreach_copy_([cast(Tensor, own) for own, _ in pairs], [half for _, half in pairs])  # pyright: ignore[reportPrivateImportUsage]

    def forget(self) -> None:
        """Drop the gradients."""
        for _, half in self.pairs:
            half.grad = None


class Recorded:
    """A step, from fixed tensors to its loss and gradients, recorded once and then replayed.

    step: takes tensors, returns tensors of which the first is the loss; may read nothing from the CPU, and draws its
    noise from the device's own generator. What it returns is written over by the next replay.
    """

    def __init__(self, step: Step, twin: Twin, record: bool) -> None:
        self.step, self.twin, self.record = step, twin, record
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """What the step returns for tensors of the same shapes each time; leaves gradients in the twin."""
        if not self.record:
            return self._run(inputs)
        if self.graph is None:
            self._record(inputs)
        assert self.graph is not None
        torch._foreach_copy_(self.inputs, list(inputs))  # pyright: ignore[reportPrivateImportUsage]
        self.graph.replay()
        return self.outputs

    def _run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        self.twin.forget()
        outputs = list(self.step(*inputs))
        outputs[0].backward()
        return [x.detach() for x in outputs]

    def _record(self, inputs: Sequence[Tensor]) -> None:
        self.inputs = [x.clone() for x in inputs]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                self._run(self.inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self.twin.forget()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.outputs = self._run(self.inputs)
        self.graph = graph
        self._check(graph)

    def _check(self, graph: torch.cuda.CUDAGraph) -> None:
        """Raise MatrixGameError where a replay is not what the step does without one."""
        kept = [half.grad for _, half in self.twin.pairs]
        seed = torch.initial_seed()
        torch.cuda.manual_seed(seed)
        graph.replay()
        loss, replayed = float(self.outputs[0]), self._gradient()
        torch.cuda.manual_seed(seed)
        own = float(self._run(self.inputs)[0])
        alike = float(torch.cosine_similarity(self._gradient(), replayed, dim=0))
        print(f"recorded: loss {loss:.4f}, without {own:.4f}; gradients {alike:.3f} alike", flush=True)
        if not (abs(loss - own) < LOSS_WITHIN * own and alike > GRADIENT_ALIKE):
            raise MatrixGameError("A recorded step gives other numbers than the step itself; train without --graphs.")
        for (_, half), gradient in zip(self.twin.pairs, kept, strict=True):
            half.grad = gradient

    def _gradient(self) -> Tensor:
        return torch.cat([half.grad.flatten().float() for _, half in self.twin.pairs if half.grad is not None])
