"""`matrixgame` as a person uses it: exit status, one sentence for each mistake, files that are right."""

from __future__ import annotations

import errno
import json
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.checkpoints.untrained import write_small_files
from comfyui_matrixgame.compute.devices import fit_threads
from comfyui_matrixgame.measure.reports import check_report
from comfyui_matrixgame.media.video import VideoWriter, part_of, read_video
from comfyui_matrixgame.terminal.main import main
from comfyui_matrixgame.variants import TEMPLERUN, UNIVERSAL
from comfyui_matrixgame.weights import find_files
from comfyui_matrixgame.world import World, load_world

from ..weights.files import generator_tensors, save
from ..weights.loras import lora

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("terminal")
    for variant in (UNIVERSAL, TEMPLERUN):
        write_small_files(folder, variant)
    Image.effect_noise((200, 110), 60).convert("RGB").save(folder / "image.png")
    return folder


def render(folder: Path, *extra: str, variant: str = "universal") -> list[str]:
    return [
        "render", str(folder / "image.png"),
        "--generator", str(folder / f"untrained_generator_{variant}.safetensors"),
        "--vae", str(folder / f"untrained_vae_{variant}.safetensors"),
        "--clip", str(folder / f"untrained_clip_{variant}.safetensors"),
        "--size", "64x32", "--dtype", "float32", "--device", "cpu", *extra,
    ]  # fmt: skip


def frames(path: Path) -> int:
    return sum(1 for _ in read_video(path))


