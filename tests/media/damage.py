"""Damaged pictures and clips."""

from __future__ import annotations

import random


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A damaged file: bits, bytes, ends, pieces repeated or missing, numbers at their limits."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8, 40))):
        at = chance.randrange(len(changed) or 1)
        match chance.randrange(6):
            case 0:
                changed[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                changed[at : at + 4] = chance.choice(
                    (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80\0\0\0")
                )
            case 2:
                del changed[at : at + chance.randrange(1, 64)]
            case 3:
                changed[at:at] = changed[at : at + chance.randrange(1, 200)]
            case 4:
                del changed[max(1, at) :]
            case _:
                changed[at : at + 2] = chance.randbytes(2)
    return bytes(changed)
