"""Weights that are not published ones: what users say of them, what is said where nobody does, and what is refused."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from comfyui_matrixgame.actions.read import read_text
from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.checkpoints import convert_generator, inspect_file, load_generator
from comfyui_matrixgame.checkpoints import described as described_module
from comfyui_matrixgame.checkpoints.builtin import demo_world
from comfyui_matrixgame.checkpoints.describing import draft_description
from comfyui_matrixgame.checkpoints.download import sha256_of
from comfyui_matrixgame.checkpoints.names import to_layout
from comfyui_matrixgame.checkpoints.untrained import small_config
from comfyui_matrixgame.errors import CheckpointError, MatrixGameError, VariantError, WorldError
from comfyui_matrixgame.networks.generator import Generator
from comfyui_matrixgame.terminal.main import main
from comfyui_matrixgame.variants import UNIVERSAL, VARIANTS, Variant, get_variant, like
from comfyui_matrixgame.world import Models, load_world, rollout, save_world, start_world

from ..support.networks import random_track, shapes_of, small_image, small_models, weights
from .files import generator_tensors, save

ZELDA: dict[str, Any] = {
    "format": "matrixgame.variant", "version": 1, "like": "universal", "name": "zelda", "title": "Zelda",
    "steps": [1000, 750, 500, 250], "sink": 1,
}  # fmt: skip
DOUBT = "not a file we know; running as universal: 3 steps, no sink. If it is a finetune, describe it."


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    """What a test describes is forgotten."""
    variants, learned = dict(VARIANTS), set(like._learned)
    yield
    VARIANTS.clear()
    VARIANTS.update(variants)
    like._learned.clear()
    like._learned.update(learned)


def described(folder: Path, about: Any = ZELDA, name: str = "universal") -> Path:
    """A generator with a description beside it."""
    text = about if isinstance(about, str) else json.dumps(about)
    (folder / "mine.matrixgame.json").write_text(text, encoding="utf-8")
    return save(folder / "mine.safetensors", generator_tensors(name))


def six_keys() -> dict[str, torch.Tensor]:
    config = replace(small_config(UNIVERSAL), keyboard_dim=6)
    with torch.device("meta"):
        return weights("small/six", shapes_of(Generator(config)))


def numbers(variant: Variant | None) -> tuple[Any, ...]:
    assert variant is not None
    return variant.name, len(variant.keys), variant.steps, variant.window, variant.sink


def test_a_description_beside_a_file_decides(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    path = described(tmp_path)
    report = inspect_file(path)
    assert numbers(report.variant) == ("zelda", 4, (1000, 750, 500, 250), 6, 1)
    assert (report.title, report.doubt) == ("Matrix-Game 2.0 generator, Zelda", "")
    model = load_generator(path)
    assert (model.config.window, model.config.sink, model.variant) == (6, 1, report.variant)
    assert get_variant("zelda") == report.variant
    assert not caplog.records


def test_without_one_the_shapes_decide_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.WARNING)
    path = save(tmp_path / "finetune.safetensors", generator_tensors())
    model = load_generator(path)
    assert [record.getMessage() for record in caplog.records] == [f"finetune.safetensors: {DOUBT}"]
    assert (model.variant, model.doubt) == (UNIVERSAL, DOUBT)
    assert main(["inspect", str(path)]) == 0
    assert DOUBT in capsys.readouterr().out


def test_published_files_and_the_demo_world_are_not_doubted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "base_distill.safetensors", generator_tensors())
    assert UNIVERSAL.published is not None
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    file = replace(UNIVERSAL.published, sha256=checksum, size=path.stat().st_size)
    monkeypatch.setitem(VARIANTS, "universal", replace(UNIVERSAL, published=file))
    assert inspect_file(path).doubt == ""
    converted = convert_generator(path, tmp_path / "half.safetensors", dtype="bfloat16")
    assert inspect_file(converted).doubt == ""
    other = {name: tensor + 1 for name, tensor in generator_tensors().items()}
    assert inspect_file(save(tmp_path / "other.safetensors", other)).doubt == DOUBT
    assert inspect_file(demo_world().generator).doubt == ""


def test_a_checksum_is_worked_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worked_out: list[Path] = []
    monkeypatch.setenv("MATRIXGAME_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(described_module, "_SLOW", 0)
    monkeypatch.setattr(described_module, "sha256_of", lambda path: worked_out.append(path) or sha256_of(path))
    path = save(tmp_path / "base_distill.safetensors", generator_tensors())
    assert UNIVERSAL.published is not None
    file = replace(UNIVERSAL.published, sha256=sha256_of(path), size=path.stat().st_size)
    monkeypatch.setitem(VARIANTS, "universal", replace(UNIVERSAL, published=file))

    def doubt() -> str:
        described_module._sha256.cache_clear()  # as in another process
        return inspect_file(path).doubt

    assert [doubt(), doubt()] == ["", ""]
    assert len(worked_out) == 1
    first = next(iter(generator_tensors()))
    save(path, {**generator_tensors(), first: generator_tensors()[first] + 1})  # of the same size
    assert [doubt(), doubt()] == [DOUBT, DOUBT]
    assert len(worked_out) == 2
    (kept,) = (tmp_path / "state").iterdir()
    kept.write_text("[1")
    assert (doubt(), len(worked_out)) == (DOUBT, 3)
    monkeypatch.setenv("MATRIXGAME_STATE", str(path / "no folder"))
    assert (doubt(), len(worked_out)) == (DOUBT, 4)


def test_a_converted_file_keeps_what_is_known_of_it(tmp_path: Path) -> None:
    inside = convert_generator(described(tmp_path), tmp_path / "inside.safetensors")
    assert numbers(inspect_file(inside).variant) == ("zelda", 4, (1000, 750, 500, 250), 6, 1)
    unknown = save(tmp_path / "unknown.safetensors", generator_tensors())
    again = convert_generator(unknown, tmp_path / "again.safetensors")
    assert inspect_file(again).doubt == DOUBT  # it is no better known than before
    # what lies beside a file comes before what is in it
    (tmp_path / "inside.matrixgame.json").write_text(json.dumps({**ZELDA, "sink": 2}))
    assert inspect_file(inside).variant.sink == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({**ZELDA, "steps": []}, "mine.matrixgame.json: steps is [], and must be a list of places from 1000 down to 1"),
        ({**ZELDA, "sink": 6}, "mine.matrixgame.json: sink is 6, and must be at most 3: the window of 6 holds"),
        ({**ZELDA, "keys": [{"name": "w", "codes": ["KeyW"]}] * 2}, "two keys have the name w"),
        (
            {**ZELDA, "keys": [{"name": "w", "codes": ["KeyW"]}], "bench": [], "presets": {}},
            "mine.matrixgame.json does not fit its file: it says 1 key, and the weights take 4. Mend it",
        ),
        ({**ZELDA, "like": "gta_drive"}, "it says 2 keys, and the weights take 4"),
        (
            {**ZELDA, "like": "templerun"},
            "it says 7 keys, and the weights take 4; it says no camera, and the weights have one",
        ),
        ({**ZELDA, "action_layers": [0]}, "its action_layers are not those of the weights, which take inputs in 0, 1"),
        ({**ZELDA, "like": "nothing"}, "like is 'nothing', and must be one of universal, gta_drive, templerun"),
        ({**ZELDA, "like": ["x"]}, "like is ['x'], and must be one of"),
        ({**ZELDA, "name": "universal"}, "there is a variant 'universal' already, with other keys, steps or window"),
        ([1], "mine.matrixgame.json is not a JSON object; `matrixgame describe` writes one"),
        ("{", "mine.matrixgame.json is not JSON"),
    ],
)
def test_a_description_that_contradicts_is_refused(about: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(VariantError) as caught:
        load_generator(described(tmp_path, about))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_metadata_that_is_no_description(tmp_path: Path) -> None:
    path = save(tmp_path / "mine.safetensors", generator_tensors(), {"matrixgame": "{"})
    with pytest.raises(VariantError, match="`matrixgame` is not JSON"):
        inspect_file(path)


def test_a_generator_with_six_keys_is_taken_for_a_relative(tmp_path: Path) -> None:
    """ForgeWM's checkpoints, as its trainer saves them."""
    tensors = {"model._fsdp_wrapped_module." + name: tensor for name, tensor in six_keys().items()}
    for key in ("generator", "generator_ema"):
        path = tmp_path / f"{key}.pt"
        torch.save({key: tensors}, path)
        report = inspect_file(path)
        assert report.complete
        assert numbers(report.variant) == ("forgewm", 6, (1000, 750, 500, 250), 6, 0)
        assert report.doubt.startswith("not a file we know; running as forgewm: 4 steps, no sink.")
        assert torch.equal(load_generator(path, "float32").head.head.weight, six_keys()["head.head.weight"])


