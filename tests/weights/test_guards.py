"""Files that are no weights, or that claim to be huge: refused at once, in one sentence that names them."""

from __future__ import annotations

import gc
import io
import os
import pickle
import resource
import socket
import struct
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from comfyui_matrixgame.checkpoints import inspect_file, load_decoder, load_generator, load_vae, load_vision
from comfyui_matrixgame.errors import CheckpointError
from comfyui_matrixgame.terminal.main import main

from .files import Runs, empty, generator_tensors, raw_safetensors, save


def inspected(path: str | Path) -> None:
    """Inspect a file that something is wrong with."""
    report = inspect_file(path)
    if not report.whole:
        raise CheckpointError(f"{report.path.name}: {report.title}, {report.problems()}")


LOADERS = (inspected, load_generator, load_vae, load_decoder, load_vision)


@contextmanager
def cheap() -> Iterator[None]:
    """Under a second of processor time, and under 500 MB more than before. Garbage of other tests is not collected
    meanwhile."""
    gc.disable()
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        yield
        spent = time.process_time() - began
    finally:
        gc.enable()
    assert spent < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


def refused(path: Path, says: str) -> None:
    """Every loader refuses a file with a sentence that names it."""
    for load in LOADERS:
        with cheap(), pytest.raises(CheckpointError, match=says) as raised:
            load(path)
        assert path.name in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_header_that_begins_like_a_page_is_read(tmp_path: Path) -> None:
    """Header lengths whose bytes are `space <` or `<!`."""
    for length in (0x3C20, 0x213C, 0x683C):
        header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(length)
        path = raw_safetensors(tmp_path / f"{length}.safetensors", header, bytes(4))
        with safe_open(path, "pt") as file:
            assert list(file.keys()) == ["a"]
        assert inspect_file(path).parameters == 1


@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html><html>", b"\n <html lang=en>", b"<?xml version='1.0'?><Error>", b"<HEAD>"]
)
def test_pages_are_still_named(page: bytes, tmp_path: Path) -> None:
    (tmp_path / "page.safetensors").write_bytes(page)
    refused(tmp_path / "page.safetensors", "web page")


@pytest.mark.parametrize("number", ["999999999", "9999", "250", "99999999999999999999"])
@pytest.mark.parametrize("name", ["blocks.{}.ffn.0.weight", "model.blocks.{}.x", "blocks.{}.action_model.t_qkv.weight"])
def test_a_block_that_cannot_be(number: str, name: str, tmp_path: Path) -> None:
    front = "model." if name.startswith("model") else ""
    header = {
        f"{front}patch_embedding.weight": empty([0, 36, 1, 2, 2]),
        f"{front}blocks.0.action_model.keyboard_embed.0.weight": empty([0, 4]),
        name.format(number): empty([0]),
    }
    path = raw_safetensors(tmp_path / "x.safetensors", header)
    with cheap(), pytest.raises(CheckpointError, match=r"x\.safetensors"):
        inspected(path)
    refused(path, "x.safetensors")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"patch_embedding.weight": [256]}, "5 sides"),
        ({"patch_embedding.weight": [0, 36, 1, 2, 2]}, "no such model"),
        ({"patch_embedding.weight": [1 << 38, 36, 1, 2, 0]}, "no such model"),
        ({"blocks.0.action_model.keyboard_embed.0.weight": []}, "2 sides"),
        ({"blocks.0.ffn.0.weight": [0]}, "2 sides"),
        ({"img_emb.proj.0.weight": [1 << 30, 0]}, "1 sides"),
    ],
)
def test_shapes_that_no_generator_has(change: dict[str, list[int]], says: str, tmp_path: Path) -> None:
    tensors = generator_tensors() | {name: torch.zeros(shape) for name, shape in change.items()}
    refused(save(tmp_path / "x.safetensors", tensors), says)


