"""Change World in a real ComfyUI, between core's own image nodes: the engine's frames, and errors on the node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.checkpoints import load_generator, load_vae, load_vision
from comfyui_matrixgame.media.fitting import fit_image
from comfyui_matrixgame.media.images import read_image
from comfyui_matrixgame.world import Models, rollout, start_world
from comfyui_matrixgame.world.change import change_world, plan_change

from ..graphs import Graph, Link
from ..models import CLIP, UNIVERSAL, VAE
from ..server import Host
from ..worlds import BLOCK, BLOCK0, HEIGHT, WIDTH, add_models, add_rollout, add_world

LEFT = WIDTH // 2  # columns that the mask lets through


def last_of(graph: Graph, rolled: Link) -> Link:
    return graph.add("ImageFromBatch", image=rolled[0], batch_index=4095, length=1)


def left_half(graph: Graph) -> Link:
    """A mask of core's nodes."""
    nothing = graph.add("SolidMask", value=0.0, width=WIDTH, height=HEIGHT)
    half = graph.add("SolidMask", value=1.0, width=LEFT, height=HEIGHT)
    return graph.add("MaskComposite", destination=nothing, source=half, x=0, y=0, operation="add")


def saved(host: Host, prefix: str) -> np.ndarray:
    paths = sorted((host.base / "output").glob(f"{prefix}_[0-9]*.png"))
    return np.stack([np.asarray(Image.open(path)) for path in paths])


def engine_frames(base: Path) -> np.ndarray:
    """What the engine makes of the same files, inputs and change."""
    torch.set_num_threads(1)
    folder = base / "models"
    models = Models(
        load_generator(folder / "diffusion_models" / UNIVERSAL, "float32"),
        load_vae(folder / "vae" / VAE, "float32"),
        vision=load_vision(folder / "clip_vision" / CLIP, "float32"),
    )
    image = fit_image(read_image(base / "input" / "example.png"), HEIGHT, WIDTH)
    run = rollout(models, start_world(models, image, 0), read_text(BLOCK0, "universal").track)
    frames = list(run)[-1].frames[0]
    mask = torch.zeros(HEIGHT, WIDTH)
    mask[:, :LEFT] = 1
    change = plan_change(models, run.world, 255 - frames[-1:], mask, 1.25)
    assert models.vision is not None
    world = change_world(models, change, models.vision(change.picture.unsqueeze(0)))
    return np.concatenate(
        [block.frames[0].numpy() for block in rollout(models, world, read_text(BLOCK, "universal").track)]
    )


def test_it_goes_on_from_what_image_nodes_make_of_the_last_frame(host: Host, base: Path) -> None:
    graph = Graph()
    rolled = add_rollout(graph, add_world(graph, *add_models(graph)), BLOCK0)
    last, seen = last_of(graph, rolled), graph.add("CLIPVisionLoader", clip_name=CLIP)
    other = graph.add("ImageInvert", image=last)
    same = {"world": rolled[2], "images": last, "strength": 1.0, "seen": "changed", "clip_vision": seen}
    ways = {
        "plain": rolled[2],
        "same": graph.add("MatrixGameChangeWorld", **same),
        "there": graph.add(
            "MatrixGameChangeWorld", **same | {"images": other, "strength": 1.25, "mask": left_half(graph)}
        ),
    }
    for name, world in ways.items():
        onward = add_rollout(graph, world, BLOCK)
        graph.add("SaveImage", images=onward[0], filename_prefix=f"change_{name}")
    run = host.run(graph.prompt)
    assert run.status == "success", run.error
    plain, unchanged, there = (saved(host, f"change_{name}") for name in ways)
    np.testing.assert_array_equal(unchanged, plain)
    np.testing.assert_array_equal(there, engine_frames(base))
    assert (there != plain).any()


def test_what_is_missing_is_said_on_the_node(host: Host) -> None:
    graph = Graph()
    rolled = add_rollout(graph, add_world(graph, *add_models(graph)), BLOCK0)
    last = last_of(graph, rolled)
    small = graph.add("ImageScale", image=last, upscale_method="area", width=48, height=32, crop="disabled")
    inverted = graph.add("ImageInvert", image=last)
    for images, says in ((small, f"is 48x32 and the world's frames are {WIDTH}x{HEIGHT}"), (inverted, "clip_vision")):
        there = Graph()
        there.prompt = dict(graph.prompt)
        world = there.add("MatrixGameChangeWorld", world=rolled[2], images=images, strength=1.0, seen="changed")
        there.add("MatrixGameSaveWorld", world=world, filename_prefix="changed")
        run = host.run(there.prompt)
        assert run.status == "error"
        assert says in run.message
