"""Timeline documents that can be read, those that cannot, and random ones."""

from __future__ import annotations

import copy
import random
from typing import Any


def example(**changes: Any) -> dict[str, Any]:
    base = {
        "format": "matrixgame.timeline",
        "version": 1,
        "variant": "universal",
        "fps": 25,
        "length": 597,
        "tracks": {
            "w": [[0, 98]],
            "d": [[68, 6], [80, 6]],
            "yaw": [[24, -0.1], [62, 0], [98, 0, "smooth", 24, 0.1]],
            "pitch": [],
        },
        "markers": [{"t": 98, "name": "look around", "pin": True}],
        "loop": [0, 98],
        "branches": [
            {"id": "b1", "name": "left turn", "fork": 68, "tracks": {"d": []}, "thumb": "h:9f2c", "seeds": [[60, 7]]}
        ],
        "active": None,
        "seeds": [[12, 9], [300, 2**53 - 1]],
        "source": {"kind": "script", "text": "w 2b"},
        "meta": {"created": "2026-11-22T08:10:00Z"},
    }
    return {**base, **changes}


def templerun(**tracks: Any) -> dict[str, Any]:
    return example(variant="templerun", tracks=tracks, branches=[])


# what is wrong, the place that the message must name
BOTH_REFUSE = [
    ([], "A timeline must be a JSON object"),
    ("w", "A timeline must be"),
    (example(format="tasproj"), "format"),
    (example(version=0), "version"),
    (example(version="1"), "version"),
    (example(version=True), "version"),
    (example(version=1.5), "version"),
    (example(variant="car"), "variant"),
    (example(variant=["universal"]), "variant"),
    (example(fps=12), "fps"),
    (example(fps=True), "fps"),
    (example(length=8), "length"),
    (example(length=90021), "length"),
    (example(length="597"), "length"),
    (example(length=True), "length"),
    (example(tracks=None), "tracks"),
    (example(tracks=[]), "tracks"),
    (example(tracks={"jump": []}), "tracks.jump"),
    (example(tracks={"w": None}), "tracks.w"),
    (example(tracks={"w": [3]}), "tracks.w[0]"),
    (example(tracks={"w": [[0]]}), "tracks.w[0]"),
    (example(tracks={"w": [[0, 1], [9, 0]]}), "tracks.w[1]"),
    (example(tracks={"w": [[-1, 3]]}), "tracks.w[0]"),
    (example(tracks={"w": [[0.5, 3]]}), "tracks.w[0]"),
    (example(tracks={"w": [[0, True]]}), "tracks.w[0]"),
    (example(tracks={"w": [[0, 1, 2]]}), "tracks.w[0]"),
    (example(tracks={"yaw": [[0, 2]]}), "tracks.yaw[0][1]"),
    (example(tracks={"yaw": [[0, "0.1"]]}), "tracks.yaw[0][1]"),
    (example(tracks={"yaw": [[0, 0.1, "linear"]]}), "tracks.yaw[0]"),
    (example(tracks={"yaw": [[0, 0, "bounce", 12, 0.1]]}), "tracks.yaw[0][2]"),
    (example(tracks={"yaw": [[0, 0, ["in"], 12, 0.1]]}), "tracks.yaw[0][2]"),
    (example(tracks={"yaw": [[0, 0, "linear", 0, 0.1]]}), "tracks.yaw[0][3]"),
    (example(tracks={"yaw": [[0, 0, "linear", 12, -1.5]]}), "tracks.yaw[0][4]"),
    (example(variant="gta_drive", tracks={"pitch": [[0, 0.1]]}, branches=[]), "tracks.pitch"),
    (example(variant="gta_drive", tracks={"pitch": [[0, 0, "in", 12, 0.1]]}, branches=[]), "tracks.pitch"),
    (example(variant="gta_drive", tracks={"a": []}, branches=[]), "tracks.a"),
    (templerun(yaw=[]), "tracks.yaw"),
    (templerun(idle=[]), "tracks.idle"),
    (example(markers={}), "markers"),
    (example(markers=[{"t": 1, "name": "x"}] * 1001), "markers"),
    (example(markers=["x"]), "markers[0]"),
    (example(markers=[{"t": -1, "name": "x"}]), "markers[0].t"),
    (example(markers=[{"t": 1}]), "markers[0].name"),
    (example(markers=[{"t": 1, "name": ""}]), "markers[0].name"),
    (example(markers=[{"t": 1, "name": "x" * 201}]), "markers[0].name"),
    (example(markers=[{"t": 1, "name": "a\nb"}]), "markers[0].name"),
    (example(markers=[{"t": 1, "name": "x", "pin": 1}]), "markers[0].pin"),
    (example(loop=[0]), "loop"),
    (example(loop=[0, 0]), "loop"),
    (example(loop=5), "loop"),
    (example(branches={}), "branches"),
    (example(branches=[1]), "branches[0]"),
    (example(branches=[{"name": "a", "fork": 0, "tracks": {}}]), "branches[0].id"),
    (example(branches=[{"id": "a", "fork": 0, "tracks": {}}]), "branches[0].name"),
    (example(branches=[{"id": "a", "name": "a", "fork": -1, "tracks": {}}]), "branches[0].fork"),
    (example(branches=[{"id": "a", "name": "a", "fork": 0, "tracks": {"x": []}}]), "branches[0].tracks.x"),
    (example(active=3), "active"),
    (example(seeds={}), "seeds"),
    (example(seeds=[[t, 1] for t in range(1001)]), "seeds"),
    (example(seeds=[7]), "seeds[0]"),
    (example(seeds=[[7]]), "seeds[0]"),
    (example(seeds=[[0, 0.5]]), "seeds[0]"),
    (example(seeds=[[0, True]]), "seeds[0]"),
    (example(seeds=[[-1, 7]]), "seeds[0][0]"),
    (example(seeds=[[0, -7]]), "seeds[0][1]"),
    (example(seeds=[[0, 2**53]]), "seeds[0][1]"),
    (example(branches=[{"id": "a", "name": "a", "fork": 0, "tracks": {}, "seeds": [[0]]}]), "branches[0].seeds[0]"),
]