def tower(**changes: list[int]) -> dict[str, Any]:
    shapes = {
        "vision_model.embeddings.class_embedding": [0],
        "vision_model.embeddings.patch_embedding.weight": [0, 3, 14, 14],
        "vision_model.embeddings.position_embedding.weight": [257, 0],
        "vision_model.encoder.layers.0.mlp.fc1.weight": [0, 64],
    } | changes
    return {name: empty(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    "header",
    [
        tower(),
        tower(**{"vision_model.embeddings.position_embedding.weight": [0, 0]}),
        tower(**{"vision_model.embeddings.patch_embedding.weight": [0]}),
        tower(**{"vision_model.encoder.layers.999999999.x": [0]}),
        {"visual.patch_embedding.weight": empty([0, 3, 14, 14]), "visual.transformer.0.attn.foo": empty([0])},
        {"visual.patch_embedding.weight": empty([]), "visual.transformer.0.attn.to_qkv.weight": empty([])},
        {"visual.patch_embedding.weight": empty([0]), "visual.transformer.{}.x.{0}": empty([0])},
        {"decoder.head.2.weight": empty([])},
        {"decoder.head.2.weight": empty([3, 1 << 39, 3, 3, 0])},
        {"decoder.head.2.weight": empty([3, 0, 3, 3, 3])},
        {"decoder.22.weight": empty([]), "decoder.3.conv.0.weight": empty([])},
        {"blocks..y.action_model.x": empty([0]), "patch_embedding.weight": empty([0])},
        {"patch_embedding.weight": empty([0, 1, 1, 1, 1]), "x.action_model.y": empty([0])},
    ],
)
def test_names_and_shapes_that_fit_nothing(header: dict[str, Any], tmp_path: Path) -> None:
    path = raw_safetensors(tmp_path / "x.safetensors", header)
    refused(path, "x.safetensors")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"a":1}',
        b'{"a":{}}',
        b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}',
        b'{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[1e400],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":["F32"],"shape":[1],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,400]}}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}',
        b'{"a":' + b"[" * 100_000,
        b'{"a":' + b"9" * 100_000 + b"}",
        b"\xff\xfe{}",
    ],
)  # fmt: skip
def test_invalid_headers(header: bytes, tmp_path: Path) -> None:
    refused(raw_safetensors(tmp_path / "x.safetensors", header, bytes(8)), "damaged|not a file this program knows")


def test_many_names_and_long_headers(tmp_path: Path) -> None:
    many = b",".join(b'"blocks.%d.a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}' % i for i in range(100_000))
    refused(raw_safetensors(tmp_path / "many.safetensors", b"{" + many + b"}", bytes(4)), "names 100,000 tensors")
    long = b'{"__metadata__":{"a":"' + b"x" * (20 << 20) + b'"}}'
    refused(raw_safetensors(tmp_path / "long.safetensors", long), "take 20 MB")
    lists = b'{"a":[' + b"[]," * 2_000_000 + b"[]]}"
    refused(raw_safetensors(tmp_path / "lists.safetensors", lists), "more than names and shapes")
    lists = b'{"a":[' + b"[]," * 250_000 + b"[]]}"
    refused(raw_safetensors(tmp_path / "lists.safetensors", lists), "no shape")
    refused(raw_safetensors(tmp_path / "far.safetensors", {}, length=1 << 62), "cut short")


def test_pipes_sockets_and_folders_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    refused(tmp_path / "pipe.safetensors", "named pipe")
    (tmp_path / "there").mkdir()
    refused(tmp_path / "there", "folder without weights")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s.pth"))
        refused(tmp_path / "s.pth", "socket")
    for load in LOADERS:
        with pytest.raises(CheckpointError, match="device"):
            load("/dev/zero")


