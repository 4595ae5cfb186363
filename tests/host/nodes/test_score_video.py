"""Score Video in a real ComfyUI: what it says of a rollout is what the engine says of the same frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.media.images import read_pixels
from comfyui_matrixgame.networks.vision import ImageEncoder
from comfyui_matrixgame.scores.film import score_frames
from comfyui_matrixgame.scores.films.comfyui import inputs_in
from comfyui_matrixgame.scores.films.scoring import put_accuracies
from comfyui_matrixgame.scores.results.shown import text_table
from comfyui_matrixgame.scores.weighted.inverse_dynamics import FILE
from comfyui_matrixgame.scores.weighted.weights import load_weights
from comfyui_matrixgame.world import Models

from ...scores.dynamics import tensors
from ..graphs import Graph, Link
from ..models import CLIP, VISUAL_DIM, save
from ..runs import (
    engine_frames,
    fail,
    reject,
    save_images,
    saved_images,
    succeed,
)
from ..server import Host, run_in_core
from ..worlds import add_models, add_video, add_world

SCRIPT = "w+right(0.1) 20f"


def test_the_report_of_a_rollout(host: Host, base: Path, models: Models) -> None:
    graph = Graph()
    world = add_world(graph, *add_models(graph), seed=7)
    actions = graph.add("MatrixGameActionTimeline", variant="universal", script=SCRIPT)
    rolled = graph.add("MatrixGameRollOut", world=world, actions=actions, images="when connected")
    scored = graph.add("MatrixGameScoreVideo", film=rolled[0], actions=actions, reference=rolled[0])
    video = graph.add("MatrixGameScoreVideo", film=rolled[1], actions=actions)
    save_images(graph, scored[2], "curves")
    add_video(graph, rolled, "scored")
    run = succeed(host, graph)
    frames = torch.from_numpy(engine_frames(models, base, SCRIPT, seed=7))
    track = read_text(SCRIPT, "universal").track
    expected = score_frames(iter(frames.split(25)), track, frames=len(frames), reference=iter(frames.split(25)))
    (said,) = run.outputs[scored.node]["text"]
    assert said == text_table([vars(expected) | {"name": "video", "error": ""}])
    assert "psnr                   100 dB" in said
    assert "none of the" in said or "% right" in said
    assert saved_images(host, "curves").shape[2] == 1200
    (of_video,) = run.outputs[video.node]["text"]
    assert "psnr                   not computed: no reference film was named" in of_video
    (saved,) = host.output_files("scored_*")  # the file alone tells the inputs
    stored = inputs_in(saved, len(frames))
    assert stored is not None
    assert np.array_equal(stored.track.keyboard, track.padded(len(frames)).keyboard)


HEAD = "head.pth"
VIT_L = {
    "hidden_size": VISUAL_DIM, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "image_size": 224, "patch_size": 14, "hidden_act": "quick_gelu",
}  # fmt: skip


@pytest.fixture(scope="module")
def weights(base: Path) -> Path:
    """Files that the node offers, beside the folder of a CLIP, which it does not."""
    folder = base / "models" / "scores"
    (folder / "clip").mkdir(parents=True)
    torch.save({"weight": torch.linspace(-3, 3, 768)[None], "bias": torch.tensor([5.0])}, folder / HEAD)
    torch.save(tensors(), folder / FILE)
    config = {"model_type": "clip", "vision_config": VIT_L, "projection_dim": 768}
    (folder / "clip" / "config.json").write_text(json.dumps(config))
    (folder / "clip" / "model.safetensors").symlink_to(base / "models" / "clip_vision" / CLIP)
    return folder


def two_frames(graph: Graph) -> Link:
    """The example picture and its negative."""
    picture = graph.add("LoadImage", image="example.png")
    return graph.add("ImageBatch", image1=picture, image2=graph.add("ImageInvert", image=picture))


def test_with_weights_the_node_says_what_the_program_says_of_the_same_film(
    host: Host, base: Path, weights: Path
) -> None:
    graph = Graph()
    film = two_frames(graph)
    actions = graph.add("MatrixGameActionTimeline", variant="universal", script="w+right(0.1) 2f")
    clip = graph.add("CLIPVisionLoader", clip_name=CLIP)
    scored = graph.add(
        "MatrixGameScoreVideo", film=film, actions=actions, clip_vision=clip, aesthetic_head=HEAD, inverse_dynamics=FILE
    )
    graph.add("PreviewAny", "json", source=scored[1])
    run = succeed(host, graph)
    (said,), (text,) = run.outputs["json"]["text"], run.outputs[scored.node]["text"]
    report, picture = json.loads(said), read_pixels(base / "input" / "example.png")
    frames = torch.from_numpy(np.stack([picture, 255 - picture]))
    found = load_weights([weights / "clip"], None, weights / HEAD, torch.device("cpu"), weights / FILE)
    film_weights = found.of_film()
    track = read_text("w+right(0.1) 2f", "universal").track
    expected = score_frames(iter([frames]), track, frames=2, weighted=film_weights)
    put_accuracies(expected, film_weights.seen(), track)
    values = report["score"]["values"]
    named = {"temporal_consistency_tower", "aesthetic_quality", "keyboard_accuracy", "mouse_accuracy"}
    assert named <= values.keys()
    assert {name: values[name] for name in named} == {name: expected.values[name] for name in named}
    assert 0 < values["temporal_consistency_tower"] < 1
    files = report["weighted"]["weights"]
    assert files["aesthetic_quality"][1] == found.files["aesthetic_quality"][1]
    assert files["mouse_accuracy"] == found.files["mouse_accuracy"]
    assert "width 1024, float16" in files["temporal_consistency_tower"][0]["file"]
    for words in (*named, "clip_vision, as ComfyUI holds it", f"scores/{HEAD}, sha256", "`matrixgame score --clip`"):
        assert words in text
    assert run.progress[-1][1:] == (3, 3)  # two frames measured, and all but the last one seen


def test_weights_that_do_not_go_together_are_refused_before_a_film_is_measured(host: Host, weights: Path) -> None:
    def graph(**named: str) -> Graph:
        made = Graph()
        made.add("MatrixGameScoreVideo", film=two_frames(made), **named)
        return made

    assert "load CLIP ViT-L/14 with Load CLIP Vision" in fail(host, graph(aesthetic_head=HEAD))
    assert "no linear aesthetic head" in fail(host, graph(aesthetic_head=FILE))
    assert "not the inverse dynamics model" in fail(host, graph(inverse_dynamics=HEAD))
    assert "clip/model.safetensors" in reject(host, graph(aesthetic_head="clip/model.safetensors"))


TOWERS = """
from types import SimpleNamespace
from pathlib import Path
import torch
from safetensors.torch import load_file
from comfyui_matrixgame.host.models.score_weights import score_weights

