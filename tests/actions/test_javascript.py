"""The browser's copy of the language says the same as this one, on scripts that nobody wrote by hand."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from comfyui_matrixgame.actions.check_document import NewerVersionError
from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.actions.script.lexer import ScriptError
from comfyui_matrixgame.actions.script.printer import print_script
from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.errors import ActionError
from comfyui_matrixgame.variants import Variant

from . import generate
from .documents import BOTH_REFUSE, RELATIONS, example, mutated

NODE = shutil.which("node")


def read(text: str, variant: Variant) -> dict[str, Any]:
    try:
        script = parse_script(text, variant)
    except ScriptError as error:
        return {"error": error.format()}
    return {
        "frames": script.frames,
        "length": script.document.length,
        "tracks": {name: lane for name, lane in script.document.lanes.items() if lane},
        "markers": script.document.to_json()["markers"],
        "seeds": [list(change) for change in script.document.seeds],
        "warnings": [[w.code, w.line, w.column, w.width, w.message] for w in script.warnings],
        "printed": print_script(script.document),
    }


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_javascript_reads_and_prints_the_same(tmp_path: Path) -> None:
    rng = random.Random(11)
    cases = []
    for i in range(3000):
        variant = generate.variant(rng)
        text = generate.script(rng, variant)
        if i % 3 == 1:
            text = generate.broken(rng, text)
        elif i % 3 == 2:
            timeline = generate.timeline(rng)
            variant, text = timeline.variant, print_script(timeline)
        cases.append([text, variant.name, read(text, variant)])
    assert sum("error" in case[2] for case in cases) in range(500, 1500)
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(cases), encoding="utf-8")
    runner = Path(__file__).parent / "compare.mjs"
    done = subprocess.run([str(NODE), str(runner), str(path)], capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout) == {"read": 3000, "different": []}


def taken(text: str) -> dict[str, Any]:
    """What Python makes of the text of a document, in the words of compare_documents.mjs."""
    try:
        timeline = Timeline.from_json(json.loads(text))
    except ActionError as error:
        kind = "newer" if isinstance(error, NewerVersionError) else "schema"
        return {"kind": kind, "place": re.split(": | must| is version", str(error))[0]}
    data, track = timeline.to_json(), timeline.track()
    mouse = None if track.mouse is None else track.mouse.tolist()
    kept = {name: data[name] for name in ("tracks", "length", "markers", "loop", "active")}
    seeds = [list(change) for change in timeline.active_seeds()]
    return {**kept, "keyboard": track.keyboard.tolist(), "mouse": mouse, "seeds": seeds}


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_javascript_takes_and_refuses_the_same_documents(tmp_path: Path) -> None:
    """A branch that an editor takes is never refused where it is rendered, and the other way round."""
    rng = random.Random(12)
    zeros = [[0, 0], [5, -0.0, "smooth", 12, 0]]
    branch = {"id": "b", "name": "b", "fork": 0, "tracks": {"pitch": zeros}}
    short = example(length=57, tracks={}, loop=None, markers=[], branches=[], seeds=[[12, 9]])
    documents = [data for data, _ in BOTH_REFUSE + RELATIONS]
    documents += [
        example(variant="gta_drive", tracks={"pitch": zeros}, branches=[]),
        example(variant="gta_drive", tracks={}, branches=[branch]),
        example(variant="gta_drive", tracks={"pitch": [[0, 0], [5, 0, "in", 3, 0.1]]}, branches=[]),
        example(fps=None),
        example(markers=[{"t": 1, "name": "x", "pin": None}]),
        example(version=10**400),
        example(length=10**400),
    ]
    for i in range(3000):
        data = generate.timeline(rng).to_json() if i % 3 else short
        for _ in range(rng.randint(0, 2)):
            data = mutated(rng, data)
        documents.append(data)
    cases = []
    for data in documents:
        text = json.dumps(data)
        if "NaN" not in text and "Infinity" not in text:  # which JSON does not know
            cases.append([text, taken(text)])
    assert sum("keyboard" in case[1] for case in cases) in range(700, 2500)
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(cases), encoding="utf-8")
    runner = Path(__file__).parent / "compare_documents.mjs"
    done = subprocess.run([str(NODE), str(runner), str(path)], capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout) == {"read": len(cases), "different": []}
