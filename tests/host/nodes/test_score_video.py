"""Score Video in a real ComfyUI: what it says of a rollout is what the engine says of the same frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.scores.film import score_frames
from comfyui_matrixgame.scores.films.comfyui import inputs_in
from comfyui_matrixgame.scores.results.shown import text_table
from comfyui_matrixgame.world import Models

from ..graphs import Graph
from ..runs import (
    engine_frames,
    save_images,
    saved_images,
    succeed,
)
from ..server import Host
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
