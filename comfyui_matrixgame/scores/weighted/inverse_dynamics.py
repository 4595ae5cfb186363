"""The inverse dynamics model of Video PreTraining on films: its published weights, and what it sees in one film."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ...checkpoints.reader import open_weights
from ...compute.devices import computing_on
from ...errors import CheckpointError
from ...networks.inverse_dynamics import (
    BUTTONS,
    CHUNK,
    SIDE,
    InverseDynamics,
    degrees_of_bins,
    network_sizes,
    unused_weights,
)
from .filled import fill_with_weights
from .predicted import NAMES, Predicted

FILE = "4x_idm.weights"
_FIX = f"use {FILE} of github.com/openai/Video-Pre-Training"
_ONE = 2048  # of the whole numbers that a picture is resized with


def load_inverse_dynamics(path: Path, device: torch.device) -> InverseDynamics:
    """The network of a file of weights, in float32. Its sizes follow from the shapes in it, so the pickle of arguments
    beside the published one is never read. Raises CheckpointError where names or shapes are others."""
    with open_weights(path) as file:
        shapes = {name: info.shape for name, info in file.tensors.items()}
        try:
            sizes = network_sizes(shapes)
        except (KeyError, IndexError, ValueError) as error:
            what = f"it has no {error.args[0]}" if isinstance(error, KeyError) else str(error)
            raise CheckpointError(
                f"{file.name} is not the inverse dynamics model of Video PreTraining ({what}); {_FIX}."
            ) from None
        with torch.device("meta"):
            network = InverseDynamics(sizes)
        kept = unused_weights(sizes)
        more = shapes.keys() - kept.keys() - network.state_dict().keys()
        odd = sorted(more) + [name for name, shape in kept.items() if shapes.get(name) != shape]
        if odd:
            raise CheckpointError(
                f"{file.name} has not the layout of the inverse dynamics model of Video PreTraining: {odd[0]} is "
                f"{list(shapes[odd[0]]) if odd[0] in shapes else 'missing'}; {_FIX}."
            )
        return fill_with_weights(network, file, device, "does not fit its own sizes", _FIX)


class WatchedFilm:
    """What the model sees in one film, while its frames come in. As in OpenAI's program, chunks of CHUNK frames are
    seen each by itself; as in the benchmark, the last frame of the film is not seen. A last chunk that would be short
    reaches back over frames that were seen before, whose actions stay as they are.

    on_frames: called with how many frames were seen.
    """

    def __init__(self, network: InverseDynamics, on_frames: Callable[[int], object] = lambda seen: None) -> None:
        self._network, self._on_frames = network, on_frames
        self._waiting = self._before = torch.zeros(0, SIDE, SIDE, 3, dtype=torch.uint8)
        self._held: list[Tensor] = []
        self._turns: list[Tensor] = []
        self._seen = 0

    def add(self, frames: Tensor) -> None:
        """Frames [N, H, W, 3] of 8 bits."""
        self._waiting = torch.cat([self._waiting, as_seen(frames)])
        while len(self._waiting) > CHUNK:
            self._see(self._waiting[:CHUNK], CHUNK)
            self._before, self._waiting = self._waiting[:CHUNK], self._waiting[CHUNK:]

    def end(self) -> Predicted:
        """All that was seen, a row for each frame but the last; no more frames can come."""
        left = max(0, len(self._waiting) - 1)
        if left:
            before = self._before[max(0, len(self._before) + left - CHUNK) :]
            self._see(torch.cat([before, self._waiting[:left]]), left)
        self._waiting = self._waiting[:0]
        held = torch.cat([torch.zeros(0, len(BUTTONS), dtype=torch.int64), *self._held]).numpy()
        turns = torch.cat([torch.zeros(0, 2, dtype=torch.float64), *self._turns]).numpy()
        return Predicted({name: held[:, BUTTONS.index(name)] for name in NAMES}, turns)

    def _see(self, frames: Tensor, new: int) -> None:
        """See frames together; the last `new` of them count."""
        done, old = self._seen, len(frames) - new
        with computing_on(next(self._network.parameters()).device):
            actions = self._network(frames, lambda seen: self._on_frames(done + max(0, seen - old)))
            self._held.append(actions.buttons[-new:].argmax(-1).cpu())
            self._turns.append(degrees_of_bins(actions.camera[-new:].argmax(-1).cpu()))
        self._seen += new


def as_seen(frames: Tensor) -> Tensor:
    """Frames [N, H, W, 3] of 8 bits -> [N, SIDE, SIDE, 3] of 8 bits, bit for bit as OpenCV resizes such by
    INTER_LINEAR: without antialiasing, in whole numbers, and without a crop."""
    low, high, near, far = _between(frames.shape[2])
    inside = (low >= 0) & (low < frames.shape[2] - 1)  # at the edges to the sides a column is taken alone
    near, far = torch.where(inside, near, _ONE), torch.where(inside, far, 0)
    low, high = (at.clamp(0, frames.shape[2] - 1) for at in (low, high))
    rows = (frames[:, :, low] * near[:, None] + frames[:, :, high] * far[:, None]) >> 4
    low, high, near, far = _between(frames.shape[1])
    low, high = (at.clamp(0, frames.shape[1] - 1) for at in (low, high))
    x = (rows[:, low] * near[:, None, None] >> 16) + (rows[:, high] * far[:, None, None] >> 16)
    return (x + 2 >> 2).to(torch.uint8)


def _between(size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For each of SIDE places: the two of `size` pixels that it lies between, and the share of each, of _ONE."""
    at = ((torch.arange(SIDE, dtype=torch.float64) + 0.5) * (size / SIDE) - 0.5).float()
    low = at.floor()
    far = at - low
    near, far = (((share * _ONE).round()).int() for share in (1 - far, far))
    return low.long(), low.long() + 1, near, far
