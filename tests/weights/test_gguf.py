"""GGUF files: plain values are read, packed ones where the package is there that unpacks them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from comfyui_matrixgame.checkpoints import inspect_file, load_generator
from comfyui_matrixgame.checkpoints.containers import gguf_file
from comfyui_matrixgame.checkpoints.reader import open_weights
from comfyui_matrixgame.errors import CheckpointError
from comfyui_matrixgame.terminal.main import main

from .files import generator_tensors, gguf, text


def q8_0(tensor: Tensor) -> tuple[bytes, Tensor]:
    """A tensor in blocks of 32 with one float16 scale each, as the format says, and the values it stands for."""
    blocks = tensor.reshape(-1, 32)
    scales = (blocks.abs().amax(1, keepdim=True) / 127).half()
    values = (blocks / scales.float().clamp_min(1e-12)).round().clamp(-127, 127).to(torch.int8)
    raw = b"".join(s.numpy().tobytes() + v.numpy().tobytes() for s, v in zip(scales, values, strict=True))
    return raw, (values.float() * scales.float()).reshape(tensor.shape)


def test_plain_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_file, "package_is_there", lambda: False)
    tensors = generator_tensors()
    stored = {name: tensor.half() if tensor.ndim == 2 else tensor for name, tensor in tensors.items()}
    stored["blocks.0.ffn.0.weight"] = tensors["blocks.0.ffn.0.weight"].bfloat16()
    (tmp_path / "x.gguf").write_bytes(gguf(stored))
    report = inspect_file(tmp_path / "x.gguf")
    assert report.complete, report.problems()
    loaded = load_generator(tmp_path / "x.gguf", "float32").state_dict()
    assert all(torch.equal(loaded[name], tensor.float()) for name, tensor in stored.items())


def packed_file(path: Path) -> dict[str, Tensor]:
    tensors, raw = dict(generator_tensors()), {}
    for name, tensor in generator_tensors().items():
        if name.startswith("blocks.") and tensor.ndim == 2 and tensor.shape[1] % 32 == 0:
            raw[name], tensors[name] = q8_0(tensor)
    path.write_bytes(gguf(tensors, raw))
    return tensors


def test_packed_values(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="the gguf package, which unpacks them, is not installed")
    values = packed_file(tmp_path / "x.gguf")
    assert inspect_file(tmp_path / "x.gguf").complete
    loaded = load_generator(tmp_path / "x.gguf", "float32").state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in values.items())


@pytest.mark.parametrize("name", sorted(gguf_file.PACKED_NAMES))
def test_every_packed_kind_has_the_values_that_the_package_unpacks(name: str, tmp_path: Path) -> None:
    """In a file that the package's own writer wrote: packed by it where it can, otherwise any bits of finite values."""
    library = pytest.importorskip("gguf")
    kind = library.GGMLQuantizationType[name]
    random = np.random.default_rng(sum(name.encode()))
    values, width = library.GGML_QUANT_SIZES[kind]
    try:
        raw = library.quantize(random.standard_normal((6, 512)).astype(np.float32), kind)
    except NotImplementedError:
        raw = random.integers(0, 256, (6, 512 // values * width), np.uint8)
        raw = np.where(raw & 0x7C == 0x7C, raw & 0x3B, raw)  # no float16 in it is infinite, wherever it stands
    writer = library.GGUFWriter(tmp_path / "x.gguf", "wan")
    writer.add_tensor("other", np.arange(7, dtype=np.float32))
    writer.add_tensor("w", raw, raw_dtype=kind)
    for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        write()
    writer.close()
    with open_weights(tmp_path / "x.gguf") as file:
        assert (file.tensors["w"].shape, file.tensors["w"].dtype) == ((6, 512), name)
        found = file.tensor("w").numpy()
    (theirs,) = (tensor for tensor in library.GGUFReader(tmp_path / "x.gguf").tensors if tensor.name == "w")
    wanted = library.dequantize(theirs.data, theirs.tensor_type)
    assert np.isfinite(wanted).mean() > 0.5
    assert len(np.unique(wanted[np.isfinite(wanted)])) > 2
    assert found.dtype == np.float32
    assert np.array_equal(found, wanted, equal_nan=True)


def test_without_the_package_packed_files_say_what_they_need(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("comfyui_matrixgame.checkpoints.containers.gguf_file", "comfyui_matrixgame.checkpoints.formats"):
        monkeypatch.setattr(f"{module}.package_is_there", lambda: False)
    packed_file(tmp_path / "x.gguf")
    assert main(["inspect", str(tmp_path / "x.gguf")]) == 0
    assert "Its Q8_0 weights need the gguf package: pip install gguf." in capsys.readouterr().out
    with pytest.raises(CheckpointError, match="need the gguf package: pip install gguf"):
        load_generator(tmp_path / "x.gguf")


def test_another_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.gguf").write_bytes(gguf({"token_embd.weight": torch.zeros(2, 2)}, architecture="llama"))
    assert main(["inspect", str(tmp_path / "x.gguf")]) == 0
    assert "a file of another model (llama)" in capsys.readouterr().out


def test_a_kind_that_nobody_reads_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = HEAD + struct.pack("<QQ", 1, 0) + text("a") + struct.pack("<IQIQ", 1, 4, 99, 0)
    (tmp_path / "x.gguf").write_bytes(head + bytes(100))
    assert main(["inspect", str(tmp_path / "x.gguf")]) == 0
    assert "packed as GGUF type 99" in capsys.readouterr().out
    with pytest.raises(CheckpointError, match="GGUF type 99"):
        load_generator(tmp_path / "x.gguf")


HEAD = b"GGUF" + struct.pack("<I", 3)


@pytest.mark.parametrize(
    "data",
    [
        HEAD, HEAD + b"\xff" * 16, HEAD + struct.pack("<QQ", 1 << 40, 0), HEAD + struct.pack("<QQ", 0, 1 << 40),
        HEAD + struct.pack("<QQ", 10_000, 0) + bytes(100), b"GGUF" + struct.pack("<I", 99) + bytes(100),
        HEAD + struct.pack("<QQ", 0, 1) + text("a") + struct.pack("<I", 99),
        HEAD + struct.pack("<QQ", 0, 1) + text("a") + struct.pack("<IIQ", 9, 9, 1) + bytes(100),
        HEAD + struct.pack("<QQ", 0, 1) + text("a") + struct.pack("<IIQ", 9, 8, 1 << 60),
        HEAD + struct.pack("<QQ", 0, 1) + text("general.alignment") + struct.pack("<II", 4, 0),
        HEAD + struct.pack("<QQ", 1, 0) + text("a") + struct.pack("<IQIQ", 1, 1 << 50, 0, 0),
        HEAD + struct.pack("<QQ", 1, 0) + text("a") + struct.pack("<IQIQ", 1, 4, 0, 1 << 60),
        HEAD + struct.pack("<QQ", 1, 0) + text("a") + struct.pack("<IQIQ", 1, 5, 8, 0) + bytes(100),
        HEAD + struct.pack("<QQ", 1, 0) + text("a") + struct.pack("<I", 1 << 30) + bytes(100),
    ],
    ids=range(14),
)  # fmt: skip
def test_invalid_headers(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"x\.gguf is damaged"):
        inspect_file(tmp_path / "x.gguf")
