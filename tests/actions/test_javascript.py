"""The browser's copy of the language says the same as this one, on scripts that nobody wrote by hand."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from comfyui_matrixgame.actions.lexer import ScriptError
from comfyui_matrixgame.actions.printer import print_script
from comfyui_matrixgame.actions.script import parse_script
from comfyui_matrixgame.variants import Variant

from . import generate

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