def test_inputs_of_fewer_keys_are_inputs_of_a_relative(tmp_path: Path) -> None:
    """Its further keys are not held; a variant whose keys are others is refused."""
    small = small_models()
    models = Models(load_generator(save(tmp_path / "six.safetensors", six_keys()), "float32"), small.vae)
    world = start_world(models, small_image(), features=torch.zeros(1, 257, models.generator.config.visual_dim))
    track = random_track(UNIVERSAL, 8)
    same = ActionTrack(
        models.variant, torch.nn.functional.pad(torch.tensor(track.keyboard), (0, 2)).numpy(), track.mouse
    )
    one, other = (next(rollout(models, world, given)) for given in (track, same))
    assert torch.equal(one.latents, other.latents)
    assert one.names == other.names
    with pytest.raises(WorldError, match="The inputs are for gta_drive, the generator is forgewm"):
        rollout(models, world, random_track(VARIANTS["gta_drive"], 8))


def test_scripts_and_timelines_of_the_variant_that_one_is_like_are_read_for_it(tmp_path: Path) -> None:
    zelda = inspect_file(described(tmp_path)).variant
    assert zelda is not None
    script = "@variant universal\nw 2b"
    document = parse_script(script, "universal").document.to_text()
    for text in (script, document):
        assert read_text(text, zelda).track == read_text(text, "universal").track
    with pytest.raises(MatrixGameError, match="the script is for gta_drive, but here the variant is zelda"):
        read_text("@variant gta_drive\nw 2b", zelda)


