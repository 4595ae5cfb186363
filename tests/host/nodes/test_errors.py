"""What goes wrong is said on the node, in a sentence with the fix, and nothing is computed before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.checkpoints.builtin import NAME as DEMO_WORLD

from ..graphs import Graph
from ..models import GENERATORS, TINY, UNET, UNIVERSAL, VAE
from ..runs import fail, mistakes, reject, sampled
from ..server import Host, Rejected, run_in_core
from ..worlds import BLOCK0, add_models, add_rollout, add_video, add_world, simple


def whole(model_file: str = UNIVERSAL, **changes: Any) -> Graph:
    graph = Graph()
    model, vae = add_models(graph, model_file)
    add_video(graph, add_rollout(graph, add_world(graph, model, vae, **changes), BLOCK0), "error")
    return graph


def test_another_models_file_in_the_generator_loader(host: Host) -> None:
    message = fail(host, whole(UNET))
    assert UNET in message
    assert "Use a Matrix-Game 2.0 file" in message


def test_generator_in_the_vae_loader_and_the_reverse(host: Host, base: Any) -> None:
    for source, target in (
        (base / "models" / "diffusion_models" / UNIVERSAL, base / "models" / "vae" / "wrong_generator.safetensors"),
        (base / "models" / "vae" / VAE, base / "models" / "diffusion_models" / "wrong_vae.safetensors"),
    ):
        target.write_bytes(source.read_bytes())
    graph = whole()
    graph.prompt["2"]["inputs"]["file"] = "wrong_generator.safetensors"
    assert "is not a Wan 2.1 VAE" in fail(host, graph)
    assert "is not a Matrix-Game 2.0 generator" in fail(host, whole("wrong_vae.safetensors"))


def test_the_demo_worlds_parts_belong_together(host: Host) -> None:
    graph = whole()
    graph.prompt["2"]["inputs"]["file"] = DEMO_WORLD
    assert "choose the demo world in both loaders" in fail(host, graph)


def test_inputs_of_another_variant(host: Host) -> None:
    graph = Graph()
    model, vae = add_models(graph, next(iter(GENERATORS)))
    add_video(graph, add_rollout(graph, add_world(graph, model, vae), "jump 9f", "templerun"), "error")
    message = fail(host, graph)
    assert "templerun" in message
    assert "universal" in message


def test_missing_clip_vision(host: Host) -> None:
    assert "clip_vision_h.safetensors" in fail(host, whole(clip_vision=None))


def test_missing_image_and_clip(host: Host) -> None:
    assert "an image or a clip" in fail(host, whole(image=None))


def test_several_images(host: Host) -> None:
    graph = whole()
    image = next(name for name, node in graph.prompt.items() if node["class_type"] == "LoadImage")
    graph.add("RepeatImageBatch", "batch", image=[image, 0], amount=3)
    start = next(node for node in graph.prompt.values() if node["class_type"] == "MatrixGameStartWorld")
    start["inputs"]["image"] = ["batch", 0]
    assert "takes one image, got 3" in fail(host, graph)


CHANNELS = """
import torch
from comfyui_matrixgame.errors import ImageError
from comfyui_matrixgame.host.running.images import pixels_of
grey = torch.rand(2, 16, 16, 1)
assert torch.equal(pixels_of(grey), pixels_of(grey.repeat(1, 1, 1, 3)))
assert torch.equal(pixels_of(grey.repeat(1, 1, 1, 4)), pixels_of(grey))
for channels in (2, 5):
    try:
        pixels_of(torch.rand(1, 16, 16, channels))
    except ImageError as error:
        print(error)
