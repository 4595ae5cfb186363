"""Records of a cache that no program wrote."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from comfyui_matrixgame.cache.records import MAGIC


def forge(path: Path, header: Any, payload: bytes = b"", length: int | None = None) -> None:
    """Write a record with a right checksum, whatever it says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    data = MAGIC + b"\x01" + struct.pack("<I", len(text) if length is None else length) + text + payload
    path.write_bytes(data + hashlib.blake2b(data, digest_size=32).digest())


def tensors(*entries: list[Any]) -> dict[str, Any]:
    return {"note": {}, "tensors": list(entries)}


FORGED: list[Any] = [
    b"",
    b"[" * 100_000,
    b"9" * 100_000,
    [],
    {},
    None,
    {"note": {}},
    {"note": [], "tensors": []},
    {"note": None, "tensors": []},
    {"note": {}, "tensors": None},
    {"note": {}, "tensors": [[]]},
    {"note": {}, "tensors": {"a": 1}},
    tensors(["x", "uint8", [-4, -1]]),
    tensors(["x", "uint8", [-4]]),
    tensors(["x", "uint8", [2.0, 2]]),
    tensors(["x", "uint8", [True, 4]]),
    tensors(["x", "uint8", "4"]),
    tensors(["x", "uint8", None]),
    tensors(["x", "uint8", [[4]]]),
    tensors(["x", "uint8", [1 << 70, 0]]),
    tensors(["x", "uint8", [1 << 39, 1 << 39, 0]]),
    tensors(["x", "uint8", [1] * 100]),
    tensors(["x", "uint99", [4]]),
    tensors(["x", ["uint8"], [4]]),
    tensors(["x", "uint8", [2]], ["x", "uint8", [2]]),
    tensors(["x", "uint8", [4], "more"]),
    tensors(*(["x", "uint8", [0]] for _ in range(20_000))),
    {**tensors(["x", "uint8", [4]]), "key": "other.latents"},
    {**tensors(["x", "uint8", [4]]), "key": None},
    {**tensors(["x", "uint8", [4]]), "key": ["r.latents"]},
]
