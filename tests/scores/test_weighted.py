"""Measures that need weights, with small random ones: their formulas, what is loaded, and what is not computed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from comfyui_matrixgame.checkpoints import download as downloads
from comfyui_matrixgame.checkpoints.builtin import FOLDER
from comfyui_matrixgame.errors import CheckpointError
from comfyui_matrixgame.networks.vision import CLIP_MEAN, CLIP_STD
from comfyui_matrixgame.scores.film import score_frames
from comfyui_matrixgame.scores.weighted import fetched, registry, weights
from comfyui_matrixgame.scores.weighted.clip import benchmark_pixels, load_clip
from comfyui_matrixgame.scores.weighted.measures import Temporal
from comfyui_matrixgame.scores.weighted.weights import Weights, load_weights
from comfyui_matrixgame.terminal.main import main

from ..weights.hub import (
    CONTENT,
    HubServer,
    running_hub,
)
from .clips import DIM, SIDE, small_clip, write_clip, write_empty_tower
from .films import write_film

CPU = torch.device("cpu")
TOWER = FOLDER / "demo_vision.safetensors"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with running_hub() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP, one of the same sizes without a tokenizer, and an aesthetic head for both."""
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("clips")
    write_clip(place / "clip", small_clip())
    write_clip(place / "mute", small_clip(1), words=False)
    torch.save({"weight": torch.arange(DIM)[None] / DIM, "bias": torch.tensor([5.0])}, place / "head.pth")
    return place


@pytest.fixture(scope="module")
def frames() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (6, SIDE, SIDE, 3), generator=generator, dtype=torch.uint8)


def scored(found: Weights, frames: Tensor) -> dict[str, float | None]:
    film = found.of_film()
    for chunk in frames.split(4):
        film.add(chunk)
    return film.about()


def pixels_of(frames: Tensor) -> Tensor:
    """As CLIP sees frames of its own size."""
    return ((frames.float() / 255 - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD)).permute(0, 3, 1, 2)


def test_every_measure_is_the_published_formula_on_what_transformers_computes(folder: Path, frames: Tensor) -> None:
    model = small_clip()
    with torch.no_grad():
        tokens = torch.tensor([[0, 15, 21, 12, 1], [0, 17, 21, 12, 1]])  # good photo. bad photo.
        said = model(input_ids=tokens, pixel_values=pixels_of(frames))
    vectors = F.normalize(said.image_embeds, dim=-1)
    alike = [
        (max(0, float(vectors[i] @ vectors[i - 1])) + max(0, float(vectors[i] @ vectors[0]))) / 2 for i in range(1, 6)
    ]
    beauty = (vectors @ (torch.arange(DIM) / DIM) + 5) / 10
    found = scored(load_weights([folder / "clip"], None, folder / "head.pth", CPU), frames)
    assert found == {
        "temporal_consistency_tower": pytest.approx(sum(alike) / 5, abs=2e-4),
        "aesthetic_quality": pytest.approx(float(beauty.mean()), abs=2e-4),
        "clip_iqa": pytest.approx(float(said.logits_per_image.softmax(dim=1)[:, 0].mean()), abs=2e-4),
    }


def test_likeness_is_never_negative_and_a_film_of_one_frame_has_none() -> None:
    measure = Temporal()
    measure.add(torch.tensor([[1.0, 0.0]]))
    assert measure.score is None
    measure.add(torch.tensor([[-1.0, 0.0], [0.0, 1.0]]))  # to the one before: -1, 0; to the first: -1, 0
    assert measure.score == 0
    measure.add(torch.tensor([[0.6, 0.8]]))  # 0.8 and 0.6
    assert measure.score == pytest.approx(0.7 / 3, abs=1e-4)


