"""World Cache in a real ComfyUI: edits, undos, Free, kills; and the routes of its panel."""

from __future__ import annotations

import re
import shutil
import urllib.error
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comfyui_matrixgame.actions.document import Marker, Timeline
from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.cache.blocks import BlockCache
from comfyui_matrixgame.cache.projects import FRAMES, LATENTS, PINNED, SNAPSHOT
from comfyui_matrixgame.checkpoints.builtin import NAME as DEMO_WORLD

from ...conftest import skip_or_fail
from ..cached import cached, finished, frames_of, listed, roll
from ..graphs import Graph
from ..models import LORA, UNIVERSAL, VAE
from ..server import Host, run_in_core, why_no_host

WALK = ["w 8f", "w+right(0.1) 12f", "w 12f", "d 13f"]  # a block each


def test_an_edit_and_an_undo(host: Host) -> None:
    report, whole = roll(host, WALK, "edits")
    assert report.startswith("4 blocks made, 0 reused")
    assert len(whole) == 45
    report, edited = roll(host, [*WALK[:3], "a 13f"], "edits")
    assert report.startswith("1 block made, 3 reused")
    np.testing.assert_array_equal(edited[:33], whole[:33])
    assert (edited[33:] != whole[33:]).mean() > 0.1
    report, fresh = roll(host, [*WALK[:3], "a 13f"], "another project")
    assert report.startswith("4 blocks made")
    np.testing.assert_array_equal(edited, fresh)
    report, again = roll(host, WALK, "edits")
    assert report.startswith("0 blocks made, 4 reused")
    np.testing.assert_array_equal(again, whole)


@pytest.mark.slow
def test_an_edit_of_a_long_world_with_no_state_at_hand(host: Host) -> None:
    """The VAE sees 13 blocks back; from fewer its frames would be others, and stored as if they were these."""
    walk = ["w 9f", *["w 12f", "a+right(0.1) 12f"] * 7]
    edit = [*walk[:-1], "d 12f"]
    folder = host.base / "output" / "matrixgame" / "cache"
    _, whole = roll_demo(host, walk, "long")
    host.free()
    for file in BlockCache(folder, "long").files():
        if file.kind in (SNAPSHOT, PINNED):
            file.path.unlink()
    report, edited = roll_demo(host, edit, "long")
    assert report.startswith("1 block made, 14 reused"), report
    report, _ = roll_demo(host, edit, "long and fresh")
    assert report.startswith("15 blocks made, 0 reused")
    assert (edited[-12:] != whole[-12:]).any()
    stored = [finished(BlockCache(folder, project)) for project in ("long", "long and fresh")]
    assert len(stored[1]) == 30
    assert stored[1].items() <= stored[0].items()


def roll_demo(host: Host, walk: list[str], project: str) -> tuple[str, np.ndarray]:
    """As `roll`, in the demo world."""
    graph = Graph()
    model = graph.add("MatrixGameLoadGenerator", file=DEMO_WORLD, dtype="auto", attention="auto")
    vae = graph.add("MatrixGameLoadVAE", file=DEMO_WORLD, decoder="full", dtype="auto")
    world = graph.add("MatrixGameStartWorld", model=model, vae=vae, seed=5, width=0, height=0)
    return roll(host, walk, project, world=(graph, world))


def test_a_name_may_come_from_another_node(host: Host) -> None:
    graph, rolled = cached(WALK[:1], "typed")
    cache = next(node for node in graph.prompt.values() if node["class_type"] == "MatrixGameWorldCache")
    cache["inputs"]["name"] = graph.add("PrimitiveString", value="linked").json()
    run = host.run(graph.prompt)
    assert run.status == "success", run.error
    assert run.outputs[rolled.node]["text"][0].startswith("1 block made")
    assert listed(host)["linked"]["blocks"] == 1
    assert host.run(graph.prompt).executed == []


