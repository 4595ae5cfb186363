"""A variant is described in one place: what is written from it is fresh, no code names it, and one that comes later is
known to script language, presets, benchmark, overlay, conversion and terminal."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.actions.drawing.overlay import draw_overlay
from comfyui_matrixgame.actions.ready_made.bench import bench_track
from comfyui_matrixgame.actions.ready_made.presets import preset_script
from comfyui_matrixgame.actions.script.printer import print_script
from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.checkpoints.download import files_for
from comfyui_matrixgame.checkpoints.formats import inspect_file
from comfyui_matrixgame.checkpoints.untrained import write_small_files
from comfyui_matrixgame.errors import ActionError, MatrixGameError
from comfyui_matrixgame.variants import VARIANTS, Variant, add_variant, builtin_variants, read_file
from comfyui_matrixgame.variants.browser import for_browser

ROOT = Path(__file__).resolve().parents[2]
SPACEWALK = Path(__file__).with_name("files") / "spacewalk.json"
CODE = {".py", ".mjs", ".js", ".css", ".html"}
SCRIPT = "@length 45\nthrust+drift_left 1b\nw 6\nyaw(0.2) 6\nlook(0.1 -> 0.4 smooth, -0.1) 6\nrise+dive 4\nright 3"
IN_BROWSER = """
const { addVariant, VARIANTS } = await import(`${process.argv[1]}/model/variants.mjs`);
const { parseScript, printScript } = await import(`${process.argv[1]}/script/script.mjs`);
const { rowsOf, writeDocument } = await import(`${process.argv[1]}/model/document.mjs`);
const { convertVariant } = await import(`${process.argv[1]}/model/convert.mjs`);
const [description, script] = JSON.parse(process.argv[2]);
addVariant(description);
const { document, warnings } = parseScript(script, description.name);
const converted = Object.keys(VARIANTS).map((name) => convertVariant(document, name).doc);
const lanes = converted.map((doc) => [doc.variant, Object.keys(doc.tracks).filter((lane) => doc.tracks[lane].length)]);
process.stdout.write(JSON.stringify({
  rows: rowsOf(document), text: writeDocument(document), script: printScript(document),
  lanes: Object.fromEntries(lanes), warnings: warnings.map((one) => one.code),
}));
"""


@pytest.fixture
def spacewalk(known: None) -> Variant:
    """A variant of 9 keys that nobody knew."""
    variant = read_file(SPACEWALK)
    add_variant(variant)
    return variant


def test_what_is_written_from_the_descriptions_is_fresh() -> None:
    for path, content in runpy.run_path(str(ROOT / "script" / "variants"))["written"]().items():
        assert path.read_text(encoding="utf-8") == content, f"{path.name} is stale: run python3 script/variants"


def test_no_code_names_a_variant() -> None:
    names = re.compile(rf"\b({'|'.join(variant.name for variant in builtin_variants())})\b", re.IGNORECASE)
    files = [ROOT / "nodes.py", *(ROOT / "comfyui_matrixgame").rglob("*"), *(ROOT / "web").rglob("*")]
    code = [path for path in files if path.suffix in CODE and path.name != "variants.generated.mjs"]
    outside = [path for path in code if ROOT / "comfyui_matrixgame" / "variants" not in path.parents]
    assert len(outside) > 200
    found = [path.relative_to(ROOT) for path in outside if names.search(path.read_text(encoding="utf-8"))]
    assert found == []


def test_script_and_document_know_it_and_so_does_the_browser(spacewalk: Variant) -> None:
    script = parse_script(SCRIPT, spacewalk)
    track = script.track
    assert track.keyboard[0].tolist() == [1, 0, 1, 0, 0, 0, 0, 0, 0]
    assert track.mouse is not None
    assert track.mouse[18].tolist() == pytest.approx([0, 0.2])
    assert track.mouse[-1].tolist() == [0, 0]
    assert [warning.code for warning in script.warnings] == ["opposite"]
    assert "right 3" in print_script(script.document)
    document = Timeline.from_text(script.document.to_text())
    assert document == script.document
    node = shutil.which("node")
    if node is None:
        pytest.skip("There is no node on the PATH.")
    told = json.dumps([for_browser(spacewalk), SCRIPT])
    command = [node, "--input-type=module", "-e", IN_BROWSER, str(ROOT / "web"), told]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    whole = script.document.track()
    assert np.array_equal(np.asarray(answer["rows"]["keyboard"], np.float32), whole.keyboard)
    assert np.array_equal(np.asarray(answer["rows"]["mouse"], np.float32), whole.mouse)
    assert Timeline.from_text(answer["text"]) == script.document
    assert answer["script"] == print_script(script.document)
    assert answer["warnings"] == ["opposite"]
    (exclusive,) = (name for name, one in VARIANTS.items() if one.exclusive)
    assert answer["lanes"][exclusive] == ["side_left"]  # what means the same
    assert answer["lanes"]["universal"] == ["a", "yaw", "pitch"]


def test_a_faster_camera_than_its_own_limit_is_refused(spacewalk: Variant) -> None:
    with pytest.raises(ActionError, match=r"outside -0\.8\.\.0\.8"):
        parse_script("yaw(0.9) 1b", spacewalk)


def test_presets_and_benchmark_are_its_own(spacewalk: Variant) -> None:
    track = parse_script(preset_script("tumble", spacewalk), spacewalk).track
    assert track.keyboard[:, 4].any()
    assert np.abs(track.mouse).max() == np.float32(0.2)
    track = bench_track(spacewalk, 3, 120)
    assert set(np.flatnonzero(track.keyboard.any(axis=0))) == {0, 8}
    assert set(np.unique(track.mouse)) == {np.float32(v) for v in (-0.2, 0, 0.2)}
    with pytest.raises(MatrixGameError, match="not published"):
        files_for(spacewalk.name)


def test_its_overlay_lies_where_the_file_says(spacewalk: Variant) -> None:
    frames = np.full((3, 280, 500, 3), 90, np.uint8)
    held = {key: draw_overlay(frames, parse_script(f"{key} 3", spacewalk).track) for key in spacewalk.keys}
    still = draw_overlay(frames, parse_script("idle 3", spacewalk).track)
    places = {}
    for key in spacewalk.controls:
        changed = np.argwhere((held[key.name][2] != still[2]).any(axis=-1))
        assert key.overlay.box is not None
        places[key.name] = (changed.mean(axis=0), key.overlay.box)
    unit = 280 / 14
    (y0, x0), first = places["roll_left"]
    for (y, x), box in places.values():
        assert y - y0 == pytest.approx((box[1] - first[1]) * unit, abs=2)
        assert x - x0 == pytest.approx((box[0] - first[0]) * unit, abs=2)


def test_weights_and_terminal_know_it(known: None, tmp_path: Path) -> None:
    weights = write_small_files(tmp_path, read_file(SPACEWALK))["generator"]
    assert inspect_file(weights).variant is None  # 9 keys are nobody's here
    environment = {**os.environ, "MATRIXGAME_VARIANTS": str(SPACEWALK.parent)}

    def ask(*words: str) -> str:
        command = [sys.executable, "-m", "comfyui_matrixgame", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "spacewalk: 2 steps, window 6" in ask("inspect", str(weights))
    assert "roll_left" in ask("actions", "show", "--variant", "spacewalk", "preset:tumble")
