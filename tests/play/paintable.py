"""The test pattern as a world whose picture can be changed: what it is changed to is shown until the next block."""

from __future__ import annotations

from comfyui_matrixgame.play.early_frames import Frames
from comfyui_matrixgame.play.pattern import TestPattern


class Paintable(TestPattern):
    """asked: strength and `seen` of every change. painted: the pictures, by the block before which they were made."""

    def __init__(self, size: tuple[int, int] = (32, 64), sees: tuple[str, ...] = ("changed", "start")) -> None:
        super().__init__(size=size)
        self._sees = sees
        self.asked: list[tuple[float, str]] = []
        self.painted: dict[int, list[Frames]] = {}

    @property
    def sees(self) -> tuple[str, ...]:
        return self._sees

    def change(self, picture: Frames, strength: float, seen: str) -> bool:
        if not strength or (picture == self.still()).all():
            return False
        self.asked.append((strength, seen))
        self.painted.setdefault(self.block, []).append(picture)
        return True

    def go_to(self, block: int, changes: int | None = None) -> None:
        super().go_to(block)
        there = {block: self.painted.get(block, [])[:changes]}
        self.painted = {at: made for at, made in self.painted.items() if at < block} | there

    def still(self) -> Frames:
        there = self.painted.get(self.block)
        return there[-1] if there else super().still()