STATES = """
import os
from types import SimpleNamespace
import folder_paths
from comfyui_matrixgame.host import choices, world_cache
from comfyui_matrixgame.host.running.folders import cache_folder
from comfyui_matrixgame.host.running.signature import signature_of
nodes = {
    "1": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "image": "state.png"}},
    "2": {"class_type": "MatrixGameWorldCache", "inputs": {"world": ["1", 0]}},
}
graph = SimpleNamespace(has_node=nodes.__contains__, get_node=nodes.__getitem__)
folder = folder_paths.get_input_directory()
def touch(path, seconds):
    with open(path, "w"):
        os.utime(path, (seconds, seconds))
touch(folder + "/state.png", 1)
before = signature_of("2", graph)
touch(folder + "/unrelated.txt", 1)
os.utime(folder, (1, 1))
assert signature_of("2", graph) == before
touch(folder + "/state.png", 2)
assert signature_of("2", graph) != before

cache_folder().mkdir(parents=True)
states = {mode: [world_cache.cache_state(None, mode)] for mode in choices.CACHE_CHOICES}
touch(cache_folder() / "linked.safetensors", 1)
for mode, seen in states.items():
    changed = world_cache.cache_state(None, mode) != seen[0]
    assert changed == (mode in ("restore", "forget")), mode
"""


def test_what_world_cache_looks_at(tmp_path: Path) -> None:
    """Input files and no folders; and all kept worlds, where the name is linked."""
    (tmp_path / "input").mkdir()
    skip_or_fail(why_no_host())
    run_in_core(STATES, tmp_path)


LORAS = """
import comfy.sd, torch
from safetensors.torch import load_file
from comfyui_matrixgame.host.loaders.load_generator import load_generator
from comfyui_matrixgame.host.loaders.load_vae import load_vae
from comfyui_matrixgame.host.models.ready import HostModels
model, parts, tensors = load_generator(file, "float32", "auto"), load_vae(vae, "full", "float32"), load_file(lora)
names = []
for alpha in (2.0, 8.0, 8.0):
    tensors |= {name: torch.tensor(alpha) for name in tensors if name.endswith("alpha")}
    patched, _ = comfy.sd.load_lora_for_models(model, None, tensors, 1.0, 0.0)
    names.append(HostModels(patched, parts).id())
print("different:", names[0] != names[1], "same:", names[1] == names[2])

weight = "diffusion_model.blocks.0.self_attn.o.weight"
shape = model.model.diffusion_model.blocks[0].self_attn.o.weight.shape
late = torch.zeros(shape)
late[-1, -1] = 1
patches = [("diff", (torch.zeros(shape),)), ("diff", (late,)), ("set", (late,))]
named = set()
for patch in patches:
    patched = model.clone()
    patched.add_patches({weight: patch})
    named.add(HostModels(patched, parts).id())
print("three:", len(named))

bypassed, _ = comfy.sd.load_bypass_lora_for_models(model, None, tensors, 1.0, 0.0)
other, _ = comfy.sd.load_bypass_lora_for_models(model, None, tensors, 0.5, 0.0)
ids = [HostModels(one, parts).id() for one in (model, bypassed, bypassed.clone(), other)]
print("bypassed:", len(set(ids)) == 3 and ids[1] == ids[2])
"""


def test_whatever_patches_the_weights_names_other_blocks(base: Path) -> None:
    printed = run_in_core(LORAS, base, file=UNIVERSAL, vae=VAE, lora=str(base / "models" / "loras" / LORA))
    assert "different: True same: True" in printed
    assert "three: 3" in printed
    assert "bypassed: True" in printed


ATTENTIONS = """
import comfy.ldm.modules.attention as core
from comfy.cli_args import args
from comfyui_matrixgame.host.models.layers import attention_function
args.use_ck_attention = True
found = {}
for name, function in vars(core).copy().items():
    if name.startswith("attention_") and callable(function):
        core.optimized_attention = function
        one = attention_function("auto")
        found.setdefault(one.name, []).append(one.approximation)
print("several:", len(found) > 5, "most alike:", max(map(len, found.values())))
print("coarse:", found["comfyui attention_sage"], found["comfyui attention_comfy_kitchen_int8"])
print("exact:", found["comfyui attention_pytorch"], attention_function("sdpa").name)
"""


