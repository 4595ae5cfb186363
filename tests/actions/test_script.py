"""The script language: the fixtures that every implementation shares, its limits, and its printer."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import numpy as np
import pytest

from comfyui_matrixgame.actions.check_document import MAX_FRAMES
from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.actions.script.lexer import MAX_TOKENS, ScriptError, tokens
from comfyui_matrixgame.actions.script.printer import print_script
from comfyui_matrixgame.actions.script.read_script import Script, parse_script
from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.variants import GTA_DRIVE, TEMPLERUN, UNIVERSAL, Variant

from ..support.calls import counted_calls
from . import generate

CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "scripts.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_fixture(case: dict) -> None:
    if "error" in case:
        with pytest.raises(ScriptError) as caught:
            parse_script(case["script"], case.get("variant"))
        error, expected = caught.value, case["error"]
        got = {name: getattr(error, name) for name in ("code", "line", "column", "width", "message", "hint")}
        assert got | {"text": error.format()} == expected
        assert str(error) == expected["text"]
        return
    script, expected = parse_script(case["script"], case.get("variant")), case["runs"]
    assert script.variant.name == expected["variant"]
    assert (script.frames, script.document.length) == (expected["frames"], expected["length"])
    assert {name: lane for name, lane in script.document.lanes.items() if lane} == expected["tracks"]
    assert script.document.to_json()["markers"] == expected["markers"]
    fields = ("code", "line", "column", "width", "message")
    assert [{name: getattr(w, name) for name in fields} for w in script.warnings] == expected["warnings"]


def test_every_kind_of_error_has_a_case() -> None:
    folder = Path(parse_script.__code__.co_filename).parent
    source = "".join(path.read_text() for path in folder.glob("*.py"))
    codes = {case["error"]["code"] for case in CASES if "error" in case}
    assert len(codes) >= 38
    assert not [code for code in codes if f'"{code}"' not in source]
    assert {case["runs"]["variant"] for case in CASES if "runs" in case} == {"universal", "gta_drive", "templerun"}


def test_rows_of_the_example() -> None:
    script = parse_script("w 2\nw+left 2\nyaw(0 -> 0.1) 4")
    assert script.track.keyboard.tolist() == [[1, 0, 0, 0]] * 4 + [[0, 0, 0, 0]] * 4
    expected = [0, 0, -0.1, -0.1, 0, 0.025, 0.05, 0.075]
    np.testing.assert_allclose(script.track.mouse[:, 1], np.float32(expected), atol=1e-7)
    assert not script.track.mouse[:, 0].any()


def test_templerun_idle_is_a_key() -> None:
    track = parse_script("run 1, jump 1, at 4", TEMPLERUN).track
    assert track.keyboard.argmax(axis=1).tolist() == [0, 1, 0, 0]
    assert track.keyboard.sum(axis=1).tolist() == [1, 1, 1, 1]
    assert track.mouse is None


def test_easing_midpoints() -> None:
    for name, middle in (("linear", 0.5), ("smooth", 0.5), ("in", 0.25), ("out", 0.75)):
        track = parse_script(f"yaw(0 -> 1 {name}) 12; w").track
        assert track.mouse[6, 1] == pytest.approx(middle)
        assert track.mouse[0, 1] == 0
        assert (np.diff(track.mouse[:12, 1]) > 0).all()


def test_a_variant_may_be_given_by_name_or_value() -> None:
    assert parse_script("w", "gta_drive").variant is parse_script("w", GTA_DRIVE).variant is GTA_DRIVE
    assert parse_script("w").variant is UNIVERSAL
    with pytest.raises(MatrixGameError, match="no variant 'car'"):
        parse_script("w", "car")


def test_the_source_is_kept() -> None:
    assert parse_script("w 2b  # go").document.extra["source"] == {"kind": "script", "text": "w 2b  # go"}


BAD = {
    "nested repeats": "repeat 90009 { " * 16 + "w 1" + " }" * 16,
    "repeats too deep": "repeat 90009 { " * 5000,
    "braces": "{" * 60_000,
    "repeats too long": "repeat 300 { repeat 300 { w 1b } }",
    "a long number": "w " + "9" * 60_000,
    "markers repeated": "repeat 90009 { :a; :b; :c; w 1 }",
    "many markers": "repeat 1000 {" + ":a;" * 1000 + "w 1 }",
    "many markers after many frames": "repeat 90000 { w+left 1 }\n" + ":a;" * 1001,
    "marker past the end": "repeat 90000 { w+left 1 }\n:a at 90020",
    "too long at the end": "w 1;" * 5000 + "d 90000",
    "warnings": "@length 9\n" + "w+s+yaw(0.9) 1;" * 4000 + "nonsense",
    "steps": "w 1;" * 14_000 + "nonsense",
    "camera": "w+look(0.012, -0.034) 1\n" * 4500 + "nonsense",
    "spaces": "w   +   left ( 0.1 )   1 ;" * 7000 + "nonsense",
    "lane": "keys: " + "w 1, " * 14_000 + "nonsense",
    "comments": "# a comment\nw 1  # another\n\n" * 20_000 + "nonsense",
    "more steps than are read": "w 1;" * 80_000 + "nonsense",
    "open string": '"' * 60_000,
    "a long word": "w" * 60_000,
    "empty lines": "\n" * 60_000 + "&",
    "a long chord": "w+" * 30_000,
    "five megabytes of one word": "x" * 5_000_000,
    "five megabytes of steps": "w 1\n" * 1_250_000,
}


def calls_of(text: str) -> int:
    """How many Python functions run until `text` is refused."""
    with counted_calls() as calls, pytest.raises(ScriptError):
        parse_script(text)
    return len(calls)


@pytest.mark.parametrize("name", BAD)
def test_bad_scripts_are_refused_quickly(name: str) -> None:
    """0.2 s on an ordinary machine: here the work is counted, and the time has a wide margin."""
    assert calls_of(BAD[name]) <= 12 * MAX_TOKENS
    start = time.process_time()
    with pytest.raises(ScriptError):
        parse_script(BAD[name])
    assert time.process_time() - start < 1.5


def test_more_words_than_the_limit_are_not_read() -> None:
    with pytest.raises(ScriptError, match="more than 60000 words") as caught:
        parse_script("w 1\n" * 30_000)
    assert (caught.value.code, caught.value.line, caught.value.column) == ("too-much-text", 20_001, 1)
    assert len(parse_script("w 1\n" * 20_000 + "\n# the end").track) == 20_000
    assert len(tokens("w 1;" * 200_000)) == MAX_TOKENS + 1


def test_nothing_is_longer_than_the_limit() -> None:
    assert parse_script(f"@length {MAX_FRAMES}\nw 1").document.length == MAX_FRAMES
    assert len(parse_script("repeat 90009 { w+left 1 }").track) == MAX_FRAMES


def test_at_most_a_hundred_warnings() -> None:
    assert len(parse_script("w+s 1;" * 300).warnings) == 100


def test_printing_gives_steps_where_no_ramp_is_cut() -> None:
    text = "@variant universal\nw 2b\nw+left 6\nyaw(0 -> 0.1 smooth) 18\n"
    assert print_script(parse_script(text).document) == text


def test_printing_gives_lanes_where_steps_would_cut_a_ramp() -> None:
    text = print_script(parse_script("keys: w 12, d 12\nyaw: yaw(0 -> 0.1) 24").document)
    assert text == "@variant universal\nkeys: w 1b, d 1b\nyaw: yaw(0 -> 0.1) 2b\n"


def test_long_lanes_are_wrapped() -> None:
    text = print_script(parse_script("keys: " + "w 5, d 5, " * 60 + "w 1\nyaw: yaw(0 -> 0.1) 600").document)
    assert max(len(line) for line in text.splitlines()) <= 100
    assert len(text.splitlines()) > 8


def same(a: Timeline, b: Timeline) -> bool:
    return (a.variant, a.length, a.lanes, a.markers) == (b.variant, b.length, b.lanes, b.markers)


def test_fuzz_documents_print_and_parse() -> None:
    rng = random.Random(1)
    for _ in range(2000):
        timeline = generate.timeline(rng)
        text = print_script(timeline)
        assert same(parse_script(text).document, timeline), text


def test_fuzz_tracks_print_and_parse() -> None:
    rng = random.Random(2)
    for _ in range(1000):
        track = generate.track(rng)
        text = print_script(track)
        assert parse_script(text, track.variant).track == track, text


def attempt(text: str, kind: Variant) -> Script | ScriptError:
    try:
        return parse_script(text, kind)
    except ScriptError as error:
        return error


def test_fuzz_scripts() -> None:
    rng = random.Random(3)
    refused = 0
    for i in range(7000):
        kind = generate.variant(rng)
        text = generate.script(rng, kind)
        if i % 3:
            text = generate.broken(rng, text)
        script = attempt(text, kind)
        if isinstance(script, ScriptError):
            refused += 1
            assert script.format().startswith(f"script:{script.line}:{script.column}: error: ")
            assert 1 <= script.line <= text.count("\n") + 1
            continue
        assert len(script.track) == script.frames <= script.document.length <= MAX_FRAMES
        again = parse_script(print_script(script.document))
        assert same(again.document, script.document), text
    assert 1500 < refused < 6000