"""


def test_grey_images_are_taken_and_other_channels_are_told(base: Any) -> None:
    printed = run_in_core(CHANNELS, base)
    assert printed.count("connect one with 1 (grey), 3 (RGB) or 4") == 2


def test_clip_without_actions_and_of_a_wrong_length(host: Host) -> None:
    graph = whole(image=None)
    start = next(node for node in graph.prompt.values() if node["class_type"] == "MatrixGameStartWorld")
    graph.add("LoadImage", "picture", image="example.png")
    graph.add("RepeatImageBatch", "frames", image=["picture", 0], amount=5)
    start["inputs"]["clip"] = ["frames", 0]
    assert "needs clip_actions" in fail(host, graph)
    graph.add("MatrixGameActionTimeline", "played", variant="universal", script="w 9f")
    start["inputs"]["clip_actions"] = ["played", 0]
    assert "9 frames at least" in fail(host, graph)


def test_core_vae_and_core_model_do_not_connect(host: Host) -> None:
    graph = whole()
    graph.add("VAELoader", "core", vae_name=VAE)
    start = next(node for node in graph.prompt.values() if node["class_type"] == "MatrixGameStartWorld")
    start["inputs"]["vae"] = ["core", 0]
    assert "return_type_mismatch" in reject(host, graph)


def test_a_sampler_says_what_to_use_instead(host: Host) -> None:
    message = fail(host, sampled())
    assert "connect it to Start World" in message
    assert "\n" not in message


def document_of(text: str) -> str:
    """A timeline of `w 9f` as an editor keeps it while its script says `text`."""
    source = {"kind": "script", "text": text}
    return replace(parse_script("w 9f").document, extra={"source": source}).to_text()


def test_a_fault_in_the_script_names_its_place(host: Host) -> None:
    graph, _ = simple("w 9f\nfly 12f")
    details = reject(host, graph)
    assert "script:2:1" in details
    assert "fly" in details
    document = document_of("w 9f\nfly 12f")
    assert "script:2:1" in reject(host, simple(document)[0])
    stale = document_of("a 9f")
    assert "not those of the script" in reject(host, simple(stale)[0])


def test_one_mistake_is_told_once(host: Host) -> None:
    before = len(host.log())
    (told,) = mistakes(host, simple("w 9f\nfly 12f")[0])
    assert told["extra_info"]["input_name"] == "script"
    assert host.log()[before:].count("unknown action 'fly'") == 1
    graph, _ = simple("w 9f")
    timeline = next(node for node in graph.prompt.values() if node["class_type"] == "MatrixGameActionTimeline")
    timeline["inputs"]["variant"] = "chess"
    (told,) = mistakes(host, graph)
    assert told["type"] == "value_not_in_list"


def test_steps_and_a_sink_that_make_no_sense(host: Host) -> None:
    graph, _ = simple(BLOCK0)
    loader = next(node for node in graph.prompt.values() if node["class_type"] == "MatrixGameLoadGenerator")
    loader["inputs"]["steps"] = "250,1000"
    (told,) = mistakes(host, graph)
    assert told["extra_info"]["input_name"] == "steps"
    assert "each lower than the one before, such as 1000,750,500,250" in told["details"]
    loader["inputs"] |= {"steps": "", "sink": 4}
    assert "leaves no room for a block in a window of 6 latent frames" in fail(host, graph)


def test_what_is_checked_is_the_prompts_own(host: Host) -> None:
    """Of prompts with the same nodes and other variants, several at a time."""
    good, bad = Graph(), Graph()
    for graph, variant in ((good, "templerun"), (bad, "universal")):
        graph.add("PreviewAny", source=graph.add("MatrixGameActionTimeline", variant=variant, script="jump 9f"))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda graph: ask(host, graph), [good, bad] * 8))
    assert answers == [0, 1] * 8


def ask(host: Host, graph: Graph) -> int:
    """How many mistakes a prompt has; one without is queued."""
    try:
        host.post("/prompt", {"prompt": graph.prompt})
    except Rejected as refused:
        return sum(len(node["errors"]) for node in refused.details["node_errors"].values())
    return 0


def test_names_and_paths_are_checked(host: Host) -> None:
    graph = Graph()
    model, vae = add_models(graph)
    world = add_world(graph, model, vae)
    cached = graph.add(
        "MatrixGameWorldCache", model=model, vae=vae, name="../../etc/x", mode="keep", limit_gb=1.0, world=world
    )
    add_video(graph, add_rollout(graph, cached, BLOCK0), "error")
    assert "cannot be a world's name" in reject(host, graph)
    graph = Graph()
    model, vae = add_models(graph)
    loaded = graph.add("MatrixGameLoadWorld", model=model, vae=vae, file="../secret.safetensors")
    add_video(graph, add_rollout(graph, loaded, BLOCK0), "error")
    assert "value_not_in_list" in reject(host, graph)
    graph, rolled = simple(BLOCK0)
    graph.add("MatrixGameSaveWorld", world=rolled[2], filename_prefix="../../outside/world")
    assert "leads out of the output folder" in fail(host, graph)


def test_restoring_a_world_that_is_not_kept(host: Host) -> None:
    graph = Graph()
    model, vae = add_models(graph)
    cached = graph.add("MatrixGameWorldCache", model=model, vae=vae, name="never", mode="restore", limit_gb=1.0)
    add_video(graph, add_rollout(graph, cached, BLOCK0), "error")
    assert "No world is kept under the name 'never'" in fail(host, graph)


def test_a_world_of_another_generator(host: Host) -> None:
    graph, rolled = simple(BLOCK0, seed=3)
    graph.add("MatrixGameSaveWorld", world=rolled[2], filename_prefix="matrixgame/universal")
    assert host.run(graph.prompt).status == "success"
    file = next((host.base / "output" / "matrixgame").glob("universal_*.safetensors")).name
    graph = Graph()
    model, vae = add_models(graph, "gta_keyboard2dim.safetensors")
    world = graph.add("MatrixGameLoadWorld", model=model, vae=vae, file=file)
    add_video(graph, add_rollout(graph, world, "w 12f", "gta_drive"), "error")
    message = fail(host, graph)
    assert "universal" in message
    assert "gta_drive" in message


def test_a_world_made_with_another_decoder(host: Host) -> None:
    graph, rolled = simple(BLOCK0, seed=4)
    graph.add("MatrixGameSaveWorld", world=rolled[2], filename_prefix="matrixgame/decoder")
    assert host.run(graph.prompt).status == "success"
    file = next((host.base / "output" / "matrixgame").glob("decoder_*.safetensors")).name
    graph = Graph()
    model, vae = add_models(graph, decoder=TINY)
    world = graph.add("MatrixGameLoadWorld", model=model, vae=vae, file=file)
    add_video(graph, add_rollout(graph, world, "w 12f"), "error")
    assert "another decoder" in fail(host, graph)


def test_log_names_every_error_and_nothing_else_failed(host: Host) -> None:
    assert "IMPORT FAILED" not in host.log()
    assert "Exception in thread" not in host.log()