def test_each_of_cores_attentions_has_keys_of_its_own(tmp_path: Path) -> None:
    skip_or_fail(why_no_host())
    printed = run_in_core(ATTENTIONS, tmp_path)
    assert "several: True most alike: 1" in printed
    assert "coarse: ['sage'] ['int8']" in printed
    assert "exact: [None] sdpa" in printed


CHANGED = """
import os
from types import SimpleNamespace
import folder_paths
from pathlib import Path
from comfyui_matrixgame.host.running import signature
from comfyui_matrixgame.host.running.folders import world_folder
from comfyui_matrixgame.host.running.signature import signature_of
nodes = {
    "1": {"class_type": "MatrixGameLoadGenerator", "inputs": {"file": "sub/model.safetensors"}},
    "2": {"class_type": "MatrixGameLoadWorld", "inputs": {"model": ["1", 0], "file": "world.safetensors"}},
    "3": {"class_type": "MatrixGameWorldCache", "inputs": {"world": ["2", 0]}},
}
graph = SimpleNamespace(has_node=nodes.__contains__, get_node=nodes.get)
weights = folder_paths.get_folder_paths("diffusion_models")[0]
for path in (world_folder() / "world.safetensors", Path(weights) / "sub" / "model.safetensors"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    before = [signature_of("3", graph) for _ in range(2)]
    os.utime(path, (1, 1))
    print("changed:", before[0] == before[1] != signature_of("3", graph))
before = signature_of("3", graph)
signature.memory.get_torch_device = lambda: signature.torch.device("cuda")
print("changed:", before != signature_of("3", graph))
"""


def test_weights_and_worlds_of_an_old_name_and_another_device_are_noticed(tmp_path: Path) -> None:
    skip_or_fail(why_no_host())
    assert run_in_core(CHANGED, tmp_path).count("changed: True") == 3


def test_free_drops_memory_and_not_the_disk(host: Host) -> None:
    roll(host, WALK, "freed")
    project = listed(host)["freed"]
    assert project["memory"] > 0
    assert project["blocks"] == 4
    host.free()
    assert listed(host)["freed"] == {**project, "memory": 0}
    report, _ = roll(host, WALK, "freed")
    assert report.startswith("0 blocks made, 4 reused")


def test_a_killed_run_goes_on(base: Path, host: Host, tmp_path: Path) -> None:
    """SIGKILL in the third block: two blocks are there, and the file is that of an undisturbed run. Another host goes
    on, with the folder of the one that was killed."""
    for name in ("models", "input"):
        (tmp_path / name).symlink_to(base / name, target_is_directory=True)
    graph, _ = cached(WALK, "killed", seed=9)

    def kill(kind: str, data: dict[str, Any]) -> None:
        if kind == "progress" and data["value"] >= 10:
            first.process.kill()

    first = Host(tmp_path)
    with pytest.raises(Exception):  # noqa: B017, PT011 - the connection breaks, in whichever way
        first.run(graph.prompt, on_event=kill)
    first.process.wait()
    caches = [folder / "output" / "matrixgame" / "cache" for folder in (tmp_path, host.base)]
    shutil.copytree(caches[0] / "killed", caches[1] / "killed")
    report, ours = roll(host, WALK, "killed", seed=9)
    assert report.startswith(("2 blocks made, 2 reused", "1 block made, 3 reused")), report
    _, quiet = roll(host, WALK, "undisturbed", seed=9)
    np.testing.assert_array_equal(ours, quiet)
    assert not list(caches[1].rglob("*.part"))


def test_the_panel_lists_frees_and_forgets(host: Host) -> None:
    roll(host, WALK[:1], "panel")
    project = listed(host)["panel"]
    assert project["blocks"] == 1
    assert project["bytes"] > 0
    picture = host.get("/matrixgame/cache/panel/thumbnail")
    assert picture.startswith(b"\xff\xd8")
    host.post("/matrixgame/cache/panel/free", {})
    assert listed(host)["panel"]["memory"] == 0
    host.post("/matrixgame/cache/panel/forget", {})
    assert "panel" not in listed(host)
    assert not (host.base / "output" / "matrixgame" / "cache" / "panel").exists()