# faults between values, which a schema cannot say
RELATIONS = [
    (example(length=596), "length: must be 9, 21, 33, ... (9 + 12 n); the nearest to 596 are 585 and 597"),
    (example(tracks={"w": [[590, 8]]}), "tracks.w[0]: must be over by row 597"),
    (example(tracks={"w": [[9, 3], [0, 3]]}), "tracks.w[1]"),
    (example(tracks={"w": [[0, 3], [3, 3]]}), "join runs that touch"),
    (example(tracks={"w": [[0, 6], [3, 6]]}), "tracks.w[1]"),
    (example(tracks={"yaw": [[597, 0.1]]}), "tracks.yaw[0][0]"),
    (example(tracks={"yaw": [[5, 0.1], [5, 0.2]]}), "tracks.yaw[1]"),
    (example(tracks={"yaw": [[0, 0, "in", 12, 0.1], [11, 0]]}), "tracks.yaw[1]"),
    (example(tracks={"yaw": [[0, float("nan")]]}), "tracks.yaw[0][1]"),
    (templerun(jump=[[0, 12]], slide=[[6, 12]]), "row 6 has both jump and slide"),
    (example(markers=[{"t": 598, "name": "x"}]), "markers[0].t"),
    (example(loop=[98, 12]), "loop"),
    (example(loop=[0, 598]), "loop"),
    (example(branches=[{"id": "a", "name": "a", "fork": 0, "tracks": {}}] * 2), "branches[1].id"),
    (example(active="b2"), "active"),
    (example(seeds=[[597, 1]]), "seeds[0][0]"),
    (example(seeds=[[12, 1], [12, 2]]), "seeds[1][0]"),
    (example(seeds=[[24, 1], [12, 2]]), "seeds[1][0]"),
]


def mutated(rng: random.Random, value: Any) -> Any:
    """`value` with one random part replaced by junk."""
    junk = [None, True, -1, 0, 1, 0.5, 2, 13, 1e9, 10**400, "", "in", "w", [], {}, [0, 1], [[0, 1]], [0, 0.1]]
    if rng.random() < 0.25 or not isinstance(value, (dict, list)) or not value:
        return rng.choice(junk)
    out = copy.copy(value)
    key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
    if rng.random() < 0.15:
        del out[key]
    else:
        out[key] = mutated(rng, value[key])
    return out