def test_a_world_says_its_variant_itself(tmp_path: Path) -> None:
    models = Models(load_generator(described(tmp_path), "float32"), small_models().vae)
    features = torch.zeros(1, 257, models.generator.config.visual_dim)
    track = random_track(UNIVERSAL, 56)
    whole = list(rollout(models, start_world(models, small_image(), features=features), track))
    run = rollout(models, start_world(models, small_image(), features=features), track, 3)
    first = list(run)
    path = save_world(run.world, tmp_path / "world.safetensors")
    del VARIANTS["zelda"]  # as where these weights have never been
    world = load_world(path)
    assert numbers(world.variant) == ("zelda", 4, (1000, 750, 500, 250), 6, 1)
    rest = list(rollout(models, world, track.slice(world.first_input)))
    assert [block.names for block in whole] == [block.names for block in first + rest]
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(whole, first + rest, strict=True))
    about = json.loads(safe_open(path, "pt").metadata()["matrixgame.world"])
    assert about["described"]["sink"] == 1


def test_describe_reads_what_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder as FastVideo writes it: Diffusers' names but for the patches', an index, and a config."""
    folder = tmp_path / "Zelda" / "transformer"
    folder.mkdir(parents=True)
    tensors = {
        to_layout(name, "fastvideo" if name.startswith("patch_embedding") else "diffusers"): tensor
        for name, tensor in generator_tensors().items()
    }
    names, places = sorted(tensors), {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"diffusion_pytorch_model-0000{number}-of-00002.safetensors"
        save(folder / file, {name: tensors[name] for name in part})
        places |= dict.fromkeys(part, file)
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    config = {"local_attn_size": 7, "sink_size": 1, "num_frames_per_block": 3, "action_config": {"keyboard_dim_in": 4}}
    (folder / "config.json").write_text(json.dumps(config))
    assert main(["describe", str(tmp_path / "Zelda"), "--name", "zelda", "--steps", "1000,750,500,250"]) == 0
    said = capsys.readouterr().out
    assert "read from the weights: 4 keys, a camera, inputs in 2 of 4 layers" in said
    assert "read from config.json: window 7 (local_attn_size)" in said
    assert "whether its keys are those of universal (w, s, a, d), in that order" in said
    assert "steps" not in said.partition("to fill in")[2]
    report = inspect_file(tmp_path / "Zelda")
    assert numbers(report.variant) == ("zelda", 4, (1000, 750, 500, 250), 7, 1)
    assert torch.equal(
        load_generator(tmp_path / "Zelda", "float32").patch_embedding.weight,
        generator_tensors()["patch_embedding.weight"],
    )
    assert main(["describe", str(tmp_path / "Zelda")]) == 1
    assert "is there already; edit it, or write over it with --force" in capsys.readouterr().err
    assert main(["describe", str(tmp_path / "Zelda"), "--force"]) == 0
    assert "steps, which no file states: 1000, 666, 333 are those of universal" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_frames_per_block": 1}, "its config.json says 1 latent frames a block, and blocks here have 3"),
        ({"rope_cache_policy": "relativistic"}, "positions that count from the window's start"),
    ],
)
def test_what_cannot_be_run_is_not_described(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = save(tmp_path / "mine.safetensors", generator_tensors())
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        draft_description(path, {})


def test_describing_keys_that_no_variant_has(tmp_path: Path) -> None:
    config = replace(small_config(UNIVERSAL), keyboard_dim=5)
    with torch.device("meta"):
        tensors = weights("small/five", shapes_of(Generator(config)))
    path = save(tmp_path / "5 keys.safetensors", tensors)
    with pytest.raises(CheckpointError, match="describe its inputs with `matrixgame describe`"):
        load_generator(path)
    draft = draft_description(path, {})
    assert draft.left[0].startswith("names, labels and physical keys")
    draft.write()
    assert load_generator(path).variant.keys == ("key1", "key2", "key3", "key4", "key5")  # type: ignore[union-attr]


def test_given_fields_are_checked_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / "mine.safetensors", generator_tensors())
    assert main(["describe", str(path), "--sink", "4"]) == 1
    assert "sink is 4, and must be at most 3" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.safetensors"]


def test_a_variant_that_is_chosen_comes_before_all_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    path = described(tmp_path)
    model = load_generator(path, variant=UNIVERSAL)
    assert (model.variant, model.doubt, model.config.sink) == (UNIVERSAL, "", 0)
    (tmp_path / "mine.matrixgame.json").write_text("{")
    assert load_generator(path, variant=UNIVERSAL).variant == UNIVERSAL
    assert not caplog.records
    with pytest.raises(
        VariantError, match="4 keys and a camera, and the variant gta_drive has 2 keys and a camera; choose"
    ):
        load_generator(path, variant=VARIANTS["gta_drive"])
