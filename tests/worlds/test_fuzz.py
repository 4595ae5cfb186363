"""Mutated worlds and records: a sentence or a world that runs, never a fault deep in a network; a record is made again.

WORLDS_FUZZ is how many files of each are tried (2,000 at night), FUZZ_SEED which.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from comfyui_matrixgame.cache.records import DamagedRecord, OtherVersion, Record, read_record, write_record
from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.variants import VARIANTS
from comfyui_matrixgame.world import load_world, rollout, save_world, start_world
from comfyui_matrixgame.world.files import FORMAT

from ..cache.forged import FORGED, forge
from ..support.networks import random_track, small_image, small_models
from .damaged import FIELDS, HOWS, changed, parts

COUNT = int(os.environ.get("WORLDS_FUZZ", "60"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
UNIVERSAL = VARIANTS["universal"]


def mutated(
    rng: random.Random, about: dict[str, Any], tensors: dict[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A file's fields and tensors after one or two changes."""
    about, tensors = dict(about), dict(tensors)
    for _ in range(rng.choice((1, 1, 2))):
        way = rng.randrange(5)
        if way == 0:
            about |= dict([rng.choice(FIELDS)])
        elif way == 1:
            about.pop(rng.choice(list(about)))
        elif way == 2:
            name = rng.choice([name for name, tensor in tensors.items() if tensor.ndim and tensor.numel()])
            tensors = changed(tensors, name, rng.choice(HOWS))
        elif way == 3:
            tensors.pop(rng.choice(list(tensors)))
        else:
            one, other = rng.choice(list(tensors)), rng.choice(list(tensors))
            tensors[one], tensors[other] = tensors[other].clone(), tensors[one].clone()
    if rng.random() < 0.8:
        about.pop("checksum", None)
    return about, tensors


def flipped(rng: random.Random, data: bytes) -> bytes:
    """Bits of the file flipped, or its end cut off."""
    if rng.random() < 0.2:
        return data[: rng.randrange(len(data))]
    for _ in range(rng.choice((1, 1, 4))):
        at = rng.randrange(len(data) if rng.random() < 0.5 else min(len(data), 3000))
        data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    return data


@pytest.mark.timeout(COUNT * 3 + 120)
def test_mutated_worlds(tmp_path: Path) -> None:
    rng, models = random.Random(SEED), small_models()
    track = random_track(UNIVERSAL, 12)
    run = rollout(models, start_world(models, small_image(), 7), random_track(UNIVERSAL, 8))
    list(run)
    path = save_world(run.world, tmp_path / "w.safetensors")
    data, (about, tensors) = path.read_bytes(), parts(path)
    taken, slowest = 0, 0.0
    for number in range(COUNT):
        broken = tmp_path / "broken.safetensors"
        if rng.random() < 0.4:
            broken.write_bytes(flipped(rng, data))
        else:
            fields, others = mutated(rng, about, tensors)
            save_file(others, broken, {FORMAT: json.dumps(fields)})
        began, said, made = time.process_time(), "", None
        try:
            made = rollout(models, load_world(broken), track, 1)
        except MatrixGameError as error:
            said = str(error)
        except Exception as error:
            raise AssertionError(f"world {number} of seed {SEED} raised {error!r}") from error
        slowest = max(slowest, time.process_time() - began)
        assert "\n" not in said
        if made is not None:  # a change that a file without a checksum cannot show: then it must run
            taken += 1
            list(made)
    assert slowest < 1
    print(f"{COUNT} worlds: {taken} were taken and ran, at most {slowest:.2f} s of processor time")


def test_mutated_records(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    path = tmp_path / "r.latents"
    write_record(path, Record({"x": torch.arange(40, dtype=torch.uint8), "y": torch.ones(3, 3)}, {"n": 1}))
    data, slowest = path.read_bytes(), 0.0
    for number in range(COUNT):
        if rng.random() < 0.5:
            path.write_bytes(flipped(rng, data))
        else:
            header = rng.choice(FORGED)
            text = header if isinstance(header, bytes) else json.dumps(header).encode()
            forge(path, flipped(rng, text) if text and rng.random() < 0.5 else text, rng.randbytes(rng.randrange(9)))
        began = time.process_time()
        try:
            record = read_record(path)
            assert all(isinstance(tensor, Tensor) for tensor in record.tensors.values())
        except (DamagedRecord, OtherVersion):
            pass
        except Exception as error:
            raise AssertionError(f"record {number} of seed {SEED} raised {error!r}") from error
        slowest = max(slowest, time.process_time() - began)
    assert slowest < 1
    print(f"{COUNT} records: at most {slowest:.2f} s of processor time")
