"""Graphs of the nodes run in a real ComfyUI: the engine's frames, core's caching, branching, cancelling, freeing."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.checkpoints import load_generator, load_vae, load_vision
from comfyui_matrixgame.checkpoints.builtin import NAME as DEMO_WORLD
from comfyui_matrixgame.checkpoints.builtin import demo_world, start_images
from comfyui_matrixgame.media.fitting import fit_image
from comfyui_matrixgame.media.images import read_image
from comfyui_matrixgame.media.video import read_video
from comfyui_matrixgame.networks.vae.base import denormalise
from comfyui_matrixgame.variants import Tried
from comfyui_matrixgame.world import Models, load_world, rollout, start_world

from ..graphs import Graph, Link
from ..models import CLIP, LORA, UNIVERSAL, VAE
from ..runs import (
    WALK,
    engine_frames,
    save_images,
    saved_images,
    succeed,
)
from ..server import PACK, Host, run_in_core
from ..worlds import BLOCK, BLOCK0, HEIGHT, WIDTH, add_models, add_rollout, add_video, add_world, simple


@pytest.fixture(scope="module", autouse=True)
def _log_stays_clean(host: Host) -> Iterator[None]:
    before = len(host.log())
    yield
    assert "Traceback" not in host.log()[before:]


def test_frames_are_the_engines(host: Host, base: Path, models: Models) -> None:
    """Bit for bit what the engine makes from the same files, seed and inputs, outside ComfyUI."""
    graph, rolled = simple(WALK, seed=7)
    save_images(graph, rolled[0], "engine")
    run = succeed(host, graph)
    frames = saved_images(host, "engine")
    assert frames.shape == (21, HEIGHT, WIDTH, 3)
    assert frames.std() > 5
    np.testing.assert_array_equal(frames, engine_frames(models, base, WALK, seed=7))
    values = [value for _, value, _ in run.progress]
    assert values == sorted(values)
    assert run.progress[-1][1:] == (8, 8)  # two blocks of three steps and a clean pass
    assert len(run.previews) == 2
    assert {node for node, _ in run.texts} == {rolled.node}
    plan = r"\nexact: weights [\d.]+ MB, beside them [\d.]+ MB"  # what memory it takes, from its first pass on
    time = r"(, \d+ s left)?"  # where such a block was made before
    rate = r"[\d.e+]+ frames/s"
    said = [f"block 1 of 2{time}", f"block 1 of 2{time}{plan}", f"block 2 of 2, \\d+ s left, {rate}{plan}"]
    said.append(f"2 blocks made, 0 reused, {rate}{plan}")
    assert len(run.texts) == len(said), run.texts
    for (_, text), pattern in zip(run.texts, said, strict=True):
        assert re.fullmatch(pattern, text), (text, pattern)
    assert re.search(r"exact; weights .* beside them .*caches .*working", host.log())


def test_steps_window_and_sink_are_tried_as_in_the_engine(host: Host, base: Path, models: Models) -> None:
    """And values that mean the variant's own give the frames of a graph without them."""
    own, ways = {"steps": " ", "window": 0, "sink": -1}, {"steps": "1000, 500", "window": 5, "sink": 1}
    script, made = f"{WALK}\nw 12f", {}
    for name, said in (("own", own), ("tried", ways)):
        graph, rolled = simple(script, seed=7)
        loader = next(node for node in graph.prompt.values() if node["class_type"] == "MatrixGameLoadGenerator")
        loader["inputs"].update(said)
        save_images(graph, rolled[0], f"steps {name}")
        succeed(host, graph)
        made[name] = saved_images(host, f"steps {name}")
    np.testing.assert_array_equal(made["own"], engine_frames(models, base, script, seed=7))
    generator = copy.copy(models.generator)
    generator.run_as(Tried((1000, 500), 5, 1).of(models.variant))
    tried = Models(generator, models.vae, vision=models.vision)
    np.testing.assert_array_equal(made["tried"], engine_frames(tried, base, script, seed=7))
    assert (made["tried"] != made["own"]).any()


