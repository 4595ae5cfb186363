"""Blocks that were played, on disk: a session may go on for hours, and its memory stays the same."""

from __future__ import annotations

import tempfile
import weakref
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import WorldError
from ..system.files import own_folder, sweep_parts


class PlayedBlocks:
    """Latents and frames of blocks 0, 1, ... in files of a temporary folder, which goes when this does. What killed
    processes left of theirs goes when this begins.

    folder: where to make it; the system's by default. Raises WorldError where nothing can be written there.
    """

    def __init__(self, folder: Path | None = None) -> None:
        place = Path(folder or tempfile.gettempdir()) / "played"
        sweep_parts(place)
        stack = ExitStack()
        try:
            self._folder = stack.enter_context(own_folder(place, 0o700))
        except OSError as error:
            raise _not_written(place.parent, error) from None
        self._gone = weakref.finalize(self, stack.close)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, latents: Tensor, frames: NDArray[np.uint8]) -> None:
        """Keep the next block: latents [1, 16, 3, h, w] and frames [N, H, W, 3], of which not all need be given."""
        try:
            np.save(self._path(self._count, "latents"), latents.numpy())
            np.save(self._path(self._count, "frames"), frames)
        except OSError as error:
            raise _not_written(self._folder, error) from None
        self._count += 1

    def keep_first(self, count: int) -> None:
        """Keep only the first `count` blocks."""
        while self._count > count:
            self._count -= 1
            for what in ("latents", "frames"):
                self._path(self._count, what).unlink()

    def latents(self, block: int) -> Tensor:
        """The latents of a block."""
        return torch.from_numpy(np.load(self._path(block, "latents")))

    def frames(self, block: int) -> NDArray[np.uint8]:
        """The frames of a block that were kept."""
        return np.load(self._path(block, "frames"))

    def close(self) -> None:
        """Let go of everything."""
        self._gone()

    def _path(self, block: int, what: str) -> Path:
        return self._folder / f"{block}.{what}.npy"


def _not_written(folder: str | Path, error: OSError) -> WorldError:
    return WorldError(
        f"What is played cannot be kept in {folder} ({error.strerror or error}); free some space there, or check its "
        "rights. The inputs up to here are kept."
    )
