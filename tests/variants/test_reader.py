"""Descriptions of variants: what is published, what is refused and how, and what a folder adds."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from comfyui_matrixgame.errors import VariantError
from comfyui_matrixgame.variants import (
    VARIANTS,
    add_folder,
    default_variant,
    read_description,
    read_file,
    refresh,
    registry,
)

FOLDER = Path(registry.__file__).parent
SCHEMA = json.loads((FOLDER / "variant.schema.json").read_text(encoding="utf-8"))
PUBLISHED = sorted(path for path in FOLDER.glob("*.json") if path.name != "variant.schema.json")
LEAST = {
    "format": "matrixgame.variant",
    "version": 1,
    "name": "flight",
    "title": "Flight",
    "exclusive": False,
    "keys": [{"name": "roll", "codes": ["KeyR"]}],
    "window": 6,
    "steps": [1000, 500],
}


def described(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_published_description_is_what_the_schema_says(path: Path) -> None:
    jsonschema.validate(described(path), SCHEMA)
    variant = read_file(path)
    assert variant == VARIANTS[path.stem]
    assert variant.unknown == {}
    assert variant.published is not None
    assert variant.presets
    assert variant.bench
    assert pickle.loads(pickle.dumps(variant)) == variant


def test_one_variant_is_the_default_and_stands_first() -> None:
    assert [name for name, variant in VARIANTS.items() if variant.default] == [next(iter(VARIANTS))]
    assert default_variant() is next(iter(VARIANTS.values()))


def test_little_is_needed() -> None:
    jsonschema.validate(LEAST, SCHEMA)
    variant = read_description(LEAST, "flight.json")
    assert (variant.keys, variant.mouse, variant.idle_row) == (("roll",), False, (0.0,))
    assert (variant.controls[0].label, variant.size, variant.fps, variant.shift) == ("roll", (352, 640), 25, 5)


def change(*path: Any, to: Any = None) -> Callable[[dict[str, Any]], None]:
    """A function that sets one field of a description or, with None, removes it."""

    def apply(data: Any) -> None:
        for name in path[:-1]:
            data = data[name]
        if to is None:
            del data[path[-1]]
        else:
            data[path[-1]] = to

    return apply


KEYS = [{"name": "roll", "codes": ["KeyR"]}, {"name": "dive", "codes": ["KeyV"]}]
FILE = {"repo": "a/b", "path": "c", "name": "d", "size": 1, "sha256": "0"}
FAULTS = [
    (change("format", to="other"), "format is 'other', and must be matrixgame.variant", True),
    (change("window"), "window is missing, and must be a whole number from 3 to 1000", True),
    (change("window", to=6.5), "window is 6.5", True),
    (change("version", to=2), "update the node pack", True),
    (change("name", to="No Name"), "name is 'No Name', and must be a word of a-z", True),
    (change("exclusive", to="no"), "exclusive is 'no', and must be true or false", True),
    (change("keys", to=[]), "keys is [], and must be a list of 1 to 64 keys", True),
    (change("keys", 0, "colour", to="red"), "keys[0].colour is 'red', and must be a whole number from 0 to 359", True),
    (change("keys", 0, "pad", to=[1, 2, 3]), "keys[0].pad is [1, 2, 3], and must be [row, column]", True),
    (change("keys", 0, "overlay", to={"icon": "skull"}), "keys[0].overlay.icon is 'skull'", True),
    (change("keys", 0, "name", to="yaw"), "keys[0].name is 'yaw', and must be a word that the script", False),
    (change("keys", 0, "codes"), "roll has no codes; give it a physical key, such as KeyG", False),
    (change("keys", to=[KEYS[0], KEYS[0]]), "two keys have the name roll", False),
    (change("keys", to=[{**KEYS[0], "aliases": ["dive"]}, KEYS[1]]), "two keys have the alias dive", False),
    (change("keys", to=[KEYS[0], {**KEYS[1], "codes": ["KeyR"]}]), "two keys have the code KeyR", False),
    (change("keys", to=[{**KEYS[0], "opposite": "climb"}]), "roll has the opposite 'climb', which is not a key", False),
    (change("exclusive", to=True), "an exclusive variant has a key 'idle'", False),
    (change("camera", to={"axes": ["pitch"]}), """camera.axes is ['pitch'], and must be ["yaw"] or""", True),
    (change("camera", to={"axes": ["yaw"], "speed": 0.5}), "camera.speed is 0.5, and must be at most tested", False),
    (change("steps", to=[500, 1000]), "steps is [500, 1000], and must be a list of places from 1000 down", False),
    (change("sink", to=4), "sink is 4, and must be at most 3: the window of 6 holds the block as well", False),
    (change("sink", to=-1), "sink is -1", True),
    (change("block", to=1), "block is 1, and must be 3 latent frames, by which inputs, caches and worlds are", True),
    (change("fps", to=30), "fps is 30, and must be 25 frames a second, in which scripts, rulers, clips and", True),
    (change("presets", to={"loop": "roll {n.__class__}"}), "presets.loop", False),
    (change("presets", to={"loop": "roll {long}"}), "presets.loop is 'roll {long}', and must be a script with", False),
    (change("bench", to=[{"keys": [["fly"]]}]), "bench holds ['fly']; it must be keys of roll", False),
    (change("bench", to=[{"yaw": [0.1]}]), "bench has the yaw [0.1], which its camera cannot do", False),
    (change("published", to=FILE), "sha256 is '0'", True),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "message", "by_schema"), FAULTS, ids=[fault[1][:40] for fault in FAULTS])
def test_a_fault_is_named_with_its_fix(spoil: Callable[[Any], None], message: str, by_schema: bool) -> None:
    data = copy.deepcopy(LEAST)
    spoil(data)
    with pytest.raises(VariantError) as caught:
        read_description(data, "flight.json")
    assert message in str(caught.value)
    assert str(caught.value).startswith("flight.json")
    assert not by_schema or list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(data))


@pytest.mark.parametrize("text", [b"", b"[1]", b"{", b"\xff\xfe", b'{"format": 1e999}', b"[" * 100_000])
def test_a_file_that_is_no_description_is_refused(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "flight.json"
    path.write_bytes(text)
    with pytest.raises(VariantError, match=r"^flight\.json"):
        read_file(path)


def test_unknown_fields_are_kept() -> None:
    data = copy.deepcopy(LEAST)
    data["music"] = "loud"
    data["keys"][0]["sound"] = 3  # type: ignore[index]
    assert read_description(data, "flight.json").unknown == {"music": "loud", "keys[0].sound": 3}


def test_a_folder_adds_variants(known: None, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    (tmp_path / "broken.json").write_text("{}")
    (tmp_path / "mine.json").write_text(json.dumps({**LEAST, "name": default_variant().name}))
    add_folder(tmp_path)
    assert "flight" not in VARIANTS
    assert [record.getMessage() for record in caplog.records] == [
        "broken.json: format is missing, and must be matrixgame.variant.",
        f"There is a variant '{default_variant().name}' already; give the new one another name.",
    ]
    caplog.clear()
    (tmp_path / "flight.json").write_text(json.dumps({**LEAST, "music": "loud"}))
    refresh()
    assert list(VARIANTS)[-1] == "flight"
    assert [record.getMessage() for record in caplog.records] == ["flight.json: this version does not know music."]
    (tmp_path / "flight.json").write_text(json.dumps({**LEAST, "title": "Flying"}))
    refresh()
    assert VARIANTS["flight"].title == "Flying"
