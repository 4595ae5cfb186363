"""Names of choices in other languages: every choice that is a word has one, and no choice that is gone has."""

from __future__ import annotations

import json
from pathlib import Path

from comfyui_matrixgame.checkpoints.builtin import NAME as DEMO_WORLD

from ..modules.node import in_node

CONTRACT = Path(__file__).parents[2] / "host" / "object_info.json"
NAMES = """
const { OPTION_NAMES, variantName } = await import(`${process.argv[1]}/option_names.mjs`);
const { VARIANTS } = await import(`${process.argv[1]}/model/variants.mjs`);
for (const [language, words] of Object.entries(OPTION_NAMES))
  words.variant = Object.fromEntries(Object.keys(VARIANTS).map((name) => [name, variantName(name, language)]));
process.stdout.write(JSON.stringify(OPTION_NAMES));
"""
LABELS = """
const { nameOptions } = await import(`${process.argv[1]}/option_names.mjs`);
const combo = (name, values) => ({ name, type: "combo", value: values[0], options: { values } });
const variants = combo("variant", ["universal"]);
const node = { widgets: [combo("mode", ["keep"]), combo("sampler", ["keep"]), { name: "images", type: "text" }] };
nameOptions(node, "fr");
const french = node.widgets.map((w) => w.options?.getOptionLabel ?? null);
nameOptions(node, "zh-TW");
const label = node.widgets[0].options.getOptionLabel;
const others = node.widgets.slice(1).map((w) => w.options?.getOptionLabel ?? null);
const labels = ["keep", "new", "", null].map(label);
nameOptions({ widgets: [variants] }, "zh");
const variant = ["universal", "flight", "auto"].map(variants.options.getOptionLabel);
process.stdout.write(JSON.stringify({ french, labels, others, variant, value: node.widgets[0].value }));
"""
AUTO = ("variant", "auto")  # called as that of dtype
OWN = {"comfyui", "sdpa", "flash2", "flash3", "sage", "fp8", "int8", "(files)"}
OWN |= {"float32", "bfloat16", "float16", "float8_e4m3fn"}
ELSEWHERE = {("file", "(none)"), ("file", DEMO_WORLD)}  # among files, which differ from machine to machine


def choices() -> set[tuple[str, str]]:
    found = set()
    for node in json.loads(CONTRACT.read_text(encoding="utf-8")).values():
        for group in ("required", "optional"):
            for name, (_, about, *_) in node["input"].get(group, {}).items():
                found |= {(name, choice) for choice in about.get("options", [])}
    return found


def test_every_word_has_a_name_and_no_name_is_left_over() -> None:
    wanted = {(name, choice) for name, choice in choices() if choice not in OWN} | ELSEWHERE
    wanted -= {AUTO}
    for language, words in in_node(NAMES).items():
        assert {(name, choice) for name, names in words.items() for choice in names} == wanted, language
        shown = [text for names in words.values() for text in names.values()]
        assert all(any(ord(letter) > 0x2E80 for letter in text) for text in shown), language


def test_only_lists_of_ours_are_named_and_values_stay() -> None:
    told = in_node(LABELS)
    assert told["french"] == [None, None, None]
    assert told["labels"] == ["重新生成并保存 (keep)", "new", "", ""]
    assert told["others"] == [None, None]
    assert told["variant"] == ["通用 (universal)", "flight", "自动 (auto)"]
    assert told["value"] == "keep"
