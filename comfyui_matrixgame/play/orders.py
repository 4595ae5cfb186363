"""What a session is asked to do between two blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import MatrixGameError

Done = Callable[[str], None]
"""Called when an order was obeyed, with an empty text, or with a sentence that says why it was not."""


class Refused(MatrixGameError):
    """An order that cannot be obeyed now; everything stays as it was."""


@dataclass(frozen=True)
class Order:
    """What the session is to do between two blocks. makes: it makes frames, and waits until those before were taken.
    late: it is obeyed when the session has ended, too."""

    obey: Callable[[], None]
    done: Done | None = None
    makes: bool = False
    late: bool = False
