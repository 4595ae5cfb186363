"""ComfyUI's entry to the node pack. Imports nothing until ComfyUI asks, so tools and tests may import it too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .nodes import MatrixGameExtension

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> MatrixGameExtension:
    """The extension with all nodes; called by ComfyUI once, when it loads custom nodes."""
    from .nodes import MatrixGameExtension

    return MatrixGameExtension()