def pickled(tensors: Any, old: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(tensors, stream, _use_new_zipfile_serialization=not old)
    return stream.getvalue()


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("ending", [".pth", ".pt", ".bin", ".ckpt", ".safetensors"])
def test_nothing_in_a_pickle_runs(old: bool, ending: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / f"x{ending}"
    for content in (
        pickled({"a": torch.zeros(1), "b": Runs(marker)}, old),
        pickled({"state_dict": {"a": Runs(marker)}}, old),
        pickle.dumps({"a": Runs(marker)}),
        pickle.dumps(OrderedDict(a=Runs(marker)), 0),
    ):
        path.write_bytes(content)
        refused(path, "can run code|damaged|cannot be read")
    assert not marker.exists()


def bomb_of_steps() -> bytes:
    return b"\x80\x02" + b"]0" * 1_000_000 + b"N."


def bomb_of_tuples() -> bytes:
    """A tuple of tuples of tuples ..., each twice, as the key of a dict: hashing it takes years."""
    doubled = b"".join(b"q%c0h%ch%c\x86" % (i, i, i) for i in range(60))
    return b"\x80\x02}N\x85" + doubled + b"Ns."


def bomb_of_self() -> bytes:
    """A dict that is in itself many times."""
    return b"\x80\x02}q\x00(" + b"".join(b"K%ch\x00" % i for i in range(100)) + b"u."


def zipped(record: bytes, compress: int = zipfile.ZIP_STORED, name: str = "x/data.pkl") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compress) as archive:
        archive.writestr(name, record)
        archive.writestr("x/version", "3\n")
        archive.writestr("x/byteorder", "little")
    return stream.getvalue()


@pytest.mark.parametrize("bomb", [bomb_of_steps, bomb_of_tuples, bomb_of_self])
@pytest.mark.parametrize("around", [bytes, zipped], ids=["old", "zip"])
def test_pickles_that_take_long(bomb: Callable[[], bytes], around: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    path.write_bytes(around(bomb()))
    refused(path, "damaged|not a file of named tensors|can run code")


def test_archives_that_are_no_pytorch_files(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(zipped(bytes(100 << 20), zipfile.ZIP_DEFLATED))
    refused(path, "compressed archive")
    path.write_bytes(zipped(b"hello", name="readme.txt"))
    refused(path, "not a PyTorch file")
    whole = zipped(b"\x80\x02}.")
    path.write_bytes(whole[:-22] + whole[-22:].replace(whole[-10:-6], struct.pack("<I", 1 << 30)))
    refused(path, "damaged")


def test_a_tensor_larger_than_its_file(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1).expand(1 << 40)}, tmp_path / "wide.pt")
    refused(tmp_path / "wide.pt", "claims more values")


def test_a_safetensors_file_under_another_ending(tmp_path: Path) -> None:
    for ending in (".pth", ".pt", ".bin", ".ckpt", ".sft", ".gguf", ""):
        assert inspect_file(save(tmp_path / f"x{ending}", generator_tensors())).complete
    torch.save(generator_tensors(), tmp_path / "pickle.safetensors")
    assert inspect_file(tmp_path / "pickle.safetensors").complete


def test_weights_that_are_whole_numbers(tmp_path: Path) -> None:
    tensors = generator_tensors() | {"head.head.bias": torch.zeros(64, dtype=torch.int64)}
    path = save(tmp_path / "x.safetensors", tensors)
    assert inspect_file(path).wrong_dtype == ["head.head.bias int64"]
    with pytest.raises(CheckpointError, match=r"1 of the wrong dtype \(head.head.bias int64\)"):
        load_generator(path)


def test_a_path_that_is_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for ending, write in ((".safetensors", save), (".pt", lambda path, tensors: torch.save(tensors, path))):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9" + os.fsencode(ending)))
        plain = tmp_path / f"plain{ending}"
        write(plain, generator_tensors())
        plain.rename(path)
        assert main(["inspect", str(path)]) == 0
        assert rf"caf\xe9{ending}: Matrix-Game 2.0 generator" in capsys.readouterr().out
        assert torch.equal(load_generator(path, "float32").head.modulation, generator_tensors()["head.modulation"])
        path.write_bytes(b"<html>")
        assert main(["inspect", str(path)]) == 1
        assert rf"caf\xe9{ending} is a web page" in capsys.readouterr().err


def test_names_that_cannot_be_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = generator_tensors() | {"bad\n\x1b[31m" + "x" * 500: torch.zeros(1)}
    assert main(["inspect", str(save(tmp_path / "x.safetensors", tensors))]) == 1
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) < 250


def test_no_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "x.safetensors", generator_tensors())

    def fails(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("mmap.mmap", fails)
    refused(path, "cannot be read: Cannot allocate memory")


@pytest.mark.parametrize(
    ("begins", "says"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "is a PNG picture, not a weights file"),
        (b"\0\0\0\x18ftypisom" + bytes(99), "is a video, not"),
        (b"\x1f\x8b\x08" + bytes(99), "unpacked first"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(99), "unpacked first"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "is an HDF5 file"),
        (b"Entry not found", r"is text \('Entry not found'\), not a weights file"),
        (b'{"error":"Repository is gated"}', "is text .*gated"),
        (b"model:\n  target: ldm\n", "is text"),
    ],
)
@pytest.mark.parametrize("ending", [".safetensors", ".ckpt"])
def test_files_of_other_kinds_are_named(begins: bytes, says: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{ending}"
    path.write_bytes(begins)
    with pytest.raises(CheckpointError, match=says):
        inspect_file(path)


@pytest.mark.parametrize(
    ("name", "says"),
    [("__0_0.distcp", "dcp_to_torch"), ("zero_to_fp32.py", "zero_to_fp32"), ("latest/global_step9", "zero_to_fp32")],
)
def test_folders_of_training_say_how_to_make_one_file(name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(CheckpointError, match=says):
        inspect_file((tmp_path / name).parent)
    if name.endswith(".distcp"):
        with pytest.raises(CheckpointError, match=says):
            inspect_file(tmp_path / name)
