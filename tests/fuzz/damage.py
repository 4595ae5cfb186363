"""Damage to files, by a seeded `random.Random`: bits, pieces, numbers, words, encodings."""

from __future__ import annotations

import random
import re

NUMBERS = (b"0", b"-1", b"1e308", b"-1e308", b"NaN", b"Infinity", b"1e400", b"9" * 400, b"0x10", b"1_0", b"-0.0",
           b"00", b"90009", b"90010", b"18446744073709551616", b"2147483648", b"0.1", b"1,5", b"TRUE", b"null", b"[]",
           b"{}", b'"x"', b'"\\ud83d"', b"true", b"~", b"1:30")  # fmt: skip
JUNK = (b"", b"\0", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\n\n", b"\t", b'"', b"'", b"{", b"}", b"[", b"]",
        b",", b";", b":", b"#", b"---\n", b"sep=;\n", b"*", b"&a ", b"*a", b"!!x ", b"@", b"\xc3\x28", b"\xed\xa0\xbd",
        b"\x1a", b"~nobody", b"/**/", b"../", b"%s", b"{0}", b"\\", b"[" * 200, b'{"a":' * 200, b" " * 3000,
        b"x" * 3000)  # fmt: skip
ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "utf-8-sig")
_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")


def damaged(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """`data` after one to four random changes."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = rng.choice((_bits, _cut, _junk, _number, _number, _twice, _spliced, _encoded))(rng, data, others)
    return data[:400_000]


def _at(rng: random.Random, data: bytes) -> int:
    return rng.randrange(len(data) + 1)


def _bits(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    out = bytearray(data)
    for _i in range(rng.choice((1, 1, 3, 20)) if out else 0):
        out[rng.randrange(len(out))] = rng.randrange(256)
    return bytes(out)


def _cut(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    a, b = sorted((_at(rng, data), _at(rng, data)))
    return rng.choice((data[:a], data[a:], data[:a] + data[b:]))


def _junk(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    a = _at(rng, data)
    return data[:a] + rng.choice(JUNK) + data[a + rng.choice((0, 0, 1, 5)) :]


def _number(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    found = list(_NUMBER.finditer(data[:20_000]))
    if not found:
        return data
    one = rng.choice(found)
    return data[: one.start()] + rng.choice(NUMBERS) + data[one.end() :]


def _twice(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    a, b = sorted((_at(rng, data), _at(rng, data)))
    piece = data[a:b]
    return data[:b] + piece * min(rng.choice((1, 1, 3, 1000)), 200_000 // (len(piece) + 1)) + data[b:]


def _spliced(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    other = rng.choice(others)
    return data[: _at(rng, data)] + other[_at(rng, other) :]


def _encoded(rng: random.Random, data: bytes, _: list[bytes]) -> bytes:
    return data.decode("utf-8", "replace").encode(rng.choice(ENCODINGS), "replace") if rng.random() < 0.5 else data
