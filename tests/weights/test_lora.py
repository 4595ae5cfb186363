"""LoRAs: names of every program, merged as the formula says, what they say of steps, and what is refused."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from comfyui_matrixgame.checkpoints import load_generator
from comfyui_matrixgame.checkpoints.lora.described import steps_of_metadata
from comfyui_matrixgame.checkpoints.lora.merging import Lora, common_steps, open_lora, split_strength
from comfyui_matrixgame.errors import CheckpointError, MatrixGameError, VariantError
from comfyui_matrixgame.terminal.main import main

from .files import generator_tensors, save
from .loras import MODULES, NAMINGS, factors, lora

WEIGHTS = generator_tensors()
SHAPES = {name: tuple(tensor.shape) for name, tensor in WEIGHTS.items()}


def opened(path: Path, tensors: dict[str, Tensor], strength: float = 1.0, **metadata: str) -> Lora:
    return open_lora(save(path, tensors, metadata or None), strength, SHAPES)


@pytest.mark.parametrize("naming", NAMINGS)
def test_names_of_every_program_are_read(naming: str, tmp_path: Path) -> None:
    found = opened(tmp_path / "lora.safetensors", lora(WEIGHTS, naming))
    assert sorted(found.parts) == sorted([*MODULES, "blocks.0.cross_attn.o", "blocks.1.self_attn.norm_q"])
    usual = opened(tmp_path / "usual.safetensors", lora(WEIGHTS))
    for name, tensor in WEIGHTS.items():
        assert torch.equal(found.merged(name, tensor), usual.merged(name, tensor)), name


def test_a_lora_is_merged_as_its_formula_says(tmp_path: Path) -> None:
    generator = save(tmp_path / "generator.safetensors", WEIGHTS)
    for alpha, scale in ((4.0, 2.0), (None, 1.0)):
        parts = opened(tmp_path / "lora.safetensors", lora(WEIGHTS, alpha=alpha), 0.5)
        model = load_generator(generator, "float32", loras=[parts])
        merged = dict(model.named_parameters())
        changed = {f"{module}.weight" for module in MODULES}
        for name, tensor in WEIGHTS.items():
            wanted = tensor.double()
            if name in changed:
                up, down = (part.flatten(1).double() for part in factors(WEIGHTS, name.removesuffix(".weight")))
                wanted = wanted + 0.5 * scale * (up @ down).view(tensor.shape)
            wanted = wanted + 0.5 * {"blocks.0.cross_attn.o.bias": 0.1, "blocks.1.self_attn.norm_q.weight": 0.2}.get(
                name, 0
            )
            assert (merged[name] - wanted).abs().max() < 1e-6, name
    twice = load_generator(generator, "float32", loras=[parts, parts])
    once = dict(load_generator(generator, "float32", loras=[parts]).named_parameters())
    first = "blocks.0.self_attn.q.weight"
    moved = once[first] - WEIGHTS[first]
    assert torch.allclose(dict(twice.named_parameters())[first] - once[first], moved, atol=1e-6)


def test_an_id_stands_for_all_tensors_and_the_strength(tmp_path: Path) -> None:
    tensors = lora(WEIGHTS)
    first = opened(tmp_path / "a.safetensors", tensors)
    assert opened(tmp_path / "b.safetensors", tensors, matrixgame='{"steps": [1000]}').id == first.id
    assert opened(tmp_path / "a.safetensors", tensors, 0.5).id != first.id
    changed = {name: tensor.clone() for name, tensor in tensors.items()}
    next(iter(changed.values())).view(-1)[7] += 1e-3
    assert opened(tmp_path / "c.safetensors", changed).id != first.id
    assert (first.name, opened(tmp_path / "a.safetensors", tensors, 0.5).name) == ("a.safetensors", "a.safetensors:0.5")


UP, DOWN = (f"diffusion_model.blocks.0.self_attn.q.{part}" for part in NAMINGS["comfyui"][1:])


def wrong(**changes: Any) -> dict[str, Tensor]:
    up, down = factors(WEIGHTS, "blocks.0.self_attn.q")
    tensors = {"up": up, "down": down} | changes
    names = {"up": UP, "down": DOWN}
    return {names.get(name, name): tensor for name, tensor in tensors.items() if tensor is not None}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (WEIGHTS, "mine.safetensors is not a LoRA: none of its tensors"),
        (wrong(down=None), "lora_up.weight without its lora_down.weight; it is incomplete"),
        (wrong(up=None), "lora_down.weight without its lora_up.weight; it is incomplete"),
        (
            wrong(down=torch.zeros(2, 7)),
            r"changes \[256, 7\], and the generator has \[256, 256\]; it is for a model of",
        ),
        (wrong(down=torch.zeros(3, 256)), r"changes \[\], and the generator has"),
        (
            wrong(**{"diffusion_model.double_blocks.0.x.lora_up.weight": torch.zeros(4, 2)}),
            r"has 1 tensor of 3 that change nothing of this generator, .*double_blocks.0.x.* it is for another model",
        ),
        (
            wrong(**{"diffusion_model.blocks.0.self_attn.q.dora_scale": torch.zeros(256, 1)}),
            r"in an unsupported way \(diffusion_model.blocks.0.self_attn.q.dora_scale\)",
        ),
        (
            {"diffusion_model.blocks.0.self_attn.q.hada_w1_a": torch.zeros(256, 2)},
            "has 1 tensor of 1 .* or not a plain LoRA. Use one that was trained",
        ),
        (wrong(**{"lora_unet_blocks_0_self_attn_q.lora_up.weight": torch.zeros(256, 2)}), "blocks.0.self_attn.q twice"),
        (wrong(**{"blocks.0.self_attn.q.diff": torch.zeros(256, 256)}), "blocks.0.self_attn.q twice, by lora_up"),
        (wrong(**{"blocks.0.self_attn.norm_q.diff_b": torch.zeros(256)}), r"and the generator has \[\]"),
    ],
)
def test_what_is_no_lora_for_a_generator_is_said(tensors: dict[str, Tensor], message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        opened(tmp_path / "mine.safetensors", tensors)


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    parts = opened(tmp_path / "mine.safetensors", wrong(up=torch.full((256, 2), torch.nan)))
    with pytest.raises(CheckpointError, match=r"mine.safetensors: .*lora_up.weight holds values that are not numbers"):
        parts.merged("blocks.0.self_attn.q.weight", WEIGHTS["blocks.0.self_attn.q.weight"])


def test_steps_come_from_the_metadata_or_from_beside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    path, tensors = tmp_path / "mine.safetensors", wrong()
    assert opened(path, tensors).steps is None
    assert opened(path, tensors, matrixgame='{"title": "Mine"}').steps is None
    assert opened(path, tensors, matrixgame='{"steps": [1000, 500], "more": 1}').steps == (1000, 500)
    assert "this version does not know more" in caplog.text
    path.with_name("mine.matrixgame.json").write_text('{"format": "matrixgame.lora", "version": 1, "steps": [1000]}')
    assert opened(path, tensors, matrixgame='{"steps": [1000, 500]}').steps == (1000,)
    assert steps_of_metadata({"format": "pt"}) is None
    assert steps_of_metadata({"matrixgame": '{"steps": [1000, 250]}'}) == (1000, 250)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"steps": [500]}', "The steps begin at 500, and must begin at 1000"),
        ('{"steps": []}', r"steps is \[\], and must be whole numbers from 1000 down to 1"),
        ('{"steps": [1000, 1000]}', "The steps are '1000,1000', and must be"),
        ('{"format": "matrixgame.variant", "steps": [1000]}', "format is 'matrixgame.variant', and must be"),
        ('{"version": 2}', "newer than version 1"),
        ("[1000]", "is not a JSON object"),
        ("{", "is not JSON"),
    ],
)  # fmt: skip
def test_an_invalid_description_is_reported(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(VariantError, match=f"the metadata of mine.safetensors.*{message}"):
        opened(tmp_path / "mine.safetensors", wrong(), matrixgame=text)


def test_loras_of_other_steps_do_not_go_together() -> None:
    assert common_steps([("a", None), ("b", (1000,)), ("c", None), ("d", (1000,))]) == (1000,)
    assert common_steps([("a", None)]) is None
    with pytest.raises(VariantError, match="b was distilled to the steps 1000 and d to 1000,500; use one of them"):
        common_steps([("b", (1000,)), ("d", (1000, 500))])


def test_a_strength_stands_behind_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a:0.5"
    assert split_strength(str(file)) == (str(tmp_path / "a"), 0.5)
    file.touch()
    assert split_strength(str(file)) == (str(file), 1.0)
    assert split_strength("C:\\loras\\a.safetensors") == ("C:\\loras\\a.safetensors", 1.0)
    with pytest.raises(MatrixGameError, match="from -100 to 100, got nan"):
        split_strength("a:nan")


def test_a_lora_is_described_by_its_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path / "mine.safetensors", wrong())
    assert main(["describe", str(path)]) == 1
    assert "described by the steps it was distilled to; say them" in capsys.readouterr().err
    assert main(["describe", str(path), "--steps", "1000", "--window", "6"]) == 1
    assert "--window: a LoRA says its steps, and nothing else" in capsys.readouterr().err
    assert main(["describe", str(path), "--steps", "500"]) == 1
    assert "must begin at 1000" in capsys.readouterr().err
    assert main(["describe", str(path), "--steps", "1000,250"]) == 0
    about = json.loads((tmp_path / "mine.matrixgame.json").read_text())
    assert about == {"format": "matrixgame.lora", "version": 1, "steps": [1000, 250]}
    assert open_lora(path, 1.0, SHAPES).steps == (1000, 250)
    assert main(["describe", str(path), "--steps", "1000"]) == 1
    assert "is there already" in capsys.readouterr().err
