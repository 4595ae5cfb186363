"""Core's dynamic VRAM without its driver: comfy-aimdo's library replaced, core's own modules on top of it.

Modelled: which weights are on the device, how often each is pinned, and that a page that was given up is lost: it is
overwritten, so whoever uses it after that computes nonsense. Pages are as large as the layer that asks. Not modelled:
pressure from other allocations, which on a real device takes pages at any moment (`VBar.give_up` takes them here), and
page-locked memory.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

LOST = 255  # in each byte of a page that was given up: not a number, in every floating-point dtype


class Page:
    """The weights of one layer. serial: counts how often they were brought; 0 where they are not on the device."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.memory = torch.empty(size, dtype=torch.uint8, device=device)
        self.pins = self.serial = 0


class VBar:
    """comfy_aimdo.model_vbar.ModelVBAR. all: every one that was made. room: bytes a model may have on the device."""

    all: ClassVar[list[VBar]] = []
    room = 1 << 40

    def __init__(self, size: int, device: int) -> None:
        self.device = torch.device("cuda", device)
        self.pages: dict[int, Page] = {}
        self._next, self._serial = 1, 0
        VBar.all.append(self)

    def alloc(self, size: int) -> tuple[VBar, int, int]:
        """A place for a layer's weights; nothing is on the device yet."""
        place, self._next = self._next, self._next + size
        self.pages[place] = Page(size, self.device)
        return self, place, size

    def fault(self, place: int, size: int) -> bytes | None:
        """Bring a page, and pin it; None where there is no room."""
        page = self.pages[place]
        if not page.serial:
            if self.loaded_size() + size > self.room:
                return None
            self._serial += 1
            page.serial = self._serial
        page.pins += 1
        return page.serial.to_bytes(4, "little")

    def unpin(self, place: int, size: int) -> None:
        """Take back one pin."""
        assert self.pages[place].pins > 0, "unpinned more often than pinned"
        self.pages[place].pins -= 1

    def free_memory(self, size: float) -> int:
        """Give up pages that nobody has pinned."""
        freed = 0
        for page in self.pages.values():
            if freed < size and page.serial and not page.pins:
                page.serial = 0
                page.memory.fill_(LOST)
                freed += page.memory.numel()
        return freed

    give_up = free_memory

    def loaded_size(self) -> int:
        """Bytes on the device."""
        return sum(page.memory.numel() for page in self.pages.values() if page.serial)

    def pins(self) -> int:
        """All pins that were not taken back."""
        return sum(page.pins for page in self.pages.values())

    def prioritize(self, *_: Any) -> None:
        """Do nothing: it has no meaning here."""


class HostBuffer:
    """comfy_aimdo.host_buffer.HostBuffer; with pinned memory switched off it stays empty."""

    size = 0

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def truncate(self, *_: Any, **__: Any) -> None:
        """Do nothing: it is empty."""


def memory_of(allocation: tuple[VBar, int, int], device: torch.device) -> Tensor:
    """comfy_aimdo.torch.aimdo_to_tensor."""
    vbar, place, _ = allocation
    return vbar.pages[place].memory


def turn_on() -> None:
    """What core's main.py does at its start where the library works; call it in core's process, before any model."""
    import comfy.memory_management
    import comfy.model_patcher
    import comfy_aimdo.host_buffer
    import comfy_aimdo.model_vbar
    import comfy_aimdo.torch
    from comfy.cli_args import args

    args.disable_pinned_memory = True
    comfy_aimdo.model_vbar.ModelVBAR = VBar
    comfy_aimdo.model_vbar.vbars_analyze = lambda *_: 0
    comfy_aimdo.host_buffer.HostBuffer = HostBuffer
    comfy_aimdo.torch.aimdo_to_tensor = memory_of
    comfy.model_patcher.CoreModelPatcher = comfy.model_patcher.ModelPatcherDynamic
    comfy.memory_management.aimdo_enabled = True