def test_video_is_that_of_matrixgame_render(host: Host, base: Path, tmp_path: Path) -> None:
    """The same files, seed and inputs, in a graph and in a terminal: every decoded pixel is the same."""
    graph, _ = simple(WALK, "rendered", seed=7)
    succeed(host, graph)
    folder, output = base / "models", tmp_path / "rendered.mp4"
    command = [
        sys.executable, "-m", "comfyui_matrixgame", "render", str(base / "input" / "example.png"),
        "--generator", str(folder / "diffusion_models" / UNIVERSAL), "--vae", str(folder / "vae" / VAE),
        "--clip", str(folder / "clip_vision" / CLIP), "--dtype", "float32", "--device", "cpu", "--seed", "7",
        "--size", f"{WIDTH}x{HEIGHT}", "--actions", WALK, "-o", str(output),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PACK)}
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)
    ours, theirs = (np.stack(list(read_video(path))) for path in (host.output_files("rendered_*.mp4")[-1], output))
    np.testing.assert_array_equal(ours, theirs)


def test_previews_reach_clients_old_and_new(host: Host) -> None:
    for seed, metadata in ((41, True), (42, False)):
        graph, _ = simple(BLOCK0, seed=seed)
        run = succeed(host, graph, metadata_previews=metadata)
        assert len(run.previews) >= 1
        assert all(picture.startswith(b"\xff\xd8") for picture in run.previews)  # JPEG


def test_two_rollouts_are_one(host: Host, base: Path, models: Models) -> None:
    graph, first = simple("w+right(0.1) 8f", seed=7)
    second = add_rollout(graph, first[2], BLOCK)
    save_images(graph, first[0], "first")
    save_images(graph, second[0], "second")
    succeed(host, graph)
    frames = np.concatenate([saved_images(host, "first"), saved_images(host, "second")])
    np.testing.assert_array_equal(frames, engine_frames(models, base, WALK, seed=7))


def test_only_what_changed_runs_again(host: Host) -> None:
    def chain(last: str) -> tuple[Graph, Link, Link]:
        graph, first = simple(BLOCK0, seed=11)
        second = add_rollout(graph, first[2], last)
        add_video(graph, second, "chained")
        return graph, first, second

    graph, first, second = chain(BLOCK)
    succeed(host, graph)
    assert succeed(host, graph).executed == []
    graph, first, second = chain("s 12f")
    again = succeed(host, graph)
    assert second.node in again.executed
    assert first.node in again.cached


def test_images_connected_later_are_built_without_denoising_again(host: Host, base: Path, models: Models) -> None:
    graph, _ = simple(WALK, seed=12)
    succeed(host, graph)
    graph, rolled = simple(WALK, seed=12)
    save_images(graph, rolled[0], "later")
    run = succeed(host, graph)
    assert rolled.node in run.executed
    assert {value % 4 for _, value, _ in run.progress} <= {0, 3}  # two blocks, decoded and shown, and no pass
    np.testing.assert_array_equal(saved_images(host, "later"), engine_frames(models, base, WALK, seed=12))


def test_cancel_keeps_finished_blocks(host: Host, base: Path, models: Models) -> None:
    script = f"{BLOCK0}\n" + "w+left(0.05) 300f"  # 26 blocks: the host reports passes ten times a second at most
    asked: list[float] = []

    def cancel(kind: str, data: dict[str, Any]) -> None:
        if kind == "progress" and data["value"] >= 9 and not asked:
            asked.append(time.monotonic())
            host.post("/interrupt", {})

    graph, rolled = simple(script, seed=13)
    began = time.time_ns()
    run = host.run(graph.prompt, on_event=cancel)
    assert run.status == "interrupted"
    assert time.monotonic() - asked[0] < 10
    kept = {path: path.stat().st_mtime_ns for path in (host.base / "temp" / "matrixgame").glob("latents_*/[01].npy")}
    kept = {path: made for path, made in kept.items() if made > began}
    assert len(kept) == 2
    rest = "until the world before is made anew, and Run goes on from there"
    where = re.fullmatch(rf"Cancelled in block (\d+) of 26; (\d+) blocks kept {rest}", run.texts[-1][1])
    assert where, run.texts[-1]
    assert int(where[1]) - 1 == int(where[2]) >= 2  # a busy host hears of it late
    graph, rolled = simple(script, seed=13)
    save_images(graph, rolled[0], "resumed")
    succeed(host, graph)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # the first two blocks are not made again
    np.testing.assert_array_equal(saved_images(host, "resumed"), engine_frames(models, base, script, seed=13))


