"""What the writers of videos and GIFs share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TypeVar

from ..errors import VideoError

Self = TypeVar("Self", bound="FrameWriter")


class FrameWriter(ABC):
    """A context manager that closes its file at the end."""

    @abstractmethod
    def close(self) -> None:
        """Finish the file. Raises VideoError."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except VideoError:
            if error is None:  # else the first error is the one to tell
                raise