def held(state, **sizes):
    return SimpleNamespace(get_sd=lambda: state, config=sizes)

state = load_file(tower)
ours = score_weights(held(state, hidden_act="gelu", num_attention_heads=2, hidden_size=160), None, None)
film = ours.of_film()
film.add(torch.load(frames))
print("tower:", film.about())
short = {name: value for name, value in state.items() if "projection" not in name}
sizes = {"num_hidden_layers": 3, "image_size": 28, "patch_size": 14, "intermediate_size": 32, "projection_dim": 8}
for odd in (held({"encoder.layer": state["visual_projection.weight"]}),
            held(short, hidden_act="quick_gelu", num_attention_heads=2, hidden_size=160, **sizes)):
    try:
        score_weights(odd, None, None)
    except Exception as error:
        print("told:", error)
"""


def test_a_tower_like_the_models_own_is_used_as_the_program_does(base: Path, tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(4)
    tower = ImageEncoder(hidden=160, mlp=32, layers=3, heads=2, image_size=28, patch_size=14)
    named = {
        f"vision_model.{name.removeprefix('vision_model.')}": value for name, value in tower.model.state_dict().items()
    }
    last = {name.replace("layers.1", "layers.2"): value for name, value in named.items() if "layers.1" in name}
    named = {
        name: (torch.randn(value.shape, generator=random) * 0.1).half()
        for name, value in (named | last | {"visual_projection.weight": torch.zeros(8, 160)}).items()
    }
    save(tmp_path / "tower.safetensors", named)
    frames = torch.randint(0, 256, (5, 32, 48, 3), generator=random, dtype=torch.uint8)
    torch.save(frames, tmp_path / "frames.pt")
    printed = run_in_core(TOWERS, base, tower=str(tmp_path / "tower.safetensors"), frames=str(tmp_path / "frames.pt"))
    film = load_weights([], tmp_path / "tower.safetensors", None, torch.device("cpu")).of_film()
    film.add(frames)
    assert f"tower: {film.about()}" in printed
    assert "told: The image encoder on clip_vision is not a CLIP one" in printed
    assert "visual_projection.weight is missing; load the image tower of a CLIP with its projection" in printed