def test_frames_are_resized_by_their_shorter_side_and_cut_to_the_middle() -> None:
    frames = torch.zeros(1, SIDE, 2 * SIDE, 3, dtype=torch.uint8)
    frames[:, :, SIDE // 2 : SIDE // 2 + SIDE] = torch.arange(SIDE, dtype=torch.uint8)[:, None] * 8
    middle = frames[:, :, SIDE // 2 : SIDE // 2 + SIDE]
    torch.testing.assert_close(benchmark_pixels(frames, SIDE), pixels_of(middle))
    large = frames.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert benchmark_pixels(large, SIDE).shape == (1, 3, SIDE, SIDE)


def test_the_published_clip_is_told_by_its_sizes(folder: Path, frames: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "B32", {"patch_size": 8, "hidden_act": "quick_gelu"})
    found = load_weights([folder / "mute"], TOWER, None, CPU)
    assert scored(found, frames).keys() == {"temporal_consistency", "temporal_consistency_tower"}
    assert "not a file that this program knows" in found.files["temporal_consistency"][0]["licence"]
    monkeypatch.setattr(weights, "B32", {"patch_size": 8, "hidden_act": "gelu"})
    assert load_weights([folder / "mute"], None, None, CPU).files.keys() == {"temporal_consistency_tower"}


@pytest.mark.parametrize(
    ("sizes", "name"),
    [
        ((768, 12, 32), "the image tower of CLIP ViT-B/32"),
        ((1024, 24, 14), "the image tower of CLIP ViT-L/14"),
        ((1280, 24, 14), "an image tower of another kind"),
        ((1280, 32, 16), "an image tower of another kind"),
    ],
)
def test_the_tower_of_another_clip_is_refused_by_its_shapes(
    sizes: tuple[int, int, int], name: str, tmp_path: Path
) -> None:
    width, blocks, patch = sizes
    path = write_empty_tower(tmp_path / "tower.safetensors", *sizes)
    with pytest.raises(CheckpointError) as refused:
        load_weights([], path, None, CPU)
    assert f"tower.safetensors holds {name} ({blocks} blocks of {width}, patches of {patch} pixels)" in str(
        refused.value
    )
    assert "uses, CLIP ViT-H/14 (32 blocks of 1280, patches of 14)" in str(refused.value)


def test_the_tower_that_the_model_uses_is_taken_by_its_shapes(tmp_path: Path) -> None:
    weights.check_tower(write_empty_tower(tmp_path / "tower.safetensors", *weights.OWN_TOWER))


def test_the_models_own_tower_gives_a_measure_of_its_own(frames: Tensor) -> None:
    found = scored(load_weights([], TOWER, None, CPU), frames)
    assert found.keys() == {"temporal_consistency_tower"}
    still = scored(load_weights([], TOWER, None, CPU), frames[:1].expand(5, -1, -1, -1))
    assert still["temporal_consistency_tower"] == pytest.approx(1, abs=1e-3)
    assert 0 <= (found["temporal_consistency_tower"] or 0) < 1


def damaged(folder: Path, tmp_path: Path, what: str) -> Path:
    place = tmp_path / what
    write_clip(place, small_clip())
    config, tensors = json.loads((place / "config.json").read_text()), load_file(place / "model.safetensors")
    if what == "no config":
        (place / "config.json").unlink()
        return place
    if what == "another model":
        config["model_type"] = "siglip"
    elif what == "huge":
        config["vision_config"]["num_hidden_layers"] = 10**9
    elif what == "missing":
        del tensors["visual_projection.weight"]
    elif what == "not numbers":
        tensors["vision_model.post_layernorm.bias"][-1] = float("nan")
    elif what == "words":
        (place / "vocab.json").write_text("[")
    (place / "config.json").write_text(json.dumps(config))
    save_file(tensors, place / "model.safetensors")
    return place


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no config", "no config.json"),
        ("another model", "a siglip model, not a CLIP"),
        ("huge", "num_hidden_layers that no CLIP has"),
        ("missing", "visual_projection.weight is missing"),
        ("not numbers", "not numbers"),
        ("words", "tokenizer"),
    ],
)
def test_nothing_runs_on_weights_that_are_damaged(folder: Path, tmp_path: Path, what: str, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        load_clip(damaged(folder, tmp_path, what), CPU)


def test_a_head_needs_the_clip_it_was_made_for(folder: Path, tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(1, 768), "bias": torch.zeros(1)}, tmp_path / "head.safetensors")
    with pytest.raises(CheckpointError, match=r"vectors of 768 numbers.*ViT-L/14"):
        load_weights([folder / "clip"], None, tmp_path / "head.safetensors", CPU)
    with pytest.raises(CheckpointError, match="no linear aesthetic head"):
        load_weights([folder / "clip"], None, folder / "clip" / "model.safetensors", CPU)


