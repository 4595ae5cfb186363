"""Mutated weights: every loader ends in a sentence, quickly, in little memory, and nothing in a file runs.

WEIGHTS_FUZZ is how many files are tried (10,000 at night), FUZZ_SEED which.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from comfyui_matrixgame.checkpoints import inspect_file, load_decoder, load_generator, load_vae, load_vision
from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.networks.generator import Generator, GeneratorConfig
from comfyui_matrixgame.networks.vae.tiny import PUBLISHED_NAMES

from ..support.networks import shapes_of
from .files import Runs, gguf

COUNT = int(os.environ.get("WEIGHTS_FUZZ", "150"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
LOADERS = (load_generator, load_vae, load_decoder, load_vision)
DTYPES = (
    "F64",
    "F32",
    "F16",
    "BF16",
    "F8_E4M3",
    "F8_E5M2",
    "F8_E8M0",
    "F4",
    "I64",
    "I8",
    "U8",
    "BOOL",
    "C64",
    "F99",
    "",
    1,
)
SIDES = (0, 1, 2, 3, 4, 7, 16, 36, 64, 128, 1 << 20, 1 << 31, 1 << 40, 1 << 63, 10**30, -1, 1.5, True, None, "4")
NAMES = (
    "blocks.999999999.x", "blocks.9999.ffn.0.weight", "blocks..y", "blocks.0.{}", "visual.transformer.0.attn.foo",
    "vision_model.embeddings.x", "decoder.head.2.weight", "decoder.22.weight", "patch_embedding.weight", "scaled_fp8",
    "blocks.0.ffn.0.scale_weight", "blocks.0.ffn.0.comfy_quant", "\n\x1b[31m", "", "__metadata__", "é" * 300,
)  # fmt: skip
JUNK = (
    b"",
    b"\0",
    b"\xff" * 8,
    b"[" * 2000,
    b"{",
    b"}",
    b'"',
    b"9" * 400,
    b"-1",
    b"1e400",
    b"(",
    b"R",
    b"\x81",
    b"\x85q\x01h\x01",
)


def shapes() -> list[dict[str, list[int]]]:
    """Networks of every kind by the names of their files."""
    config = GeneratorConfig(
        dim=128, ffn_dim=16, layers=2, visual_dim=8, action_layers=(0,), action_dim=64, keyboard_hidden=8
    )
    with torch.device("meta"):
        generator = {name: list(shape) for name, shape in shapes_of(Generator(config)).items()}
    tower = {
        "vision_model.embeddings.class_embedding": [16],
        "vision_model.embeddings.patch_embedding.weight": [16, 3, 2, 2],
        "vision_model.embeddings.position_embedding.weight": [5, 16],
        "vision_model.encoder.layers.0.mlp.fc1.weight": [8, 16],
        "vision_model.encoder.layers.1.mlp.fc1.weight": [8, 16],
    }
    clip = {"visual.patch_embedding.weight": [16, 3, 2, 2], "visual.pos_embedding": [1, 5, 16]}
    clip |= {f"visual.transformer.{i}.attn.to_qkv.weight": [48, 16] for i in range(2)}
    tiny = {f"{name}.weight": [8, 8, 3, 3] for name in PUBLISHED_NAMES.values()} | {
        "decoder.3.conv.0.weight": [8, 16, 3, 3]
    }
    vae = {"decoder.head.2.weight": [3, 4, 3, 3, 3], "decoder.conv1.weight": [16, 16, 3, 3, 3]}
    return [generator, {f"model.{name}": shape for name, shape in generator.items()}, tower, clip, tiny, vae]


def headers() -> list[dict[str, Any]]:
    made = []
    for network in shapes():
        header, at = {}, 0
        for name, shape in network.items():
            size = 2 * torch.Size(shape).numel()
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
            at += size
        made.append(header)
    return made


def changed_header(rng: random.Random, header: dict[str, Any]) -> dict[str, Any]:
    header = {name: dict(entry) for name, entry in header.items()}
    for _ in range(rng.choice((1, 1, 2, 5))):
        name = rng.choice(list(header))
        entry = header[name]
        if not isinstance(entry, dict) or "shape" not in entry:
            continue
        way = rng.randrange(9)
        if way == 0:
            entry["dtype"] = rng.choice(DTYPES)
        elif way == 1:
            entry["shape"] = [rng.choice(SIDES) for _ in range(rng.randrange(7))]
        elif way == 2:
            entry["data_offsets"] = [rng.choice(SIDES), rng.choice(SIDES)]
        elif way == 3:
            header[rng.choice(NAMES)] = header.pop(name)
        elif way == 4:
            header.pop(name) if len(header) > 1 else None
        elif way == 5:
            entry |= {"shape": [0, *entry["shape"][1:]], "data_offsets": [0, 0]}
        elif way == 6:
            entry |= {"shape": [0] * rng.randrange(10), "data_offsets": [0, 0]}
        elif way == 7:
            header["__metadata__"] = rng.choice(({"a": 1}, [], "x", {"_quantization_metadata": "[" * 2000}, None))
        else:
            header[name] = rng.choice(([], None, "x", 3, {}))
    return header


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Bits, cuts and junk."""
    for _ in range(rng.choice((1, 1, 3))):
        at, other = sorted((rng.randrange(min(len(data), 5000) + 1), rng.randrange(len(data) + 1)))
        way = rng.randrange(5)
        if way == 0 and data:
            spot = rng.randrange(len(data)) if rng.random() < 0.5 else min(at, len(data) - 1)
            data = data[:spot] + bytes([data[spot] ^ 1 << rng.randrange(8)]) + data[spot + 1 :]
        elif way == 1:
            data = data[:other]
        elif way == 2:
            data = data[:at] + rng.choice(JUNK) + data[at:]
        elif way == 3:
            data = data[:at] + data[at + rng.choice((1, 2, 8)) :]
        else:
            data = data[:at] + rng.choice(JUNK) + data[other:]
    return data


