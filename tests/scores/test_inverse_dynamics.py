"""The inverse dynamics model of Video PreTraining: the published code's numbers, its weights, what it sees of films."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from comfyui_matrixgame.errors import CheckpointError
from comfyui_matrixgame.networks.inverse_dynamics import PUBLISHED, InverseDynamics, degrees_of_bins, network_sizes
from comfyui_matrixgame.scores.weighted import inverse_dynamics
from comfyui_matrixgame.scores.weighted.inverse_dynamics import WatchedFilm, as_seen, load_inverse_dynamics
from comfyui_matrixgame.scores.weighted.predicted import NAMES, accuracies
from comfyui_matrixgame.terminal.main import main

from ..pretend_gpu import Machine
from ..support.networks import golden, golden_metadata, largest_difference, manifest, stream
from .dynamics import layout, tensors
from .films import film, track_of, write_film

CPU = torch.device("cpu")
TOLERANCE = 1e-5  # measured: 5e-7
TEMPERATURE = 4  # of the published heads: the golden numbers are those of logits divided by it


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / inverse_dynamics.FILE
    torch.save(tensors(), path)
    return path


@pytest.fixture(scope="module")
def network(file: Path) -> InverseDynamics:
    return load_inverse_dynamics(file, CPU)


def pixels(name: str, shape: tuple[int, ...], mean: float | Tensor, scale: float) -> Tensor:
    """Frames of 8 bits that the golden numbers are made of."""
    return (mean + scale * stream(name, shape).double()).clamp(0, 255).to(torch.uint8)


def golden_frames() -> Tensor:
    return pixels("idm/frames", (12, 88, 160, 3), 64 + 12 * torch.arange(12).view(12, 1, 1, 1), 48)


def test_the_numbers_are_those_of_the_published_code(network: InverseDynamics) -> None:
    answer = golden("inverse_dynamics")
    with torch.inference_mode():
        found = network(as_seen(golden_frames()))
    buttons, camera = ((logits / TEMPERATURE).log_softmax(-1) for logits in found)
    assert largest_difference(buttons, answer["buttons"]) < TOLERANCE
    assert largest_difference(camera, answer["camera"]) < TOLERANCE
    assert torch.equal(found.buttons.argmax(-1), answer["pressed"].long())
    assert largest_difference(degrees_of_bins(found.camera.argmax(-1)), answer["degrees"]) < 1e-12


def test_names_and_shapes_are_those_of_the_published_network() -> None:
    published = manifest("inverse_dynamics")
    assert network_sizes(published) == PUBLISHED
    assert layout(PUBLISHED) == published
    assert sum(int(np.prod(shape)) for shape in published.values()) == 482_330_046


def test_a_frame_is_resized_as_opencv_does() -> None:
    picture = pixels("idm/picture", (352, 640, 3), 128, 64)
    assert torch.equal(as_seen(picture[None])[0], golden("inverse_dynamics")["picture"])


def test_bins_of_the_camera_are_finer_around_no_turn() -> None:
    found = degrees_of_bins(torch.arange(11))
    assert torch.allclose(found, -found.flip(0))
    assert [round(value, 3) for value in found[5:].tolist()] == [0, 0.615, 1.609, 3.215, 5.809, 10]


def test_a_film_is_what_the_published_program_says_of_all_frames_but_the_last(network: InverseDynamics) -> None:
    answer, frames = golden("inverse_dynamics"), golden_frames()
    watched = WatchedFilm(network)
    for part in torch.cat([frames, frames[:1]]).split([1, 7, 5]):
        watched.add(part)
    found = watched.end()
    names = json.loads(golden_metadata("inverse_dynamics")["names"])
    for name in NAMES:
        assert found.keys[name].tolist() == answer["pressed"][:, names.index(name)].tolist()
    assert found.camera == pytest.approx(answer["degrees"].numpy())


def test_a_long_film_is_seen_in_chunks_of_which_the_last_reaches_back(
    network: InverseDynamics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inverse_dynamics, "CHUNK", 8)
    frames = golden_frames().repeat(2, 1, 1, 1)[:21]
    seen: list[int] = []
    watched = WatchedFilm(network, seen.append)
    most = 0
    for part in frames.split(random.Random(0).sample(range(1, 7), 6)):
        watched.add(part)
        most = max(most, len(watched._waiting))
    found = watched.end()
    whole = as_seen(frames)
    with torch.inference_mode():
        turns = [network(whole[a:b]).camera[-new:] for a, b, new in ((0, 8, 8), (8, 16, 8), (12, 20, 4))]
    assert found.camera == pytest.approx(degrees_of_bins(torch.cat(turns).argmax(-1)).numpy())
    assert len(found.keys["jump"]) == 20
    assert seen == sorted(seen)
    assert seen[-1] == 20
    assert most <= 8 + 6


def test_on_a_gpu_it_sees_the_same(two_gpus: Machine, file: Path) -> None:
    network = load_inverse_dynamics(file, torch.device("cuda:1"))
    assert {str(value.device) for value in network.parameters()} == {"cuda:1"}
    watched = WatchedFilm(network)
    watched.add(golden_frames())
    watched.add(golden_frames()[:1])
    assert watched.end().camera == pytest.approx(golden("inverse_dynamics")["degrees"].numpy())


def test_a_film_of_one_frame_has_nothing_to_see(network: InverseDynamics) -> None:
    watched = WatchedFilm(network)
    watched.add(golden_frames()[:1])
    found = watched.end()
    assert found.camera.shape == (0, 2)
    assert accuracies(found, track_of({"w": 1}), 1)["mouse_accuracy"] == (None, "the film has one frame")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"net.conv3d_layer.layer.weight": None}, r"it has no net\.conv3d_layer\.layer\.weight\); use 4x_idm"),
        ({"net.recurrent_layer.blocks.1.r.orc_block.q_layer.bias": None}, r"q_layer\.bias is missing; use 4x_idm"),
        ({"net.recurrent_layer.blocks.1.r.orc_block.b_nd": torch.zeros(10, 3)}, r"b_nd is \[10, 3\]; use 4x_idm"),
        ({"net.lastlayer.norm.bias": None}, r"net\.lastlayer\.norm\.bias is missing"),
        ({"value_head.weight": torch.zeros(1)}, r"value_head\.weight is \[1\]"),
        ({"net.recurrent_layer.blocks.0.r.orc_block.r_layer.bias": torch.zeros(45)}, "heads or stacks do not fit"),
        ({"net.conv3d_layer.layer.weight": torch.zeros(8, 3, 4, 1, 1)}, "has no middle"),
        ({"net.conv3d_layer.layer.weight": torch.zeros(8)}, "is not the inverse dynamics model"),
        ({"net.img_process.cnn.dense.layer.weight": torch.zeros(0, 2048)}, "impossible size"),
        ({"pi_head.camera.linear_layer.bias": torch.full((22,), float("nan"))}, "not numbers; the file is damaged"),
    ],
)
def test_no_other_weights_are_taken(tmp_path: Path, change: dict[str, Tensor | None], words: str) -> None:
    torch.save({name: value for name, value in (tensors() | change).items() if value is not None}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=words):
        load_inverse_dynamics(tmp_path / "a.pt", CPU)


def test_scores_by_weights_of_the_users_own(
    file: Path, network: InverseDynamics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    track = track_of({"w": 1, "yaw": 0.1}, {"a": 1})
    frames = film(track, 5)
    write_film(tmp_path / "inputs.mp4", frames, track)
    write_film(tmp_path / "none.mp4", frames[:2])
    assert main(["score", str(tmp_path), "--inverse-dynamics", str(file.parent), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    report = json.loads((tmp_path / "scores" / "scores.json").read_text())
    with_inputs, without = report["films"]
    assert {"keyboard_accuracy", "mouse_accuracy"} <= with_inputs["values"].keys()
    assert without["without"]["mouse_accuracy"] == "no inputs belong to the film"
    (about,) = report["weighted"]["weights"]["mouse_accuracy"]
    assert about["licence"].startswith("OpenAI's Video PreTraining: MIT")
    assert "Note: mouse_accuracy: The model learned Minecraft" in said
    assert main(["score", str(tmp_path), "--inverse-dynamics", str(file), "--predictions", str(tmp_path)]) == 1
    assert "name one of the two" in capsys.readouterr().err
    assert main(["score", str(tmp_path), "--inverse-dynamics", str(tmp_path)]) == 1
    assert "There is no file" in capsys.readouterr().err
    assert main(["score", str(tmp_path)]) == 0  # without: not computed, and why
    films = json.loads((tmp_path / "scores" / "scores.json").read_text())["films"]
    assert "it needs 4x_idm.weights of Video PreTraining (MIT)" in films[0]["without"]["keyboard_accuracy"]
