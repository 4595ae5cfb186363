"""The editor's modules without a page: their own tests under node, and the same answers as Python."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest

from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.actions.ready_made.presets import preset_script, presets_of
from comfyui_matrixgame.actions.script.printer import print_script
from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.variants import VARIANTS, block_of_input, first_input_of_block

from .node import HERE, NODE, WEB, in_node

pytestmark = pytest.mark.skipif(NODE is None, reason="There is no node on the PATH.")

ROWS = """
import { readFileSync } from "node:fs";
const { readDocument, rowsOf, writeDocument } = await import(`${process.argv[1]}/model/document.mjs`);
const { printScript } = await import(`${process.argv[1]}/script/script.mjs`);
const out = JSON.parse(readFileSync(0, "utf8")).map((text) => {
  const doc = readDocument(text);
  return { ...rowsOf(doc), text: writeDocument(doc), script: printScript(doc) };
});
process.stdout.write(JSON.stringify(out));
"""
FACTS = """
const v = await import(`${process.argv[1]}/model/variants.mjs`);
process.stdout.write(JSON.stringify({
  variants: v.VARIANTS, blocks: Array.from({ length: 500 }, (_, t) => v.blockOfInput(t)),
  starts: Array.from({ length: 50 }, (_, b) => v.firstInputOfBlock(b)),
}));
"""


PRESETS = """
const { VARIANTS } = await import(`${process.argv[1]}/model/variants.mjs`);
const { presetsOf } = await import(`${process.argv[1]}/timeline/editing/presets.mjs`);
const shelf = { read: () => null };
const all = Object.values(VARIANTS).map((variant) => [variant.name, presetsOf(variant, shelf).map((p) => p.script)]);
process.stdout.write(JSON.stringify(Object.fromEntries(all)));
"""


@pytest.mark.parametrize("file", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_under_node(file: str) -> None:
    assert NODE is not None
    done = subprocess.run([NODE, "--test", str(HERE / file)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:]


def test_no_line_is_longer_than_120() -> None:
    """The formatter leaves comments and texts as they are."""
    files = [path for path in WEB.rglob("*") if path.suffix in (".js", ".mjs", ".css", ".html")]
    files += WEB.parent.joinpath("tests").rglob("*.mjs")
    files.remove(WEB / "model" / "variants.generated.mjs")  # its presets are texts of the descriptions
    lines = [
        (path, i, line) for path in files for i, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    ]
    assert len(files) > 80
    assert [f"{path.name}:{i}" for path, i, line in lines if len(line) > 120] == []


def test_no_file_outgrows_one_screenful_of_jobs() -> None:
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in WEB.rglob("*js")}
    assert max(lengths.values()) <= 400, lengths
    # each of these is an extension that the frontend loads by itself; all else is imported by them
    assert sorted(path.name for path in WEB.rglob("*.js")) == ["cache_panel.js", "cache_strip.js", "matrixgame.js"]


def test_variants_and_blocks_are_those_of_python() -> None:
    facts = in_node(FACTS)
    for name, variant in VARIANTS.items():
        theirs = facts["variants"][name]
        assert theirs["keys"] == list(variant.keys)
        assert [theirs[k] for k in ("title", "exclusive", "mouse", "pitch")] == [
            variant.title, variant.exclusive, variant.mouse, variant.pitch,
        ]  # fmt: skip
    assert set(facts["variants"]) == set(VARIANTS)
    assert facts["blocks"] == [block_of_input(t) for t in range(500)]
    assert facts["starts"] == [first_input_of_block(b) for b in range(50)]


def test_presets_are_those_of_python() -> None:
    theirs = in_node(PRESETS)
    assert set(theirs) == set(VARIANTS)
    for name, variant in VARIANTS.items():
        ours = [parse_script(preset_script(preset, variant)).document for preset in presets_of(variant)]
        got = [parse_script(f"@variant {name}\n{script}").document for script in theirs[name]]
        assert [each.lanes for each in got] == [each.lanes for each in ours]
        assert len(got) > 1


def _random_timeline(rng: np.random.Generator, name: str) -> Timeline:
    """Some steps of a script, so that runs, holds and ramps of every easing occur."""
    variant = VARIANTS[name]
    lines = [f"@variant {name}"]
    for _ in range(int(rng.integers(1, 30))):
        keys = [k for k in variant.keys if k != "idle" and rng.random() < (0.2 if variant.exclusive else 0.4)]
        chord = keys[:1] if variant.exclusive else keys
        if variant.mouse and rng.random() < 0.6:
            a, b = rng.integers(-30, 31, 2) / 100
            axis = "pitch" if variant.pitch and rng.random() < 0.5 else "yaw"
            chord.append(f"{axis}({a} -> {b} {rng.choice(['linear', 'smooth', 'in', 'out'])})")
        lines.append(f"{'+'.join(chord) or 'idle'} {int(rng.integers(1, 60))}")
    return parse_script("\n".join(lines)).document


@pytest.mark.parametrize("name", list(VARIANTS))
def test_the_rows_of_a_document_are_those_of_python_bit_for_bit(name: str) -> None:
    rng = np.random.default_rng(5)
    timelines = [_random_timeline(rng, name) for _ in range(100)]
    answers = in_node(ROWS, json.dumps([timeline.to_text() for timeline in timelines]))
    for timeline, answer in zip(timelines, answers, strict=True):
        track = timeline.track()
        assert np.array_equal(track.keyboard, np.asarray(answer["keyboard"], np.float32))
        if track.mouse is not None:
            assert np.array_equal(track.mouse, np.asarray(answer["mouse"], np.float32))
        assert Timeline.from_text(answer["text"]) == timeline
        assert answer["script"] == print_script(timeline)
