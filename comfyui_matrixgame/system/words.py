"""Numbers of things in sentences, and several sentences as one text."""

from __future__ import annotations

from collections.abc import Iterable


def counted(number: int, one: str, many: str = "", form: str = "") -> str:
    """The number and its noun: "1 block", "2 blocks". many: a plural that is not `one` with an s. form: a format of
    the number, such as "," for thousands."""
    return f"{number:{form}} {one if number == 1 else many or one + 's'}"


def joined(sentences: Iterable[str]) -> str:
    """Sentences, with or without a full stop, as one text that ends without one."""
    return ". ".join(sentence.rstrip(".") for sentence in sentences)
