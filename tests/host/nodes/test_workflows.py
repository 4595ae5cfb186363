"""The workflow files: whole, up to date with the nodes, downloadable, and they run unchanged through the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest

from ..graphs import SMALL, VIRTUAL, WORKFLOWS, read_workflow, to_prompt, write_clip
from ..models import GENERATORS
from ..server import PACK, Host

ALL = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
HOSTS = ("https://huggingface.co/", "https://civitai.com/")
FOLDERS = ("diffusion_models", "vae", "vae_approx", "clip_vision", "upscale_models")
ENDINGS = (".safetensors", ".sft", ".ckpt", ".pth", ".pt")
LOOP = PACK / "docs" / "workflows" / "world_through_a_loop.json"
LOOPS = {"StartLoop", "EndLoop"}  # core's, of hosts that are newer than the one at hand may be
LONGEST = 3
PREFIX = "Matrix-Game - "


@pytest.fixture(scope="module")
def object_info(host: Host) -> dict[str, Any]:
    write_clip(host.base / "input" / "clip.mp4", 33)
    return host.get("/object_info")


def test_the_promised_workflows_exist() -> None:
    """First steps first, and the others under the name of the model, by which they are searched."""
    names = [path.stem for path in WORKFLOWS]
    assert {
        "Image to video (universal)", "Driving (gta_drive)", "Runner (templerun)", "Continue a clip",
        "Continue a world and branch it", "Long video to file", "Many camera paths (universal)", "Upsize the film",
        "Change the world",
    } <= {name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)}  # fmt: skip
    assert [name for name in names if not name.startswith(PREFIX)] == names[:1] == ["First steps (demo world)"]
    assert not [name for name in names if set(name) & set('<>:"/\\|?*')]  # which Windows does not take


@ALL
def test_nodes_widgets_and_links_fit_the_schema(path: Path, object_info: dict[str, Any]) -> None:
    workflow = read_workflow(path)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for node in nodes.values():
        assert node["type"] in object_info or node["type"] in VIRTUAL, node["type"]
    for link_id, source, output, target, slot, kind in workflow["links"]:
        assert object_info[nodes[source]["type"]]["output"][output] == kind
        assert nodes[target]["inputs"][slot]["link"] == link_id
    prompt = to_prompt(workflow, object_info)
    for node in prompt.values():
        required = object_info[node["class_type"]]["input"].get("required", {})
        if node["class_type"] != "SaveVideo":
            assert required.keys() <= node["inputs"].keys(), node["class_type"]


@ALL
def test_missing_models_can_be_downloaded(path: Path) -> None:
    for node in read_workflow(path)["nodes"]:
        files = [v for v in node.get("widgets_values") or [] if isinstance(v, str) and v.endswith(ENDINGS)]
        models = {model["name"]: model for model in node.get("properties", {}).get("models", [])}
        assert set(files) == set(models), node["type"]
        for model in models.values():
            assert model["url"].startswith(HOSTS)
            assert model["url"].endswith("/" + model["name"])
            assert model["directory"] in FOLDERS
            assert len(model["hash"]) == 64
            assert model["hash_type"] == "SHA256"


@ALL
def test_runs_through_the_api(path: Path, host: Host, object_info: dict[str, Any]) -> None:
    """Unchanged but for the size of the frames and, of the long one, its length."""
    prompt = to_prompt(read_workflow(path), object_info)
    for node in prompt.values():
        if node["class_type"] == "MatrixGameStartWorld":
            node["inputs"] |= SMALL
        if node["class_type"] == "MatrixGameBenchInputs":
            node["inputs"]["blocks"] = min(node["inputs"]["blocks"], LONGEST)
    run = host.run(prompt)
    assert run.status == "success", run.error
    savers = [name for name, node in prompt.items() if node["class_type"] == "SaveVideo"]
    for name in savers:
        saved = run.outputs[name]["images"][0]
        file = host.base / "output" / saved["subfolder"] / saved["filename"]
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == ((192, 128) if "Upsize" in path.stem else (96, 64))
            assert stream.average_rate == 25
            frames = sum(1 for _ in container.decode(stream))
            assert "prompt" in container.metadata  # so that the video carries its graph
        first_block = "Continue" not in path.stem
        assert (frames + (3 if first_block else 0)) % 12 == 0
        assert frames >= 9


def test_the_loop_fits_our_nodes(object_info: dict[str, Any]) -> None:
    """It is in the documentation and no template, as a host without loops calls them missing."""
    workflow = read_workflow(LOOP)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    ours = [node for node in nodes.values() if node["type"] not in LOOPS | VIRTUAL]
    assert all(node["type"] in object_info for node in ours)
    assert {node["type"] for node in nodes.values()} >= LOOPS
    carried = []
    for link_id, source, output, target, slot, _ in workflow["links"]:
        assert nodes[target]["inputs"][slot]["link"] == link_id
        assert link_id in nodes[source]["outputs"][output]["links"]
        if nodes[source] in ours:
            assert nodes[source]["outputs"][output]["type"] == object_info[nodes[source]["type"]]["output"][output]
        if nodes[source]["outputs"][output]["type"] == "MATRIXGAME_WORLD":
            carried.append(nodes[target]["inputs"][slot]["name"])
    assert sorted(carried) == ["initial_iteration_value", "next_iteration_value"]
    assert to_prompt({**workflow, "nodes": ours}, object_info)  # so that every node has a value for each of its widgets


def test_every_variant_has_a_workflow() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    assert all(name in text for name in GENERATORS)