def test_render(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "v.mp4"
    assert main(render(folder, "--actions", "w 1b; w+left 1b", "-o", str(output))) == 0
    assert frames(output) == 33
    said = capsys.readouterr().err
    for part in ("memory, estimated", "block 3 of 3", "12/12", "frames a second end to end", "last row is repeated"):
        assert part in said


def test_another_seed_from_a_block_on(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    worlds = [tmp_path / f"{name}.safetensors" for name in ("said", "written", "stopped")]
    one, two, three = [["-o", str(path.with_suffix(".mp4")), "--world", str(path)] for path in worlds]
    again = ["--seed", "3", "--seed-at", "1:7"]
    assert main(render(folder, "--actions", "w 3b", "--blocks", "3", *again, *one)) == 0
    assert main(render(folder, "--actions", "w 1b; seed 7; w 2b", "--blocks", "3", "--seed", "3", *two)) == 0
    for blocks in ("2", "3"):
        assert main(render(folder, "--actions", "w 3b", "--blocks", blocks, *again, *three)) == 0
    made = [load_world(path) for path in worlds]
    assert {world.seeds for world in made} == {(7,)}
    assert len({world.names for world in made}) == 1
    capsys.readouterr()
    assert main(render(folder, "--actions", "w 3b", "--blocks", "3", "--seed-at", "5:7", *one)) == 1
    assert "--seed-at 5:7: this render has blocks 0 to 2; name one of them" in capsys.readouterr().err
    assert main(render(folder, "--seed-at", "7")) == 2
    assert "a block and a seed from 0 to" in capsys.readouterr().err


def test_steps_window_and_sink_can_be_tried(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    walk = ["--actions", "w 3b", "--world"]
    own = ["--steps", "1000,500", "--window", "9", "--sink", "1"]
    video, world = tmp_path / "v.mp4", tmp_path / "w.safetensors"
    assert main(render(folder, *walk, str(world), *own, "--blocks", "2", "-o", str(video))) == 0
    said = capsys.readouterr().err
    assert "steps 1000,500, window 9, sink 1, in place of steps 1000,666,333, window 6, sink 0" in said
    assert load_world(world).variant.steps == (1000, 500)
    assert main(render(folder, *walk, str(world), "-o", str(video))) == 1
    said = capsys.readouterr().err
    assert "was made with steps 1000,500, window 9, sink 1, the generator" in said
    assert "?pass/s" not in said  # no bar of what is never begun
    assert main(render(folder, *walk, str(world), *own, "--blocks", "3", "-o", str(video))) == 0
    whole = tmp_path / "whole.mp4"
    assert main(render(folder, *walk, str(tmp_path / "other"), *own, "--blocks", "3", "-o", str(whole))) == 0
    assert whole.read_bytes() == video.read_bytes()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--window", "2"], "from 3 (one block) to 1000"),
        (["--sink", "4"], "leaves no room for a block in a window of 6"),
        (["--steps", "500,1000"], "each lower than the one before, such as 1000,750,500,250"),
    ],
)
def test_what_makes_no_sense_to_try(
    options: list[str], says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(render(folder, *options))
    except SystemExit as end:  # of argparse
        status = int(end.code or 0)
    assert status in (1, 2)
    assert says in capsys.readouterr().err


def test_a_lora_brings_its_steps(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = lora(generator_tensors())
    fast = save(tmp_path / "fast.safetensors", tensors, {"matrixgame": '{"steps": [1000, 500]}'})
    plain = save(tmp_path / "plain.safetensors", tensors)
    walk = ["--actions", "w 2b", "--dtype", "float32", "--world"]

    def made(name: str, *extra: str) -> tuple[World, str]:
        world, video = tmp_path / f"{name}.world", tmp_path / f"{name}.mp4"
        assert main(render(folder, *walk, str(world), *extra, "-o", str(video))) == 0
        return load_world(world), capsys.readouterr().err

    quick, said = made("quick", "--lora", str(fast), "--blocks", "1")
    assert "LoRA fast.safetensors; it was distilled to the steps 1000,500" in said
    assert (quick.variant.steps, quick.variant.own.steps) == ((1000, 500), UNIVERSAL.steps)
    assert quick.loras == ("fast.safetensors",)
    style, _ = made("style", "--lora", f"{plain}:0.5")  # the same change, and no word of steps
    assert (style.variant, style.loras) == (UNIVERSAL, ("plain.safetensors:0.5",))
    none, _ = made("none", "--lora", f"{fast}:0")
    assert (none.variant, none.loras) == (UNIVERSAL, ())
    own, _ = made("own", "--lora", str(fast), "--steps", "1000,750,250")  # what the user says comes first
    assert own.variant.steps == (1000, 750, 250)
    assert len({world.names for world in (quick, style, none, own)}) == 4

    world, video = str(tmp_path / "quick.world"), str(tmp_path / "quick.mp4")
    assert main(render(folder, *walk, world, "--steps", "1000,500", "-o", video)) == 1
    assert (
        "made with the LoRA fast.safetensors, and the generator is loaded with no LoRA; load" in capsys.readouterr().err
    )
    assert main(render(folder, *walk, world, "--lora", f"{fast}:0.9", "-o", video)) == 1
    assert "is loaded with the LoRA fast.safetensors:0.9; load those" in capsys.readouterr().err
    assert main(render(folder, *walk, world, "--lora", str(fast), "--blocks", "2", "-o", video)) == 0
    made("whole", "--lora", str(fast), "--blocks", "2")
    assert (tmp_path / "whole.mp4").read_bytes() == Path(video).read_bytes()
    assert main(render(folder, "--lora", str(folder / "image.png"), "-o", video)) == 1
    assert "image.png is a PNG" in capsys.readouterr().err


def test_a_branch_is_rendered(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    branch = {"id": "b", "name": "other", "fork": 0, "tracks": {"w": [], "s": [[0, 9]]}}
    document = parse_script("w 9f").document.to_json() | {"branches": [branch]}
    (tmp_path / "take.json").write_text(json.dumps(document))
    take = ["--actions", str(tmp_path / "take.json"), "--blocks", "1"]
    videos = {}
    for name, more in {"plain": [], "main": ["--branch", "main"], "other": ["--branch", "other"]}.items():
        assert main(render(folder, *take, *more, "-o", str(tmp_path / f"{name}.mp4"))) == 0
        videos[name] = np.stack(list(read_video(tmp_path / f"{name}.mp4")))
    np.testing.assert_array_equal(videos["main"], videos["plain"])
    assert (videos["other"] != videos["plain"]).any()
    assert main(render(folder, *take, "--branch", "none")) == 1
    assert "it has main, other" in capsys.readouterr().err
    assert main(render(folder, "--keys", "w", "--branch", "other")) == 1
    assert "give its file with --actions" in capsys.readouterr().err


def test_in_pieces_is_the_same_video(folder: Path, tmp_path: Path) -> None:
    whole, pieces, world = tmp_path / "whole.mp4", tmp_path / "pieces.mp4", tmp_path / "w.safetensors"
    keys = ["--keys", "w", "--mouse", "0,0.1", "--seed", "4"]
    assert main(render(folder, *keys, "--blocks", "4", "-o", str(whole))) == 0
    for blocks in ("1", "3", "4"):
        more = ["--blocks", blocks, "--world", str(world), "-o", str(pieces)]
        assert main(render(folder, *keys, *more)) == 0
    assert load_world(world).block == 4
    assert (frames(whole), frames(pieces)) == (45, 45)
    difference = [abs(a.astype(int) - b).mean() for a, b in zip(read_video(whole), read_video(pieces), strict=True)]
    assert max(difference) < 20  # equal frames of noise, but the encoder began again at each piece
    assert max(difference[:9]) == 0  # taken over as they were
    assert main(render(folder, *keys, "--blocks", "4", "--world", str(world), "-o", str(pieces))) == 1


def test_a_world_goes_on_into_another_video(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As one that ComfyUI saved does: the world stands where the new video ends, and both can be continued."""
    first, other, world = tmp_path / "1.mp4", tmp_path / "2.mp4", tmp_path / "w.safetensors"
    files = ["--actions", "w 9; a 12; d 12; s 12; w 12", "--world", str(world)]
    assert main(render(folder, *files, "--blocks", "2", "-o", str(first))) == 0
    assert main(render(folder, *files, "--blocks", "4", "-o", str(other))) == 0
    assert (frames(other), load_world(world).block) == (24, 4)
    assert main(render(folder, *files, "--blocks", "5", "-o", str(other))) == 0
    assert (frames(other), load_world(world).block) == (36, 5)
    assert (
        main(
            render(folder, *files, "--blocks", "5", "-o", str(tmp_path / "whole.mp4"), "--world", str(tmp_path / "new"))
        )
        == 0
    )
    whole = np.stack(list(read_video(tmp_path / "whole.mp4"))).astype(int)
    difference = abs(whole[21:] - np.stack(list(read_video(other)))).mean(axis=(1, 2, 3))
    assert difference.max() < 20  # of noise, where the encoder began elsewhere; frames of another block are 60 off
    world.unlink()
    assert main(render(folder, *files, "--blocks", "1", "-o", str(first))) == 0
    assert main(render(folder, *files, "--blocks", "2", "-o", str(other))) == 1
    assert "2.mp4 begins at frame 21 and the world stands at frame 9" in capsys.readouterr().err


def test_a_world_goes_on_from_what_its_last_frame_should_look_like(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, last, there = tmp_path / "w.safetensors", tmp_path / "last.png", tmp_path / "there.png"
    video = ["-o", str(tmp_path / "v.mp4")]
    assert (
        main(render(folder, "--keys", "w", "--blocks", "2", "--world", str(before), "--last-frame", str(last), *video))
        == 0
    )
    data = before.read_bytes()
    picture = np.array(Image.open(last))
    Image.fromarray(255 - picture).save(there)
    Image.fromarray(np.uint8([[0] * 32 + [255] * 32] * 32)).save(tmp_path / "mask.png")

    def ahead(name: str, *extra: str, blocks: str = "1") -> World:
        world, new = str(tmp_path / name), ["--from-world", str(before)]
        outputs = ["--world", world, "-o", str(tmp_path / f"{name}.mp4")]
        assert main(render(folder, "--keys", "w", *new, *extra, "--blocks", blocks, *outputs)) == 0
        return load_world(world)

    plain = ahead("plain")
    assert ahead("same", "--change", str(last)).names == plain.names
    assert "whose last frames already look so" in capsys.readouterr().err
    whole = ahead("whole", "--change", str(there), blocks="2")
    pieces = [ahead("pieces", "--change", str(there), blocks=blocks) for blocks in ("1", "2")]
    assert [world.block for world in pieces] == [3, 4]
    assert pieces[1].names == whole.names
    assert torch.equal(pieces[1].recent[-1].latents, whole.recent[-1].latents)
    assert (tmp_path / "pieces.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    others = [["--change-mask", str(tmp_path / "mask.png")], ["--change-strength", "0.5"], ["--change-seen", "start"]]
    made = [ahead(f"other {i}", "--change", str(there), *other) for i, other in enumerate(others)]
    assert len({world.names for world in (plain, pieces[0], *made)}) == 5
    assert before.read_bytes() == data

    idle = ["--change-strength", "0.5", "--change-seen", "start", "--seed", "3"]
    capsys.readouterr()
    assert ahead("idle", *idle).names == plain.names
    said = capsys.readouterr().err
    assert "--change-strength and --change-seen without --change: no effect" in said
    assert "--seed beside --from-world: no effect" in said

    monkeypatch.setattr("comfyui_matrixgame.terminal.render.load_models", None)  # no weights are needed to refuse
    for extra, says in (
        (["--change", str(tmp_path / "none.png"), "--from-world", str(before)], "none.png"),
        (["--change", str(there), "--change-strength", "nan", "--from-world", str(before)], "from 0 to 10, got nan"),
    ):
        assert main(render(folder, "--keys", "w", *extra, "-o", str(tmp_path / "no.mp4"))) == 1
        assert says in capsys.readouterr().err
    monkeypatch.undo()
    Image.fromarray(picture[:16]).save(there)
    for extra, says in (
        (["--change", str(there)], "--change changes the last frames of a world; name the world's file"),
        (["--change", str(there), "--from-world", str(before)], "picture is 64x16 and the world's frames are 64x32"),
        (["--change", str(there), str(last), "--from-world", str(before)], "differ in size"),
        (["--from-world", str(before), "--continue-clip", str(video[1])], "leave out --continue-clip or --from-world"),
        (["--from-world", str(before), "--last-frame", "x.jpg"], "--last-frame x.jpg: it is written as .png"),
    ):
        assert main(render(folder, "--keys", "w", *extra, "-o", str(tmp_path / "no.mp4"))) == 1
        assert says in capsys.readouterr().err
    assert not (tmp_path / "no.mp4").exists()


def test_a_world_goes_on_as_what_it_is(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever picture, seed and size the command names."""
    files = ["--keys", "w", "--world", str(tmp_path / "w.safetensors"), "-o", str(tmp_path / "v.mp4")]
    assert main(render(folder, *files, "--blocks", "1", "--seed", "4")) == 0
    assert "going on" not in capsys.readouterr().err
    assert main(render(folder, *files, "--blocks", "2", "--seed", "5", "--size", "32x32")) == 0
    said = capsys.readouterr().err
    assert "at block 1, with its own picture, seed 4 and size 64x32" in said
    assert "32x32" not in said
    assert frames(tmp_path / "v.mp4") == 21


def test_interrupt_keeps_what_was_made(folder: Path, tmp_path: Path) -> None:
    output, world = tmp_path / "v.mp4", tmp_path / "w.safetensors"
    arguments = render(folder, "--keys", "w", "--blocks", "400", "--world", str(world), "-o", str(output))
    # started in a shell's background, programs ignore Ctrl-C, and what they start does too
    begin = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    begin += "from comfyui_matrixgame.terminal.main import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen([sys.executable, "-c", begin, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    text = ""
    while "block 4 of 400" not in text and process.poll() is None:
        text += process.stderr.read(1)
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    made = load_world(world).block
    assert made >= 3
    assert frames(output) >= 12 * made - 3
    more = ["--keys", "w", "--blocks", str(made + 1), "--world", str(world), "-o", str(output)]
    assert main(render(folder, *more)) == 0
    assert frames(output) == 12 * (made + 1) - 3


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_stopped_while_frames_are_written(
    stop: BaseException, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, world = tmp_path / "v.mp4", tmp_path / "w.safetensors"
    arguments = render(folder, "--actions", "w 33", "--world", str(world), "-o", str(output))
    mux = VideoWriter._mux

    def stopped(writer: VideoWriter, packets: list, container: object = None) -> None:
        if writer.frames == 14 and container is None:
            raise stop
        mux(writer, packets, container)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(VideoWriter, "_mux", stopped)
        assert main(arguments) == (130 if isinstance(stop, KeyboardInterrupt) else 1)
    assert (frames(output), load_world(world).block) == (14, 1)
    output.rename(part_of(output))  # and as a kill leaves it while frames are taken over
    assert main(arguments) == 0
    assert frames(output) == 33


def test_stopped_in_a_video_that_begins_later(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, world = tmp_path / "v.mp4", tmp_path / "w.safetensors"
    first = ["--actions", "w 45", "--world", str(world), "--blocks"]
    assert main(render(folder, *first, "1", "-o", str(tmp_path / "first.mp4"))) == 0
    arguments = render(folder, *first, "4", "-o", str(output))
    mux = VideoWriter._mux

    def stopped(writer: VideoWriter, packets: list, container: object = None) -> None:
        if writer.frames == 17 and container is None:
            raise KeyboardInterrupt
        mux(writer, packets, container)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(VideoWriter, "_mux", stopped)
        assert main(arguments) == 130
    assert (frames(output), load_world(world).block) == (17, 2)
    assert main(arguments) == 0
    assert (frames(output), load_world(world).block) == (36, 4)


def test_continuing_a_clip(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip, output = tmp_path / "clip.mp4", tmp_path / "v.mp4"
    assert main(render(folder, "--keys", "w", "--blocks", "2", "-o", str(clip))) == 0
    more = ["--continue-clip", str(clip), "--clip-actions", "w 20", "--actions", "d 24", "-o", str(output)]
    assert main(render(folder, *more)) == 0
    assert frames(output) == 24
    assert main(render(folder, "--continue-clip", str(clip), "--actions", "d 24", "-o", str(output))) == 1
    assert "--clip-actions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--blocks", "0"], "zero blocks"),
        (["--size", "60x30"], "multiples of 16"),
        (["--size", "big"], "WIDTHxHEIGHT"),
        (["--size", "²x16"], "WIDTHxHEIGHT"),
        (["--output", "."], "--output . is a folder"),
        (["--keys", "q"], "no key 'q'"),
        (["--mouse", "1"], "two numbers"),
        (["--mouse", "0,7"], "outside -1..1"),
        (["--mouse", "0,nan"], "not a number"),
        (["--actions", "fwd 24"], "forward"),
        (["--attention", "flash2"], "flash_attn"),
        (["--device", "cuda:99"], "--device cpu"),
        (["--dtype", "int3"], "no dtype"),
        (["--generator", "none.safetensors"], "no file"),
        (["--world", "."], "--world|no world file|could not be saved"),
        (["--decoder", "image.png"], "image.png"),
    ],
)
def test_mistakes_end_in_one_sentence(
    extra: list[str],
    message: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    output = tmp_path / "v.mp4"
    assert main(render(folder, "--blocks", "1", "-o", str(output), *extra)) == 1
    said = capsys.readouterr().err
    last = said.strip().splitlines()
    assert any(line.startswith("matrixgame: ") for line in last), said
    assert re.search(message, said), said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("name", "text"), [("bad.mgs", "w 3q"), ("bad.csv", "what,value\nx,1\n"), ("bad.json", '{"format": "mine"}')]
)
def test_what_is_wrong_with_inputs_names_their_file(
    name: str, text: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / name, str(tmp_path / "out.csv")
    path.write_text(text)
    for command in (
        render(folder, "--actions", str(path), "-o", str(tmp_path / "v.mp4")), ["actions", "check", str(path)],
        ["actions", "convert", str(path), out],
    ):  # fmt: skip
        assert main(command) == 1
        said = capsys.readouterr().err.strip()
        assert said.count(name) == 1, said
        assert "script:" not in said
    assert main(render(folder, "--actions", "w 3q", "-o", str(tmp_path / "v.mp4"))) == 1
    assert "script:1:4: error" in capsys.readouterr().err


def test_a_picture_that_is_not_there_is_all_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nothing = str(tmp_path / "nothere.jpg")
    assert main(["play", nothing, "--no-browser"]) == 1
    assert capsys.readouterr().err == f"matrixgame: There is no image {nothing}; check the path.\n"


def test_no_weights_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, video = str(folder / "image.png"), str(tmp_path / "v.mp4")
    assert main(["render", picture, "--blocks", "1", "--device", "cpu", "-o", video]) == 0
    assert "matrixgame download" in capsys.readouterr().err


def test_templerun(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "v.mp4"
    assert main(render(folder, "--keys", "jump", "--blocks", "1", "-o", str(output), variant="templerun")) == 0
    assert frames(output) == 9
    assert main(render(folder, "--mouse", "0,0.1", "--blocks", "1", variant="templerun")) == 1
    assert "no camera" in capsys.readouterr().err
    mixed = [*render(folder, "--blocks", "1", "-o", str(output)), "--actions", "@variant templerun\njump 8"]
    assert main(mixed) == 1


def test_inspect(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "untrained_generator_universal.safetensors"
    assert main(["inspect", str(path)]) == 0
    said = capsys.readouterr().out
    assert "Matrix-Game 2.0 generator, Universal" in said
    assert "complete" in said
    assert main(["inspect", str(folder / "image.png")]) == 1


def test_convert(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(folder / "untrained_generator_universal.safetensors")
    out = tmp_path / "half.safetensors"
    assert main(["convert", path, str(out), "--layout", "fastvideo", "--dtype", "bfloat16"]) == 0
    assert main(["inspect", str(out)]) == 0
    assert "layout      fastvideo" in capsys.readouterr().out


@pytest.mark.slow
def test_bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    out = tmp_path / "bench.json"
    assert (
        main(["bench", "--size", "tiny", "--blocks", "2", "--device", "cpu", "--decoder", "tiny", "-o", str(out)]) == 0
    )
    check_report(out)
    report = json.loads(out.read_text())
    assert report["end_to_end_fps"] > 0
    assert report["computed"] in ("float32", "bfloat16")
    assert "transformer only" in capsys.readouterr().out


def test_bench_checks_its_options_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "other.json").write_text('{"name": "package"}')
    for options, message in (
        (["--device", "foo"], "The device 'foo' is not available here"),
        (["-o", str(tmp_path / "file" / "x.json")], "cannot be written: Not a directory"),
        (["-o", str(tmp_path)], "is a folder; name a file in it"),
        (["-o", str(tmp_path / "other.json")], "is no report that this program wrote"),
        (["--dtype", "fp99"], "There is no dtype 'fp99'"),
    ):
        assert main(["bench", "--device", "cpu", *options]) == 1
        said = capsys.readouterr().err
        assert message in said
        assert "limits of" not in said


def test_the_demo_finds_files_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").touch()
    absolute = runpy.run_path(str(ROOT / "script" / "demo"))["absolute"]
    assert absolute(["photo.jpg", "w 2b; d 1b"]) == [str(tmp_path / "photo.jpg"), "w 2b; d 1b"]


def processor_seconds(code: str) -> float:
    """What a fresh interpreter takes for this; unlike the clock's, these seconds are its own."""
    clock = f"import time; exec({code!r}); print(time.process_time())"
    done = subprocess.run([sys.executable, "-c", clock], cwd=ROOT, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def test_the_program_starts_without_torch() -> None:
    ours = "import sys, comfyui_matrixgame.terminal.main as c; c.parser(); assert 'torch' not in sys.modules"
    assert min(processor_seconds(ours) for _ in range(3)) - processor_seconds("import numpy, PIL") < 0.5


def test_small_networks_compute_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several threads would wait for each other; a user who sets OMP_NUM_THREADS, or has large networks, keeps them."""
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    find_files(None, None, None, None, "auto", torch.device("cpu"))
    assert asked == []
    monkeypatch.delenv("OMP_NUM_THREADS")
    find_files(None, None, None, None, "auto", torch.device("cpu"))
    assert asked == [1]
    fit_threads(torch.device("cpu"), 1_600_000_000)
    fit_threads(torch.device("cuda"), 1)
    assert asked == [1]