def pickles(marker: Path) -> list[bytes]:
    """PyTorch files of both kinds, some of which would run code."""
    tensors = {"blocks.0.a": torch.zeros(2, 2), "patch_embedding.weight": torch.zeros(1, 1)}
    made = []
    for content in (
        tensors, {"generator": tensors, "generator_ema": tensors, "step": 1}, {"a": Runs(marker)},
        {"state_dict": {"x": torch.zeros(1), "y": Runs(marker)}},
    ):  # fmt: skip
        for new in (True, False):
            stream = io.BytesIO()
            torch.save(content, stream, _use_new_zipfile_serialization=new)
            made.append(stream.getvalue())
    return [*made, *(pickle.dumps({"a": Runs(marker)}, protocol) for protocol in range(5))]


def makers(rng: random.Random, marker: Path) -> list[Callable[[Path], Path]]:
    """Ways to write a file or a folder below a path."""
    heads, stored = headers(), pickles(marker)
    packed = gguf({name: torch.zeros(shape) for name, shape in shapes()[0].items() if len(shape) < 5})

    def safetensors(folder: Path) -> Path:
        header = rng.choice(heads)
        size = max(entry["data_offsets"][1] for entry in header.values())
        text = json.dumps(changed_header(rng, header)).encode()
        if rng.random() < 0.3:
            text = damaged(rng, text)
        return write(folder / "x.safetensors", len(text).to_bytes(8, "little") + text + bytes(size))

    def twice(folder: Path) -> Path:
        text = json.dumps(rng.choice(heads))
        text = text[:-1] + "," + text[1:]
        return write(folder / "x.safetensors", len(text).to_bytes(8, "little") + text.encode() + bytes(1 << 20))

    def pickled(folder: Path) -> Path:
        data = rng.choice(stored)
        data = data if rng.random() < 0.2 else damaged(rng, data)
        return write(folder / f"x{rng.choice(('.pth', '.pt', '.bin', '.ckpt', '.safetensors', ''))}", data)

    def ggufs(folder: Path) -> Path:
        return write(folder / "x.gguf", damaged(rng, packed))

    def shards(folder: Path) -> Path:
        index = {"weight_map": {"a": rng.choice(("x.safetensors", "../y", "/dev/zero", "", 1, "x" * 300))}}
        safetensors(folder)
        text = json.dumps(index).encode()
        path = write(folder / "m.safetensors.index.json", damaged(rng, text) if rng.random() < 0.5 else text)
        return rng.choice((path, folder))

    return [safetensors, safetensors, safetensors, safetensors, twice, pickled, pickled, pickled, ggufs, ggufs, shards]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def rss() -> int:
    """The most memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@pytest.mark.timeout(COUNT * 2 + 120)
def test_mutated_weights(tmp_path: Path) -> None:
    rng, marker = random.Random(SEED), tmp_path / "ran"
    ways = makers(rng, marker)
    load_decoder_of_nothing(tmp_path)
    before, slowest = rss(), 0.0
    for number in range(COUNT):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = rng.choice(ways)(folder)
        for load in (inspect_file, rng.choice(LOADERS)):
            began, said = time.process_time(), ""
            try:
                load(path)
            except MatrixGameError as error:
                said = str(error)
            except Exception as error:
                raise AssertionError(f"file {number} of seed {SEED}: {load.__name__} raised {error!r}") from error
            assert "\n" not in said
            assert len(said) < 1500, (number, said)
            took = time.process_time() - began
            slowest = max(slowest, took)
            assert took < 1, (number, load.__name__, took)
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    assert not marker.exists()
    assert rss() - before < 500
    print(f"{COUNT} files: at most {slowest:.2f} s of processor time and {rss() - before} MB")


def load_decoder_of_nothing(folder: Path) -> None:
    """Import what the loaders import, which is no file's fault."""
    for load in LOADERS:
        with pytest.raises(MatrixGameError):
            load(write(folder / "nothing", b"x"))
