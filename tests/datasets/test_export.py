"""Exports, read back: by what their layouts say, and by our own readers where they are layouts that we read.

With `FASTVIDEO_PATH` and `FORGEWM_PATH`, checkouts of those projects, their own schema and reader check them too.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from comfyui_matrixgame.checkpoints import load_vae, load_vision
from comfyui_matrixgame.checkpoints.builtin import demo_world
from comfyui_matrixgame.errors import DatasetError
from comfyui_matrixgame.media.datasets.exports import fastvideo, forgewm
from comfyui_matrixgame.media.datasets.exports.encode import Encoders
from comfyui_matrixgame.media.datasets.exports.lerobot import export_lerobot, paths_of
from comfyui_matrixgame.media.datasets.find import find_dataset
from comfyui_matrixgame.media.datasets.fixes import parse_fix
from comfyui_matrixgame.media.datasets.lerobot import VIDEO_KEY, write_video
from comfyui_matrixgame.media.datasets.write_fixed import write_fixed
from comfyui_matrixgame.media.fitting import fit_image, image_tensor
from comfyui_matrixgame.networks.vae.base import denormalise
from comfyui_matrixgame.terminal.main import main

from .sets import Played, played, write_lerobot, write_vpt

N = 9  # frames of a sample


def short(seed: int, frames: int = 20) -> Played:
    return played(seed).at(slice(0, frames))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def encoders() -> Encoders:
    torch.set_num_threads(1)
    demo = demo_world()
    return Encoders(load_vae(demo.vae), load_vision(demo.vision), (32, 48))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = write_vpt(tmp_path / "source", [short(1), short(2, 19)])
    (root / "worse.mp4").write_bytes(b"no film")
    (root / "worse.jsonl").write_text('{"w": 1}\n')
    return root


@pytest.mark.parametrize("version", [2, 3])
def test_lerobot_is_read_back_and_goes_on(version: int, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    out = export_lerobot(find_dataset(source), target, version)
    assert (out.made, out.there, list(out.lost)) == (2, 0, ["worse.mp4"])
    table, _ = paths_of(target, 1, version)
    before = table.read_bytes()
    table.unlink()
    out = export_lerobot(find_dataset(source), target, version)
    assert (out.made, out.there) == (1, 1)
    assert table.read_bytes() == before
    dataset = find_dataset(target)
    assert dataset.layout == ("LeRobot v2.1" if version == 2 else "LeRobot v3.0")
    for clip, seed, count in zip(dataset.clips, (1, 2), (20, 19), strict=True):
        inputs = clip.read()
        assert np.array_equal(inputs.track.keyboard, short(seed, count).keyboard)
        assert np.allclose(inputs.camera, short(seed, count).mouse, atol=1e-5)
        assert sum(1 for _ in clip.pixels()) == count
    write_fixed(target, tmp_path / "fixed", parse_fix("flip=yaw,lag=1"))
    keyboard = find_dataset(tmp_path / "fixed").clips[1].read()
    assert np.allclose(keyboard.camera[1:, 1], -short(2, 19).mouse[:-1, 1], atol=1e-5)


def test_version_3_says_where_everything_is(source: Path, tmp_path: Path) -> None:
    export_lerobot(find_dataset(source), tmp_path / "out", 3)
    info = json.loads((tmp_path / "out" / "meta" / "info.json").read_text())
    assert (info["codebase_version"], info["total_frames"], info["total_episodes"]) == ("v3.0", 39, 2)
    rows = pq.read_table(tmp_path / "out" / "meta" / "episodes" / "chunk-000" / "file-000.parquet").to_pylist()
    assert [(row["dataset_from_index"], row["dataset_to_index"]) for row in rows] == [(0, 20), (20, 39)]
    stats = json.loads((tmp_path / "out" / "meta" / "stats.json").read_text())["action"]
    actions = np.concatenate([np.concatenate([c.keyboard, c.mouse], axis=1) for c in (short(1), short(2, 19))])
    for kind, function in (("mean", np.mean), ("std", np.std), ("min", np.min), ("max", np.max)):
        assert np.allclose(stats[kind], function(actions, axis=0), atol=1e-5)
    assert stats["count"] == [39]


def test_fastvideos_tables_hold_what_the_networks_say(source: Path, tmp_path: Path, encoders: Encoders) -> None:
    target, dataset = tmp_path / "out", find_dataset(source)
    out = fastvideo.export_fastvideo(dataset, target, encoders, N, 3)
    assert (out.made, list(out.lost)) == (4, ["worse.mp4"])
    assert sorted(path.name for path in target.iterdir()) == ["data_000000.parquet", "data_000001.parquet"]
    kept = (target / "data_000000.parquet").read_bytes()
    (target / "data_000001.parquet").unlink()
    out = fastvideo.export_fastvideo(dataset, target, encoders, N, 3)
    assert (out.made, out.there) == (1, 3)
    assert (target / "data_000000.parquet").read_bytes() == kept
    rows = [row for path in sorted(target.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert [row["id"] for row in rows] == ["take0.mp4:0", "take0.mp4:9", "take1.mp4:0", "take1.mp4:9"]
    arrays = [{name: tensor(row, name) for name in fastvideo.TENSORS} for row in rows]
    assert arrays[1]["vae_latent"].shape == arrays[1]["first_frame_latent"].shape == (16, 3, 4, 6)
    assert np.allclose(arrays[1]["mouse_cond"], short(1).mouse[9:18], atol=1e-5)
    assert np.array_equal(arrays[1]["keyboard_cond"], short(1).keyboard[9:18])
    pixels = list(dataset.clips[0].pixels(9, N))
    frames = torch.stack([fit_image(image_tensor(each), 32, 48) for each in pixels], dim=1)[None]
    with torch.inference_mode():
        latents, _ = encoders.vae.encode(frames)
        alone, _ = encoders.vae.encode(torch.cat([frames[:, :, :1], torch.zeros_like(frames[:, :, 1:])], dim=2))
        assert encoders.tower is not None
        features = encoders.tower(frames[:, :, 0])
    assert np.allclose(arrays[1]["vae_latent"], denormalise(latents)[0], atol=1e-4)
    assert np.allclose(arrays[1]["first_frame_latent"], alone[0], atol=1e-4)
    assert np.allclose(arrays[1]["clip_feature"], features[0], atol=1e-4)
    if (checkout := os.environ.get("FASTVIDEO_PATH")) is not None:
        schema = module(Path(checkout, "fastvideo/dataset/dataloader/schema.py")).pyarrow_schema_matrixgame2
        assert pq.read_schema(target / "data_000000.parquet").equals(schema)
        batch = module(Path(checkout, "fastvideo/dataset/utils.py")).collate_rows_from_parquet_schema(rows, schema, 0)
        assert batch["keyboard_cond"].shape == (4, N, 4)
        assert np.array_equal(batch["vae_latent"][1], arrays[1]["vae_latent"])


def tensor(row: dict[str, Any], name: str) -> np.ndarray:
    """As the published reader has it: always float32."""
    array = np.frombuffer(row[f"{name}_bytes"], np.float32)
    return array.reshape(row[f"{name}_shape"]) if array.size else array


def test_forgewms_shards_are_read_back_and_go_on(source: Path, tmp_path: Path, encoders: Encoders) -> None:
    lmdb = pytest.importorskip("lmdb")
    target, dataset = tmp_path / "out", find_dataset(source)
    calls: list[int] = []

    def stop(out: Any) -> None:
        calls.append(out.made)
        if out.made == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forgewm.export_forgewm(dataset, target, encoders, N, 2, stop)
    out = forgewm.export_forgewm(dataset, target, encoders, N, 2)
    assert (out.made, out.there, list(out.lost)) == (1, 3, ["worse.mp4"])
    assert sorted(path.name for path in target.iterdir()) == ["shard000", "shard001"]
    env = lmdb.open(str(target / "shard000"), readonly=True, lock=False)
    with env.begin() as txn:
        shape = tuple(map(int, txn.get(b"latents_shape").split()))
        latents = np.frombuffer(txn.get(b"latents_1_data"), np.float16).reshape(shape[1:])
        mouse = np.frombuffer(txn.get(b"mouse_conditions_1_data"), np.float32).reshape(N, 2)
        assert txn.get(b"prompts_0_data").decode()
    env.close()
    assert shape == (2, 3, 16, 4, 6)
    assert np.allclose(mouse, short(1).mouse[9:18], atol=1e-5)
    frames = torch.stack([fit_image(image_tensor(p), 32, 48) for p in dataset.clips[0].pixels(9, N)], dim=1)[None]
    with torch.inference_mode():
        expected, _ = encoders.vae.encode(frames)
    assert np.allclose(latents, expected[0].permute(1, 0, 2, 3), atol=5e-3)
    if (checkout := os.environ.get("FORGEWM_PATH")) is not None:
        reader = forgewm_reader(Path(checkout))(str(target))
        assert len(reader) == 4
        assert reader[1]["clean_latent"].shape == (3, 16, 4, 6)
        assert np.array_equal(reader[1]["mouse_condition"], mouse)
        assert np.array_equal(reader[3]["keyboard_condition"], short(2, 19).keyboard[9:18])


def module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"read_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def forgewm_reader(checkout: Path) -> Any:
    """Its class of a folder of shards; what it imports is loaded from the checkout too."""
    sys.modules["utils"] = types.ModuleType("utils")
    sys.modules["utils.lmdb_"] = module(checkout / "utils" / "lmdb_.py")
    try:
        return module(checkout / "utils" / "dataset.py").ShardingActionLatentLMDBDataset
    finally:
        del sys.modules["utils"], sys.modules["utils.lmdb_"]


def test_the_command_exports_with_the_demo_worlds_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_lerobot(tmp_path / "set", [short(1)])
    command = ["dataset", "export", str(root), str(tmp_path / "out"), "--as"]
    assert main([*command, "fastvideo", "--frames", "9", "--size", "48x32", "--device", "cpu"]) == 0
    assert "2 written" in capsys.readouterr().out
    assert main([*command, "forgewm", "--frames", "8"]) == 1
    assert "1 + 4k" in capsys.readouterr().err
    assert main(["dataset", "export", str(root), str(root / "in"), "--as", "lerobot-3.0"]) == 1
    assert "lies in the dataset itself" in capsys.readouterr().err
    assert main(["dataset", "export", str(root), str(root.parent / "set"), "--as", "lerobot-2.1"]) == 1


def test_a_missing_package_is_a_sentence_with_its_command(
    source: Path, tmp_path: Path, encoders: Encoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(DatasetError, match="pip install lmdb"):
        forgewm.export_forgewm(find_dataset(source), tmp_path / "out", encoders)


def test_several_episodes_of_a_file_are_told_apart(source: Path, tmp_path: Path) -> None:
    """As LeRobot's own writer lays version 3.0 out; a lag is undone in each episode by itself."""
    root, clips = tmp_path / "out", [short(1), short(2, 19)]
    export_lerobot(find_dataset(source), root, 3)
    (table, video), (second, other) = (paths_of(root, number, 3) for number in range(2))
    pq.write_table(pa.concat_tables([pq.read_table(table), pq.read_table(second)]), table)
    write_video(video, iter(np.concatenate([clip.frames for clip in clips])), 25)
    second.unlink()
    other.unlink()
    episodes = root / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
    rows = pq.read_table(episodes).to_pylist()
    for name in ("data/file_index", f"videos/{VIDEO_KEY}/file_index"):
        rows[1][name] = 0
    rows[1][f"videos/{VIDEO_KEY}/from_timestamp"] = 20 / 25
    pq.write_table(pa.Table.from_pylist(rows), episodes)
    write_fixed(root, tmp_path / "fixed", parse_fix("lag=1"))
    for clip, own in zip(find_dataset(tmp_path / "fixed").clips, clips, strict=True):
        frames = np.stack(list(clip.pixels()))
        assert frames.shape == own.frames.shape
        assert abs(frames.astype(int) - own.frames).mean() < 5
        camera = clip.read().camera
        assert np.allclose(camera[1:], own.mouse[:-1], atol=1e-5)
        assert np.allclose(camera[0], own.mouse[0], atol=1e-5)
