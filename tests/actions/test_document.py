"""The timeline document: its checks against the published schema, migrations, and nothing lost on the way."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from comfyui_matrixgame.actions import check_document as limits
from comfyui_matrixgame.actions import document
from comfyui_matrixgame.actions.check_document import MAX_FRAMES, NewerVersionError, check_document
from comfyui_matrixgame.actions.document import Timeline, legal_length, migrate, save_document
from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.actions.script.lexer import ScriptError
from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.errors import ActionError
from comfyui_matrixgame.variants import GTA_DRIVE, TEMPLERUN, UNIVERSAL

from . import generate
from .documents import BOTH_REFUSE, RELATIONS, example, mutated, templerun

SCHEMA = json.loads((Path(document.__file__).parent / "timeline.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def message_of(data: Any) -> str | None:
    try:
        check_document(data)
    except ActionError as error:
        return str(error)
    return None


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$defs"]["row"]["maximum"] == SCHEMA["properties"]["length"]["maximum"] == MAX_FRAMES
    assert SCHEMA["properties"]["markers"]["maxItems"] == limits.MAX_MARKERS
    assert SCHEMA["$defs"]["seeds"]["maxItems"] == limits.MAX_SEEDS
    assert SCHEMA["$defs"]["seeds"]["items"]["prefixItems"][1]["maximum"] == limits.MAX_SEED
    assert SCHEMA["properties"]["branches"]["maxItems"] == limits.MAX_BRANCHES
    assert SCHEMA["$defs"]["name"]["maxLength"] == limits.MAX_NAME


@pytest.mark.parametrize(("data", "place"), BOTH_REFUSE, ids=[f"{i}-{p}" for i, (_, p) in enumerate(BOTH_REFUSE)])
def test_schema_and_checker_refuse(data: Any, place: str) -> None:
    assert not VALIDATOR.is_valid(data)
    assert place in (message_of(data) or "")


@pytest.mark.parametrize(("data", "place"), RELATIONS, ids=[f"{i}-{p[:20]}" for i, (_, p) in enumerate(RELATIONS)])
def test_checker_refuses_more(data: Any, place: str) -> None:
    assert VALIDATOR.is_valid(data)
    assert place in (message_of(data) or "")


@pytest.mark.parametrize(
    "data",
    [
        example(),
        example(markers=None, branches=None, loop=None),
        {key: example()[key] for key in ("format", "version", "variant", "length", "tracks")},
        example(length=9.0, tracks={"w": [[0.0, 9]]}, markers=[], branches=[], loop=[0, 9], seeds=[[8.0, 1]]),
        example(tracks={"yaw": [[590, 0, "linear", 24, 0.1]]}),
        example(active="b1"),
        example(seeds=None),
        example(seeds=[], active="b1"),
        example(colour="red", later={"a": [1]}),
        templerun(jump=[[0, 12]], slide=[[12, 12]]),
        example(variant="gta_drive", tracks={"pitch": [], "yaw": [[0, 1]]}, branches=[]),
        example(variant="gta_drive", tracks={"pitch": [[0, 0], [9, 0, "in", 12, -0.0]]}, branches=[]),
    ],
    ids=range(12),
)
def test_both_accept(data: Any) -> None:
    assert message_of(data) is None
    VALIDATOR.validate(data)
    VALIDATOR.validate(Timeline.from_json(data).to_json())


def test_fuzz_the_checker_accepts_no_more_than_the_schema() -> None:
    rng = random.Random(5)
    accepted = 0
    for i in range(3000):
        data = generate.timeline(rng).to_json() if i % 2 else example()
        for _ in range(rng.randint(1, 2)):
            data = mutated(rng, data)
        message = message_of(data)
        if message is None:
            accepted += 1
            assert VALIDATOR.is_valid(data), data
            Timeline.from_json(data).track()
        else:
            assert message.startswith(("Timeline, ", "A timeline must", "This timeline is version"))
    assert 200 < accepted < 2500


def test_fuzz_documents_survive_json() -> None:
    rng = random.Random(6)
    for _ in range(1000):
        timeline = generate.timeline(rng)
        again = Timeline.from_text(timeline.to_text())
        assert again == timeline
        assert again.track() == timeline.track()


def test_fuzz_tracks_survive_a_document() -> None:
    rng = random.Random(7)
    for _ in range(1000):
        track = generate.track(rng)
        timeline = Timeline.from_text(Timeline.from_track(track).to_text())
        assert timeline.length == legal_length(len(track))
        assert timeline.track(len(track)) == track
        rest = timeline.track().slice(len(track)) if timeline.length > len(track) else None
        if rest is not None:
            assert rest == ActionTrack.idle(track.variant, len(rest))


def test_fuzz_broken_json_text() -> None:
    rng = random.Random(8)
    text = json.dumps(example())
    for _ in range(1000):
        try:
            Timeline.from_text(generate.broken(rng, text))
        except ActionError as error:
            assert "imeline" in str(error)  # noqa: PT017
    for text in ("", "[" * 100_000, "1" * 5000, "NaN", '{"a":' * 2000):
        with pytest.raises(ActionError):
            Timeline.from_text(text)


def test_lengths() -> None:
    assert [legal_length(n) for n in (0, 1, 9, 10, 21, 22, 597, 598, MAX_FRAMES)] == [
        9,
        9,
        9,
        21,
        21,
        33,
        597,
        609,
        MAX_FRAMES,
    ]


def test_unknown_keys_stay() -> None:
    data = example(colour={"deep": [1, 2]}, zoom=3)
    out = Timeline.from_json(data).to_json()
    assert {key: out[key] for key in ("colour", "zoom", "source", "meta")} == {
        key: data[key] for key in ("colour", "zoom", "source", "meta")
    }
    assert out["branches"] == data["branches"]


def test_entries_that_change_nothing_go() -> None:
    curve = [[0, 0], [5, 0.1], [9, 0.1], [20, 0.1, "smooth", 5, 0.1], [30, 0.1, "in", 6, 0], [36, 0], [40, -0.0]]
    timeline = Timeline.from_json(example(tracks={"yaw": curve}))
    assert timeline.lanes["yaw"] == [[5, 0.1], [30, 0.1, "in", 6, 0]]
    raw = document.track_of_lanes(UNIVERSAL, {"yaw": curve}, 597)
    assert timeline.track().with_seeds(()) == raw


def test_ramps_are_half_open() -> None:
    track = Timeline.from_json(example(tracks={"yaw": [[0, 0, "linear", 4, 0.4], [8, 0.1]]})).track()
    np.testing.assert_allclose(track.mouse[:10, 1], [0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4, 0.1, 0.1], atol=1e-7)


def test_templerun_runs_where_nothing_is_held() -> None:
    track = Timeline.from_json(templerun(jump=[[12, 3]])).track()
    assert track.keyboard[:12, 0].all()
    assert track.keyboard[12:15].argmax(axis=1).tolist() == [1, 1, 1]
    assert track.variant is TEMPLERUN


def test_the_active_branch_is_used() -> None:
    plain, branch = Timeline.from_json(example()), Timeline.from_json(example(active="b1"))
    assert plain.track().keyboard[:, 3].sum() == 12
    assert branch.track().keyboard[:, 3].sum() == 0
    np.testing.assert_array_equal(branch.track().keyboard[:, 0], plain.track().keyboard[:, 0])


def test_pitch_of_a_variant_without_pitch_is_refused() -> None:
    track = ActionTrack(GTA_DRIVE, np.zeros((9, 2), np.float32), np.full((9, 2), 0.1, np.float32))
    with pytest.raises(ActionError, match="gta_drive never uses pitch"):
        Timeline.from_track(track)


def test_newer_versions_are_refused_and_never_overwritten(tmp_path: Path) -> None:
    data = {"format": "matrixgame.timeline", "version": 2, "secret": "kept"}
    with pytest.raises(NewerVersionError, match="version 2"):
        Timeline.from_json(data)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data))
    with pytest.raises(NewerVersionError, match="was not overwritten"):
        save_document(Timeline.from_json(example()), path)
    assert json.loads(path.read_text()) == data
    save_document(Timeline.from_json(example()), tmp_path / "b.json")
    save_document(Timeline.from_json(example(length=609)), tmp_path / "b.json")
    assert Timeline.from_text((tmp_path / "b.json").read_text()).length == 609


def test_migrations_run_one_after_the_other_and_change_no_input() -> None:
    steps = {
        -1: lambda d: {**d, "version": 0, "frames": d["rows"]},
        0: lambda d: {
            **{k: v for k, v in d.items() if k not in ("frames", "rows")},
            "version": 1,
            "length": d["frames"],
        },
    }
    old = {**{k: v for k, v in example().items() if k != "length"}, "version": -1, "rows": 597}
    before = copy.deepcopy(old)
    assert migrate(old, steps) == example()
    assert old == before
    assert migrate(example(), steps) == example()
    with pytest.raises(ActionError, match="made version 5"):
        migrate(old, {-1: lambda d: {**d, "version": 5}})


def _with_source(script: str, text: str, **changes: Any) -> str:
    document = parse_script(script).document.to_json() | changes
    return json.dumps(document | {"source": {"kind": "script", "text": text}})


def test_a_document_is_refused_where_its_script_is_broken_or_says_something_else() -> None:
    loaded = read_text(_with_source("w 12; yaw(0 -> 0.1 smooth) 24", "w 12\nyaw(0 -> 0.1 smooth) 24  # again"))
    assert len(loaded.track) == 45
    with pytest.raises(ScriptError, match="script:2:1: error: unknown action 'fly'"):
        read_text(_with_source("w 12", "w 12\nfly 3"))
    for changed in ("w 13", "w 24", "w+left 12", "a 12"):
        with pytest.raises(ActionError, match="not those of the script it says it was made from"):
            read_text(_with_source("w 12", changed))
    with pytest.raises(ScriptError, match="the script is for templerun"):
        read_text(_with_source("w 12", "@variant templerun\njump 12"))
    for other in ({"kind": "recording", "text": "fly 3"}, {"kind": "script"}, "fly 3", None):
        document = parse_script("w 12").document.to_json() | {"source": other}
        assert len(read_text(json.dumps(document)).track) == 21


def test_a_branch_is_chosen_by_name_or_id() -> None:
    branches = [
        {"id": "b1", "name": "left turn", "fork": 0, "tracks": {"d": [[0, 12]]}},
        {"id": "b2", "name": "b1", "fork": 0, "tracks": {"a": [[0, 12]]}},
        {"id": "b3", "name": "twice", "fork": 0, "tracks": {}},
        {"id": "b4", "name": "twice", "fork": 0, "tracks": {}},
    ]
    loaded = read_text(_with_source("w 12", "w 12", branches=branches, active="b2"))
    held = {name: loaded.on_branch(name).track.keyboard[0].tolist() for name in ("main", "left turn", "b1", "b2", "b4")}
    assert held == {
        "main": [1, 0, 0, 0], "left turn": [1, 0, 0, 1], "b1": [1, 0, 0, 1], "b2": [1, 0, 1, 0], "b4": [1, 0, 0, 0],
    }  # fmt: skip
    other = loaded.on_branch("left turn").timeline
    assert other is not None
    assert read_text(other.to_text()).track.keyboard[0].tolist() == [1, 0, 0, 1]
    with pytest.raises(ActionError, match=r"no branch 'right'.*main, left turn, b1, twice"):
        loaded.on_branch("right")
    with pytest.raises(ActionError, match=r"2 branches 'twice'.*b3, b4"):
        loaded.on_branch("twice")
    with pytest.raises(ActionError, match="Only a timeline file has branches, and this is script"):
        read_text("w 12").on_branch("main")


def test_the_script_of_a_branch_counts_while_it_is_in_use() -> None:
    branch = {"id": "b", "name": "b", "fork": 0, "tracks": {"w": [], "d": [[0, 12]]}}
    assert len(read_text(_with_source("w 12", "d 12", branches=[branch], active="b")).track) == 21
    assert len(read_text(_with_source("w 12", "w 12", branches=[branch], active="b")).track) == 21
    with pytest.raises(ActionError, match="not those of the script"):
        read_text(_with_source("w 12", "s 12", branches=[branch], active="b"))
