"""The pack loads in a real ComfyUI, whole and quietly, and offers what the frontend asks for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from PIL import Image

from .graphs import WORKFLOWS
from .server import PACK, Host

SNAPSHOT = Path(__file__).with_name("object_info.json")
FILES = {name: "file" for name in ("LoadGenerator", "LoadLora", "LoadVAE", "LoadWorld", "CameraPaths")}


def our_nodes(host: Host) -> dict[str, Any]:
    info = {name: node for name, node in host.get("/object_info").items() if name.startswith("MatrixGame")}
    for name, widget in FILES.items():
        info[f"MatrixGame{name}"]["input"]["required"][widget][1]["options"] = ["(files)"]
    for widget in ("aesthetic_head", "inverse_dynamics"):
        options = info["MatrixGameScoreVideo"]["input"]["optional"][widget][1]
        options["options"] = [*options["options"][:1], "(files)"]
    info["MatrixGameLoadVAE"]["input"]["required"]["decoder"][1]["options"] = ["full", "(files)"]
    return info


def test_log_is_clean(host: Host) -> None:
    log = host.log().split("got prompt")[0]  # later the host logs a traceback for every error a node tells
    assert "IMPORT FAILED" not in log, log
    assert "Traceback" not in log, log
    assert "comfy_entrypoint" not in log, log


def test_nodes_are_those_of_the_contract(host: Host) -> None:
    """Saved workflows depend on these names, orders and defaults. UPDATE_SNAPSHOT=1 writes a new contract."""
    info = our_nodes(host)
    if os.environ.get("UPDATE_SNAPSHOT") == "1":
        SNAPSHOT.write_text(json.dumps(info, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert info == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_every_input_and_output_has_a_tooltip(host: Host) -> None:
    for name, node in our_nodes(host).items():
        for group in ("required", "optional"):
            for widget, spec in node["input"].get(group, {}).items():
                assert spec[1].get("tooltip"), f"{name}.{widget}"
        assert all(node["output_tooltips"]), name
        assert node["description"], name
        assert node["search_aliases"], name


def test_help_pages_are_served(host: Host) -> None:
    for name, node in our_nodes(host).items():
        page = host.get(f"/extensions/matrixgame/docs/{name}.md").decode()
        assert page.startswith(f"# {node['display_name']}\n")
        inputs = [*node["input"].get("required", {}), *node["input"].get("optional", {})]
        for widget in inputs:
            assert widget in page, f"{name}.md does not speak of {widget}"


def test_english_and_chinese_names_are_complete(host: Host) -> None:
    translations = host.get("/i18n")
    for name, node in our_nodes(host).items():
        inputs = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
        for language in ("en", "zh"):
            entry = translations[language]["nodeDefs"][name]
            assert entry["inputs"].keys() == inputs.keys(), (language, name)
            assert list(entry.get("outputs", {})) == [str(i) for i in range(len(node["output"]))], (language, name)
            assert all(part["name"] and part["tooltip"] for part in entry["inputs"].values())
        english = translations["en"]["nodeDefs"][name]
        assert english["display_name"] == node["display_name"]
        assert english["description"] == node["description"]
        assert {key: part["tooltip"] for key, part in english["inputs"].items()} == {
            key: spec[1]["tooltip"] for key, spec in inputs.items()
        }


def test_workflows_are_in_the_template_browser(host: Host) -> None:
    listed = host.get("/workflow_templates")["matrixgame"]
    assert sorted(listed) == sorted(path.stem for path in WORKFLOWS)
    assert len(WORKFLOWS) >= 6
    for path in WORKFLOWS:
        with Image.open(PACK / "workflows" / f"{path.stem}.jpg") as picture:  # of script/template_pictures
            assert picture.size == (480, 480)