def test_without_weights_every_published_measure_says_why_and_has_no_number(frames: Tensor) -> None:
    score = score_frames(iter([frames]), None)
    assert not score.values.keys() & set(registry.NAMES)
    assert "MIT" in score.without["temporal_consistency"]
    assert "PolyForm Noncommercial" in score.without["imaging_quality"]
    assert "CC BY-NC" in score.without["motion_smoothness"]
    assert "in its place: yaw and pitch" in score.without["mouse_accuracy"]


def test_the_report_names_weights_protocol_and_deviations(
    folder: Path, frames: Tensor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_film(tmp_path / "film.mp4", frames)
    write_film(tmp_path / "one.mp4", frames[:1])
    options = ["--clip", str(folder / "clip"), "--aesthetic", str(folder / "head.pth"), "--device", "cpu"]
    assert main(["score", str(tmp_path), *options]) == 0
    said, report = capsys.readouterr().out, tmp_path / "scores" / "scores.json"
    data = json.loads(report.read_text())
    films = {film["name"]: film for film in data["films"]}
    assert {"temporal_consistency_tower", "aesthetic_quality", "clip_iqa"} <= films["film.mp4"]["values"].keys()
    assert films["one.mp4"]["without"]["temporal_consistency_tower"] == "the film has one frame"
    weighted = data["weighted"]
    assert (weighted["protocol"], weighted["version"]) == (registry.NAME, registry.VERSION)
    assert [file["file"] for file in weighted["weights"]["aesthetic_quality"]] == [
        "clip/model.safetensors",
        f"{folder.name}/head.pth",
    ]
    assert any(text.startswith("aesthetic_quality: ") for text in weighted["deviations"])
    assert data["published"]["label"] == "published, another protocol"
    for words in ("keyboard_accuracy      not computed", registry.NAME, "Note: clip_iqa:", "head.pth, sha256"):
        assert words in said
    page = (tmp_path / "scores" / "index.html").read_text()
    assert '"aesthetic_quality"' in page.split('"shown":')[1].split("]")[0]
    assert main(["score", str(tmp_path), *options]) == 0
    assert "2 films scored before" in capsys.readouterr().err
    assert main(["score", str(tmp_path), "--clip", str(folder / "mute"), "--device", "cpu"]) == 0  # other weights
    assert "scored before" not in capsys.readouterr().err
    assert "clip_iqa" not in json.loads(report.read_text())["films"][0]["values"]


def test_the_licence_is_named_before_the_download(
    hub: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    large = fetched.FILES[-1]
    file = replace(large, sha256=sha256(CONTENT).hexdigest(), revision="f" * 40)
    monkeypatch.setattr(fetched, "FILES", (file,))
    said, real = [], downloads.download
    monkeypatch.setattr(downloads, "download", lambda *given: said.append(capsys.readouterr().out) or real(*given))
    assert main(["download", "scores", "--folder", str(tmp_path), "--endpoint", hub.address]) == 0
    assert [text.startswith("Licence: OpenAI's CLIP: MIT") for text in said] == [True]
    assert (tmp_path / "scores" / "clip-vit-large-patch14" / "model.safetensors").read_bytes() == CONTENT
    assert "--clip" in capsys.readouterr().out
    assert fetched.licence_of(file.sha256) == fetched.LICENCE
    assert "LAION" in fetched.licence_of(downloads.SHARED[1].sha256)
