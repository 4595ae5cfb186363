"""Camera Paths in a real ComfyUI: one graph renders every script, each file named by its script."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from comfyui_matrixgame.media.video import read_video
from comfyui_matrixgame.world import Models

from ..graphs import Graph, Link
from ..runs import (
    engine_frames,
    mistakes,
    reject,
    save_images,
    saved_images,
    succeed,
)
from ..server import Host
from ..worlds import add_models, add_video, add_world

SCRIPTS = {"turn right": "w+right(0.1) 8f\nw 1f", "walk": "w 9f", "back": "s 21f"}
TEXT = "".join(f"--- {name}\n{script}\n" for name, script in SCRIPTS.items())


def paths_graph(scripts: str, file: str = "(none)", seed: int = 7) -> tuple[Graph, Link, Link]:
    """From the image to the Roll Out of all scripts; returns the graph, Camera Paths and Roll Out."""
    graph = Graph()
    world = add_world(graph, *add_models(graph), seed=seed)
    paths = graph.add("MatrixGameCameraPaths", variant="universal", scripts=scripts, file=file)
    rolled = graph.add("MatrixGameRollOut", world=world, actions=paths[0], images="when connected")
    return graph, paths, rolled


def test_one_graph_renders_all_scripts(host: Host, base: Path, models: Models) -> None:
    graph, paths, rolled = paths_graph(TEXT)
    save_images(graph, rolled[0], paths[1])
    add_video(graph, rolled, paths[1])
    kept = set((host.base / "temp" / "matrixgame").glob("latents_*"))
    run = succeed(host, graph)
    for name, script in SCRIPTS.items():
        frames = saved_images(host, name)
        np.testing.assert_array_equal(frames, engine_frames(models, base, script, seed=7))
        (video,) = host.output_files(f"{name}_*.mp4")
        assert len(list(read_video(video))) == len(frames)
    assert [run.executed.count(link.node) for link in (paths, rolled)] == [1, 1]
    worlds = set((host.base / "temp" / "matrixgame").glob("latents_*")) - kept
    assert len(worlds) == 1  # the start's; those after the scripts are not kept, as nothing is connected to them


def test_worlds_are_kept_where_something_goes_on_from_them(host: Host, base: Path, models: Models) -> None:
    graph, _, rolled = paths_graph("--- on a\nw+right(0.1) 8f\n--- on b\nw 8f", seed=8)
    more = graph.add("MatrixGameActionTimeline", variant="universal", script="w 12f")
    second = graph.add("MatrixGameRollOut", world=rolled[2], actions=more, images="when connected")
    save_images(graph, second[0], "onward")
    succeed(host, graph)
    first, other = (engine_frames(models, base, f"{go} 8f\nw 13f", seed=8)[9:] for go in ("w+right(0.1)", "w"))
    np.testing.assert_array_equal(saved_images(host, "onward"), np.concatenate([first, other]))


def test_a_list_of_worlds_is_passed_on_and_not_kept_under_one_name(host: Host) -> None:
    graph, _, rolled = paths_graph("--- list a\nw+right(0.1) 8f\n--- list b\ns 8f", seed=10)
    cached = graph.add(
        "MatrixGameWorldCache", model=Link("1", 0), vae=Link("2", 0), name="listed", mode="automatic", limit_gb=1.0,
        world=rolled[2],
    )  # fmt: skip
    more = graph.add("MatrixGameActionTimeline", variant="universal", script="w 12f")
    second = graph.add("MatrixGameRollOut", world=cached, actions=more, images="when connected")
    save_images(graph, second[0], "listed")
    for _ in range(2):
        texts = succeed(host, graph).texts
        assert any(node == cached.node and "keeps no world of a list" in text for node, text in texts)
        host.free()
    frames = saved_images(host, "listed")
    assert len(frames) == 2 * 24
    assert (frames[:12] != frames[12:24]).mean() > 0.1
    np.testing.assert_array_equal(frames[:24], frames[24:])


def test_scripts_of_a_file_follow_those_of_the_text_and_its_content_counts(host: Host) -> None:
    file = host.base / "input" / "more paths.mgs"
    file.write_text("--- from a file\nd 9f\n")
    graph, paths, rolled = paths_graph("--- from the text\nw 9f", file.name, seed=9)
    add_video(graph, rolled, paths[1])
    assert rolled.node in succeed(host, graph).executed
    assert [path.name for path in host.output_files("from *.mp4")] == [
        "from the text_00001_.mp4",
        "from a file_00001_.mp4",
    ]
    assert rolled.node not in succeed(host, graph).executed
    file.write_text("--- from a new file\na 9f\n")
    assert paths.node in succeed(host, graph).executed
    assert host.output_files("from a new file_*.mp4")


def test_what_is_wrong_is_said_before_anything_runs(host: Host) -> None:
    (host.base / "input" / "broken.mgs").write_text("w 9f\n---\n\nfly 9f\n")
    (host.base / "input" / "no text.csv").write_bytes(b"\xff\xfe\0")
    for scripts, file, told in (
        ("--- good\nw 9f\n--- bad\nw 9f\nfly 9f", "(none)", "script 'bad':5:1: error: unknown action 'fly'"),
        ("", "broken.mgs", "broken.mgs, script 'broken 2':4:1: error: unknown action 'fly'"),
        ("", "no text.csv", "no text.csv is not text in UTF-8"),
        ("", "(none)", "There are no scripts"),
        ("--- a\nw 9f\n--- a\nw 9f", "(none)", "Two scripts are called 'a'"),
        ("--- ../../a\nw 9f", "(none)", "cannot be that of a video"),
        ("w 9f", "../secret.mgs", "value_not_in_list"),
        ("w 9f", "example.png", "value_not_in_list"),
        ("w 9f", "missing.mgs", "value_not_in_list"),
        ("w 1\n---\n" * 300, "(none)", "more than 256 scripts"),
    ):
        graph, paths, rolled = paths_graph(scripts, file)
        add_video(graph, rolled, paths[1])
        assert told in reject(host, graph), told
        assert len(mistakes(host, graph)) == 1, told