def test_latent_output_is_in_the_vaes_scale(host: Host, base: Path, models: Models) -> None:
    """What core's samplers put out: latents times the deviation plus the mean, which is what VAE Decode takes."""
    graph, rolled = simple(WALK, seed=7)
    saved = graph.add("SaveLatent", samples=rolled[3], filename_prefix="latent")
    file = succeed(host, graph).outputs[saved.node]["latents"][0]["filename"]
    tensor = load_file(host.base / "output" / file)["latent_tensor"]
    image = fit_image(read_image(base / "input" / "example.png"), HEIGHT, WIDTH)
    blocks = rollout(models, start_world(models, image, 7), read_text(WALK, "universal").track)
    expected = denormalise(torch.cat([block.latents for block in blocks], dim=2))
    assert expected.shape == (1, 16, 6, HEIGHT // 8, WIDTH // 8)
    torch.testing.assert_close(tensor, expected, rtol=0, atol=0)


def test_cores_vae_decode_agrees(host: Host) -> None:
    graph, rolled = simple(WALK, seed=7)
    save_images(graph, rolled[0], "ours")
    decoded = graph.add("VAEDecode", samples=rolled[3], vae=graph.add("VAELoader", vae_name=VAE))
    save_images(graph, decoded, "core")
    succeed(host, graph)
    ours, theirs = (saved_images(host, name).astype(np.int16) for name in ("ours", "core"))
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1  # of 255: core rounds in another way


def test_the_demo_world_needs_no_files(host: Host) -> None:
    graph, demo = Graph(), demo_world()
    model = graph.add("MatrixGameLoadGenerator", file=DEMO_WORLD, dtype="auto", attention="auto")
    vae = graph.add("MatrixGameLoadVAE", file=DEMO_WORLD, decoder="full", dtype="auto")
    world = add_world(graph, model, vae, seed=1, width=0, height=0, clip_vision=None, image=None)
    save_images(graph, add_rollout(graph, world, WALK)[0], "demo")
    succeed(host, graph)
    made = saved_images(host, "demo")
    assert made.shape[1:] == (demo.height, demo.width, 3)
    parts = load_generator(demo.generator), load_vae(demo.vae)
    image = fit_image(read_image(start_images()[1]), demo.height, demo.width)
    with torch.inference_mode():
        features = load_vision(demo.vision, "float32")(image.unsqueeze(0))
    own = Models(*parts)
    blocks = rollout(own, start_world(own, image, 1, features=features), read_text(WALK, "universal").track)
    np.testing.assert_array_equal(made, np.concatenate([block.frames[0].numpy() for block in blocks]))


def test_a_lora_changes_the_frames_and_goes_away(host: Host, base: Path, models: Models) -> None:
    def with_lora(strength: float) -> np.ndarray:
        graph = Graph()
        model, vae = add_models(graph)
        model = graph.add("LoraLoaderModelOnly", model=model, lora_name=LORA, strength_model=strength)
        rolled = add_rollout(graph, add_world(graph, model, vae, seed=7), WALK)
        prefix = f"lora{int(strength)}"
        save_images(graph, rolled[0], prefix)
        succeed(host, graph)
        return saved_images(host, prefix)

    plain = engine_frames(models, base, WALK, seed=7)
    assert (with_lora(1.0) != plain).mean() > 0.1
    np.testing.assert_array_equal(with_lora(0.0), plain)
    graph, rolled = simple(WALK, seed=7)
    save_images(graph, rolled[0], "afterlora")
    graph.prompt["1"]["inputs"]["attention"] = "sdpa"  # not the cached run
    succeed(host, graph)
    np.testing.assert_array_equal(saved_images(host, "afterlora"), plain)


def test_a_fast_mode_takes_a_lora_and_lets_it_go(host: Host, base: Path, models: Models) -> None:
    def made(name: str, lora: bool = False, attention: str = "auto") -> np.ndarray:
        graph = Graph()
        model, vae = add_models(graph)
        graph.prompt[model.node]["inputs"] |= {"precision": "int8", "attention": attention}
        if lora:
            model = graph.add("LoraLoaderModelOnly", model=model, lora_name=LORA, strength_model=1.0)
        save_images(graph, add_rollout(graph, add_world(graph, model, vae, seed=8), BLOCK0)[0], name)
        succeed(host, graph)
        return saved_images(host, name)

    plain, patched = made("int8"), made("int8lora", lora=True)
    exact = engine_frames(models, base, BLOCK0, seed=8)
    off = np.abs(plain.astype(int) - exact)
    assert 0 < off.mean() < 10
    assert np.abs(patched.astype(int) - plain).mean() > 2 * off.mean()
    np.testing.assert_array_equal(made("int8after", attention="sdpa"), plain)


IN_8_BITS = """
import torch
from comfyui_matrixgame.host.loaders.load_generator import load_generator
from comfyui_matrixgame.host.loaders.load_vae import load_vae
from comfyui_matrixgame.host.models.ready import ready as models_ready
from comfyui_matrixgame.compute.quantise import QuantisedLinear
name, difference = "blocks.0.self_attn.o", torch.full((128, 128), 2.0)
for precision in ("fp8", "int8"):
    loaded, loaded_vae = load_generator(file, "float32", "auto", precision), load_vae(vae, "full", "auto")
    ids, x = [], torch.randn(70, 128)
    for patches in ({}, {f"diffusion_model.{name}.weight": ("diff", (difference,))}, {}):
        patched = loaded.clone()
        patched.add_patches(patches)
        with models_ready(patched, loaded_vae, 64, 96) as ready, torch.inference_mode():
            layer = ready.generator.get_submodule(name)
            expected = torch.nn.Linear(128, 128)
            expected.weight.data = layer.weight.detach().clone()
            expected.bias.data = layer.bias.detach().clone()
            assert (abs(expected.weight).max() > 1.5) == bool(patches)
            y = layer(x)
            assert torch.equal(y, QuantisedLinear(expected, precision)(x)) and torch.equal(layer(x), y)
            assert not torch.allclose(y, expected(x), rtol=1e-4)
            ids.append(ready.id())
        assert layer.kept is None
    assert ids[0] == ids[2] != ids[1]
    exact = load_generator(file, "float32", "auto")
    with models_ready(exact, loaded_vae, 64, 96) as ready:
        assert ready.id() not in ids
"""


def test_8_bits_are_made_of_patched_weights_as_the_engine_makes_them(base: Path) -> None:
    """In the host's process: another torch sums in another order, and 8 bits then round to the other side."""
    run_in_core(IN_8_BITS, base, file=UNIVERSAL, vae=VAE)


def test_a_saved_world_goes_on_the_same(host: Host, base: Path, models: Models) -> None:
    graph, first = simple("w+right(0.1) 8f", seed=7)
    graph.add("MatrixGameSaveWorld", world=first[2], filename_prefix="matrixgame/kept")
    succeed(host, graph)
    file = next((host.base / "output" / "matrixgame").glob("kept_*.safetensors")).name
    graph = Graph()
    model, vae = add_models(graph)
    world = graph.add("MatrixGameLoadWorld", model=model, vae=vae, file=file)
    save_images(graph, add_rollout(graph, world, BLOCK)[0], "loaded")
    succeed(host, graph)
    plain = engine_frames(models, base, WALK, seed=7)
    np.testing.assert_array_equal(saved_images(host, "loaded"), plain[9:])
    loaded = load_world(host.base / "output" / "matrixgame" / file)
    assert loaded.models_id == models.id()  # so that the terminal program goes on from it too


def test_world_cache_restores_without_running_what_is_before(host: Host) -> None:
    def graph_with(mode: str, seed: int, last: str) -> tuple[Graph, Link, Link]:
        graph = Graph()
        model, vae = add_models(graph)
        first = add_rollout(graph, add_world(graph, model, vae, seed=seed), BLOCK0)
        cached = graph.add(
            "MatrixGameWorldCache", model=model, vae=vae, name="a start", mode=mode, limit_gb=1.0, world=first[2]
        )
        second = add_rollout(graph, cached, last)
        save_images(graph, second[0], f"cache{seed}{mode}")
        return graph, first, second

    graph, first, _ = graph_with("automatic", 21, BLOCK)
    assert first.node in succeed(host, graph).executed
    made = saved_images(host, "cache21automatic")
    host.free()
    run = succeed(host, graph_with("restore", 21, BLOCK)[0])
    assert first.node not in run.executed
    np.testing.assert_array_equal(saved_images(host, "cache21restore"), made)
    host.free()
    assert first.node not in succeed(host, graph_with("automatic", 21, "s 12f")[0]).executed
    assert first.node in succeed(host, graph_with("automatic", 22, BLOCK)[0]).executed  # another graph before it
    succeed(host, graph_with("forget", 22, BLOCK)[0])
    assert not list((host.base / "output" / "matrixgame" / "cache").glob("*.safetensors"))


def test_free_lets_go_of_worlds(host: Host) -> None:
    graph, rolled = simple(BLOCK0, seed=31)
    succeed(host, graph)
    kept = list((host.base / "temp" / "matrixgame").glob("latents_*"))
    assert kept  # a world that lives has its finished blocks beside it
    host.free()
    assert not list((host.base / "temp" / "matrixgame").glob("latents_*"))  # they went, so the worlds went
    assert rolled.node in succeed(host, graph).executed


def test_overlay_draws_and_keeps_the_rest(host: Host) -> None:
    graph, rolled = simple(WALK, seed=7)
    shown = graph.add(
        "MatrixGameActionOverlay", images=rolled[0], actions=Link(rolled_actions(graph), 0), style="keys",
        position="bottom", scale=1.0, opacity=1.0, below=True, offset=0, numbers=False, counter=False,
    )  # fmt: skip
    save_images(graph, shown, "overlay")
    save_images(graph, rolled[0], "bare")
    succeed(host, graph)
    drawn, bare = saved_images(host, "overlay"), saved_images(host, "bare")
    assert drawn.shape[1] > bare.shape[1]
    np.testing.assert_array_equal(drawn[:, : bare.shape[1]], bare)
    assert drawn[:, bare.shape[1] :].std() > 1


def rolled_actions(graph: Graph) -> str:
    return next(name for name, node in graph.prompt.items() if node["class_type"] == "MatrixGameActionTimeline")


KEPT = """
import gc, shutil, types
import comfy.utils, server, torch
server.PromptServer.instance = types.SimpleNamespace(send_progress_text=lambda *_: None, client_id=None)
comfy.utils.ProgressBar = lambda *_: types.SimpleNamespace(update_absolute=lambda *_, **__: None)
from comfyui_matrixgame.checkpoints.builtin import NAME
from comfyui_matrixgame.errors import WorldError
from comfyui_matrixgame.cache.recent_blocks import np
from comfyui_matrixgame.host import roll_out as node
from comfyui_matrixgame.host.inputs.action_timeline import read_inputs
from comfyui_matrixgame.host.loaders.load_generator import load_generator
from comfyui_matrixgame.host.loaders.load_vae import load_vae
from comfyui_matrixgame.host.running.folders import temporary_folder
from comfyui_matrixgame.host.start_world import start_world
loaded = load_generator(NAME, "float32", "auto"), load_vae(NAME, "full", "float32")
track, all_outputs = read_inputs("w+right(0.1) 21f", "universal"), node.Wanted(True, False, True)
save, saved = np.save, []
def save_one(path, latents):
    if saved:
        raise OSError(28, "No space left on device")
    saved.append(path)
    save(path, latents)
with torch.inference_mode():
    def roll_out(world):
        graph = types.SimpleNamespace(get_node=lambda name: {"inputs": {}})
        result, _ = node.roll_out(world, track, all_outputs, "1", None, graph)
        return result.images, result.world.world.block
    whole, block = roll_out(start_world(*loaded, 1, (0, 0), None, None, None, None))
    world = start_world(*loaded, 1, (0, 0), None, None, None, None)
    np.save = save_one
    try:
        roll_out(world)
    except WorldError as error:
        assert "No space left on device" in str(error) and "run again" in str(error)
    else:
        raise AssertionError("a full disk was not told")
    np.save = save
    gc.collect()
    for _ in range(2):
        images, reached = roll_out(world)
        assert torch.equal(images, whole) and reached == block == 2
        shutil.rmtree(temporary_folder())  # as somebody does who tidies up
"""


def test_a_full_disk_or_an_emptied_temporary_folder_loses_no_block(base: Path) -> None:
    run_in_core(KEPT, base)