def test_a_film_that_is_deleted_to_make_room_is_still_what_the_run_gives(host: Host) -> None:
    _, whole = roll(host, WALK, "evicted", seed=5)
    cache = BlockCache(host.base / "output" / "matrixgame" / "cache", "evicted")
    for file in cache.files():
        if file.kind in (LATENTS, FRAMES):
            file.path.unlink()
    host.free()
    graph, rolled = cached(WALK, "evicted", seed=5)
    graph.prompt[rolled.node]["inputs"]["images"] = "always"
    evicted = []

    def evict(kind: str, data: dict[str, Any]) -> None:
        if kind == "progress" and data["value"] >= 2:
            films = list(cache.folder.glob("*.mp4"))
            evicted.extend(films)
            for film in films:
                film.unlink()

    run = host.run(graph.prompt, on_event=evict)
    assert run.status == "success", run.error
    assert evicted
    np.testing.assert_array_equal(frames_of(host.output_files("cached_*.mp4")[-1]), whole)


def test_a_block_that_was_cancelled_is_not_being_made(host: Host) -> None:
    graph, rolled = cached(WALK, "cancelled", seed=4)

    def cancel(kind: str, data: dict[str, Any]) -> None:
        if kind == "progress" and data["value"] >= 5:
            host.post("/interrupt", {})

    run = host.run(graph.prompt, on_event=cancel)
    assert run.status == "interrupted"
    assert re.search(r"Cancelled in block \d of 4; \d blocks? kept in the World Cache 'cancelled'", run.texts[-1][1])
    actions = graph.prompt[rolled.node]["inputs"]["actions"][0]
    asked = {"node": actions, "script": "\n".join(WALK), "variant": "universal"}
    answer = host.post("/matrixgame/strip", asked)
    assert answer["seconds"] > 0
    states = [block["state"] for block in answer["blocks"]]
    assert len(states) == 4
    assert not {"making", "failed"} & set(states)


def test_pinned_markers_are_kept(host: Host) -> None:
    timeline = Timeline.from_track(read_text("w 33f", "universal").track)
    roll(host, [timeline.to_text()], "pinned")
    assert listed(host)["pinned"]["pinned"] == 0
    markers = (Marker(20, "kept", pin=True), Marker(8, "not kept"))
    report, _ = roll(host, [replace(timeline, markers=markers).to_text()], "pinned")
    assert report.startswith(
        "0 blocks made, 3 reused"
    )  # the film is there already, and the state is stored all the same
    assert listed(host)["pinned"]["pinned"] == 1


@pytest.mark.parametrize("name", ["..", "%2e%2e", "..%2F..%2Finput", "none", "a%5Cb"])
def test_the_panel_touches_nothing_else(name: str, host: Host) -> None:
    before = sorted(path for path in host.base.rglob("*") if "user" not in path.parts)
    for action in ("free", "forget"):
        with pytest.raises((urllib.error.HTTPError, Exception)) as refused:
            host.post(f"/matrixgame/cache/{name}/{action}", {})
        assert getattr(refused.value, "code", 400) in (400, 404, 405)
    assert sorted(path for path in host.base.rglob("*") if "user" not in path.parts) == before


def test_damage_and_another_version_are_told(host: Host) -> None:
    name = f"damaged {uuid.uuid4().hex[:6]}"  # another attempt finds no other version's folder
    _, whole = roll(host, WALK, name)
    host.free()
    folder = host.base / "output" / "matrixgame" / "cache"
    cache = BlockCache(folder, name)
    for file in cache.files():
        if file.kind in (FRAMES, "mp4"):
            file.path.write_bytes(file.path.read_bytes()[:-8] if file.kind == FRAMES else b"")
            if file.kind == "mp4":
                file.path.unlink()
    report, again = roll(host, [*WALK[:3], "d 14f"], name)  # the same four blocks, one row more
    assert "was damaged; it is made again" in report
    np.testing.assert_array_equal(again[:45], whole)
    host.free()
    (folder / name / "store.json").write_text('{"format": "matrixgame.cache", "version": 9}')
    graph, _ = cached(WALK, name, seed=3)
    run = host.run(graph.prompt)
    assert run.status == "error", host.log()[-2000:]
    assert "another version" in run.message
