"""What a node shows while it runs."""

# pyright: reportMissingImports=false

from __future__ import annotations

import comfy.model_management as memory
import comfy.utils
from PIL import Image
from server import PromptServer
from torch import Tensor

from ...world import PassProgress

PREVIEW_SIZE = 512


class Progress:
    """One bar in blocks x passes, with the newest frame as its preview; ends the run when the user cancels."""

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._done = 0

    def tell(self, text: str) -> None:
        """Show a sentence on the node while it runs, and until it says something else."""
        PromptServer.instance.send_progress_text(text, self._node_id, PromptServer.instance.client_id)

    def begin(self, blocks: int, passes: int) -> None:
        """Before the first block: how many there will be."""
        self._bar, self._passes = comfy.utils.ProgressBar(blocks * passes, self._node_id), passes

    def on_pass(self, at: PassProgress) -> None:
        """Before a pass of the network; raises core's interruption where the user cancelled."""
        memory.throw_exception_if_processing_interrupted()
        self._bar.update_absolute(at.done * self._passes + at.step)

    def skip(self, blocks: int) -> None:
        """Blocks at the start that need not even be shown."""
        self._done += blocks
        self._bar.update_absolute(self._done * self._passes)

    def show(self, frame: Tensor) -> None:
        """After a block: its last frame, uint8 [H, W, 3]."""
        memory.throw_exception_if_processing_interrupted()
        self._done += 1
        picture = Image.fromarray(frame.numpy())
        self._bar.update_absolute(self._done * self._passes, preview=("JPEG", picture, PREVIEW_SIZE))
