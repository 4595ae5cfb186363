"""What other programs write: read where the tensors are those of a generator, otherwise named for what it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from comfyui_matrixgame.checkpoints import convert_generator, inspect_file, load_generator, load_vae, load_vision
from comfyui_matrixgame.checkpoints.names import CONTAINERS, WRAPPERS, to_layout
from comfyui_matrixgame.checkpoints.untrained import write_small_files
from comfyui_matrixgame.errors import CheckpointError
from comfyui_matrixgame.terminal.main import main
from comfyui_matrixgame.variants import UNIVERSAL

from .files import empty, generator_tensors, raw_safetensors, save

Tensors = dict[str, Tensor]


def prefixed(prefix: str, tensors: Tensors | None = None) -> Tensors:
    return {prefix + name: tensor for name, tensor in (tensors or generator_tensors()).items()}


def same_weights(path: Path, expected: Tensors | None = None) -> bool:
    loaded = load_generator(path, "float32").state_dict()
    return all(torch.equal(loaded[name], tensor) for name, tensor in (expected or generator_tensors()).items())


def broken() -> Tensors:
    """Weights that are not those of the generator, under the same names."""
    return {name: tensor + 1 for name, tensor in generator_tensors().items()}


@pytest.mark.parametrize(
    "prefix",
    [
        "model.diffusion_model.", "module.", "module.model.", "generator.", "generator.model.", "generator_ema.model.",
        "state_dict.model.", "transformer.", "net.", "ema.", "any_name.of.mine.", *WRAPPERS, "model." + WRAPPERS[0],
    ],
)  # fmt: skip
def test_what_stands_in_front_of_the_names(prefix: str, tmp_path: Path) -> None:
    path = save(tmp_path / "x.safetensors", prefixed(prefix))
    assert inspect_file(path).complete
    assert same_weights(path)


@pytest.mark.parametrize("layout", ["diffusers", "fastvideo"])
@pytest.mark.parametrize("prefix", ["model.", "transformer.", "model.diffusion_model."])
def test_other_layouts_behind_a_prefix(layout: str, prefix: str, tmp_path: Path) -> None:
    named = {prefix + to_layout(name, layout): tensor for name, tensor in generator_tensors().items()}
    path = save(tmp_path / "x.safetensors", named)
    assert inspect_file(path).layout == layout
    assert same_weights(path)


def test_wrappers_inside_names(tmp_path: Path) -> None:
    """FSDP wraps every block, torch.compile wraps what it is asked to, and checkpointing what it runs again."""

    def wrapped(name: str) -> str:
        parts = name.split(".")
        if parts[0] == "blocks":
            parts.insert(2, "_fsdp_wrapped_module._checkpoint_wrapped_module")
        return "model._fsdp_wrapped_module._orig_mod." + ".".join(parts)

    path = save(tmp_path / "x.safetensors", {wrapped(name): tensor for name, tensor in generator_tensors().items()})
    assert same_weights(path)


def test_other_networks_in_the_same_file(tmp_path: Path) -> None:
    beside = {"first_stage_model.x": torch.zeros(1), "cond_stage_model.y": torch.zeros(1), "vae.z": torch.zeros(1)}
    path = save(tmp_path / "all.safetensors", prefixed("model.diffusion_model.") | beside)
    assert inspect_file(path).complete
    assert same_weights(path)
    both = prefixed("generator.", broken()) | prefixed("generator_ema.") | prefixed("critic.", broken())
    assert same_weights(save(tmp_path / "both.safetensors", both))
    strange = prefixed("model.") | {"something": torch.zeros(1)}
    assert inspect_file(save(tmp_path / "strange.safetensors", strange)).unexpected == ["something"]


def nested(how: str) -> Any:
    tensors = generator_tensors()
    return {
        "generator and ema": {
            "generator": prefixed("model.", broken()),
            "generator_ema": prefixed("model."),
            "critic": prefixed("model.", broken()),
            "generator_optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4}]},
            "step": 400,
        },
        "generator": {"generator": prefixed("model._fsdp_wrapped_module."), "generator_ema": None, "args": {"a": [1]}},
        "empty ema": {"generator": tensors, "generator_ema": {}},
        "compiled": {"model": prefixed("_orig_mod."), "step": 5},
        "lightning": {"state_dict": prefixed("model."), "epoch": 3, "hyper_parameters": {"x": "y"}},
        "twice": {"state": {"model": {"state_dict": tensors}}},
        "a name of its own": {"my_weights": tensors, "note": "hello"},
        "parallel": prefixed("module."),
        "beside numbers": {**tensors, "epoch": 3, "loss": 0.5},
    }[how]


@pytest.mark.parametrize(
    "how",
    [
        "generator and ema", "generator", "empty ema", "compiled", "lightning", "twice", "a name of its own",
        "parallel", "beside numbers",
    ],
)  # fmt: skip
@pytest.mark.parametrize("old", [False, True])
def test_what_training_programs_write(how: str, old: bool, tmp_path: Path) -> None:
    path = tmp_path / "model_000400.pt"
    torch.save(nested(how), path, _use_new_zipfile_serialization=not old)
    assert inspect_file(path).complete
    assert same_weights(path)


def test_which_weights_were_taken_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(nested("generator and ema"), tmp_path / "model.pt")
    assert main(["inspect", str(tmp_path / "model.pt")]) == 0
    assert "read from   generator_ema, beside generator, critic" in capsys.readouterr().out
    assert CONTAINERS[0] == "generator_ema"


# scaled weights


LAYERS = [
    name.removesuffix(".weight")
    for name, tensor in generator_tensors().items()
    if name.startswith("blocks.") and tensor.ndim == 2 and ".action_model." not in name
]


def scaled(
    dtype: torch.dtype, scale_name: str, extra: Callable[[str], Tensors], by_row: bool = False
) -> tuple[Tensors, Tensors]:
    """A file's tensors with scaled layers, and the values that they stand for."""
    stored, values = dict(generator_tensors()), dict(generator_tensors())
    largest = 127 if dtype == torch.int8 else torch.finfo(dtype).max
    for layer in LAYERS:
        weight = stored[f"{layer}.weight"]
        scale = weight.abs().amax(1, keepdim=True) / largest if by_row else weight.abs().max() / largest
        packed = (weight / scale).round() if dtype == torch.int8 else weight / scale
        stored[f"{layer}.weight"] = packed.to(dtype)
        stored[layer + scale_name] = scale.float()
        stored |= extra(layer)
        values[f"{layer}.weight"] = stored[f"{layer}.weight"].float() * scale
    return stored, values


def comfy_quant(layer: str, form: str = "float8_e4m3fn", **more: Any) -> Tensors:
    about = list(json.dumps({"format": form, **more}).encode())
    return {f"{layer}.comfy_quant": torch.tensor(about, dtype=torch.uint8), f"{layer}.input_scale": torch.ones(())}


WAYS: dict[str, Callable[[], tuple[Tensors, Tensors]]] = {
    "scaled fp8": lambda: scaled(torch.float8_e4m3fn, ".scale_weight", lambda _: {}),
    "scaled fp8 with inputs": lambda: scaled(
        torch.float8_e5m2, ".scale_weight", lambda layer: {f"{layer}.scale_input": torch.ones(1)}
    ),
    "comfy_quant": lambda: scaled(torch.float8_e4m3fn, ".weight_scale", comfy_quant),
    "comfy_quant e5m2": lambda: scaled(
        torch.float8_e5m2, ".weight_scale", lambda layer: comfy_quant(layer, "float8_e5m2")
    ),
    "comfy_quant int8": lambda: scaled(
        torch.int8, ".weight_scale", lambda layer: comfy_quant(layer, "int8_tensorwise"), by_row=True
    ),
    "by row": lambda: scaled(torch.float8_e4m3fn, ".weight_scale", lambda _: {}, by_row=True),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_scaled_weights_have_the_values_they_stand_for(way: str, prefix: str, tmp_path: Path) -> None:
    stored, values = WAYS[way]()
    mark = {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)} if way.startswith("scaled") else {}
    path = save(tmp_path / "x.safetensors", prefixed(prefix, stored | mark))
    report = inspect_file(path)
    assert report.complete, report.problems()
    assert report.parameters == sum(tensor.numel() for tensor in values.values())
    assert same_weights(path, values)
    weight = f"{LAYERS[0]}.weight"
    assert (values[weight] - generator_tensors()[weight]).abs().max() < 0.1 * values[weight].abs().max()


def test_scaled_weights_are_kept_in_16_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their scale would be lost in 8."""
    stored, values = WAYS["scaled fp8"]()
    half = {name: t if t.itemsize == 1 else t.bfloat16() for name, t in stored.items() if "scale_weight" not in name}
    stored |= half
    path = save(tmp_path / "x.safetensors", stored)
    loaded = load_generator(path).state_dict()
    weight = f"{LAYERS[0]}.weight"
    assert torch.equal(loaded[weight], values[weight].bfloat16())
    assert main(["inspect", str(path)]) == 0
    assert "float8_e4m3fn, scaled (" in capsys.readouterr().out
    plain = convert_generator(path, tmp_path / "plain.safetensors", "plain")
    assert inspect_file(plain).dtypes.keys() == {"bfloat16"}
    assert torch.equal(load_generator(plain).state_dict()[weight], values[weight].bfloat16())


def test_a_scale_for_blocks(tmp_path: Path) -> None:
    stored, values = dict(generator_tensors()), dict(generator_tensors())
    name = f"{LAYERS[0]}.weight"
    weight = stored[name]
    rows, columns = weight.shape[0] // 128, weight.shape[1] // 128
    scale = torch.arange(1, rows * columns + 1).reshape(rows, columns) / 64
    wide = scale.repeat_interleave(128, 0).repeat_interleave(128, 1)
    stored[name] = (weight / wide).to(torch.float8_e4m3fn)
    stored[f"{LAYERS[0]}.weight_scale_inv"] = scale
    values[name] = stored[name].float() * wide
    assert same_weights(save(tmp_path / "x.safetensors", stored), values)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({".weight_scale": torch.ones(7)}, "does not fit"),
        ({".weight_scale": torch.ones(0)}, "does not fit"),
        ({".weight_scale": torch.full((1,), torch.nan)}, "not a number"),
        ({".comfy_quant": torch.zeros(4, dtype=torch.uint8)}, "not JSON"),
        ({".comfy_quant": torch.zeros(1 << 16, dtype=torch.uint8)}, "not JSON"),
        ({".comfy_quant": torch.zeros(4)}, "not JSON"),
    ],
)
def test_scales_that_do_not_fit(change: Tensors, says: str, tmp_path: Path) -> None:
    stored, _ = WAYS["comfy_quant"]()
    stored |= {LAYERS[0] + end: tensor for end, tensor in change.items()}
    path = save(tmp_path / "x.safetensors", stored)
    with pytest.raises(CheckpointError, match=says):
        load_generator(path)


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (comfy_quant(LAYERS[0], "nvfp4"), "nvfp4"),
        (comfy_quant(LAYERS[0], "mxfp8"), "mxfp8"),
        (comfy_quant(LAYERS[0], "int8_tensorwise", convrot=True), "with rotation"),
        ({f"{LAYERS[0]}.weight.absmax": torch.ones(4)}, "bitsandbytes"),
        ({f"{LAYERS[0]}.weight.quant_state.bitsandbytes__nf4": torch.ones(4)}, "nf4 of bitsandbytes"),
        ({f"{LAYERS[0]}.SCB": torch.ones(4)}, "int8 of bitsandbytes"),
        ({f"{LAYERS[0]}.qweight": torch.ones(4, dtype=torch.int32)}, "GPTQ or AWQ"),
        ({f"{LAYERS[0]}.qweight": torch.ones(4), f"{LAYERS[0]}.wscales": torch.ones(4)}, "SVDQuant of Nunchaku"),
        ({f"{LAYERS[0]}.weight_scale": torch.ones(4), f"{LAYERS[0]}.weight_scale_2": torch.ones(1)}, "nvfp4"),
        ({f"{LAYERS[0]}.W_q": torch.ones(4, dtype=torch.uint8)}, "HQQ"),
        ({f"{LAYERS[0]}.weight_packed": torch.ones(4, dtype=torch.int32)}, "compressed-tensors"),
    ],
)
def test_packed_weights_that_are_not_read_are_named(
    extra: Tensors, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / "x.safetensors", generator_tensors() | extra)
    with pytest.raises(CheckpointError, match=says):
        load_generator(path)
    assert main(["inspect", str(path)]) == 0
    assert says in capsys.readouterr().out


@pytest.mark.parametrize("byte", [torch.uint8, torch.float8_e8m0fnu])
def test_exponents_are_no_scales(byte: torch.dtype, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """mxfp8 without a word on it: taken as numbers its scales would be wrong by many powers of 2."""
    name = f"{LAYERS[0]}.weight"
    weight = generator_tensors()[name]
    exponents = torch.full((weight.shape[0], weight.shape[1] // 32), 120, dtype=torch.uint8).view(byte)
    packed = {name: weight.to(torch.float8_e4m3fn), f"{LAYERS[0]}.weight_scale": exponents}
    path = save(tmp_path / "x.safetensors", generator_tensors() | packed)
    assert main(["inspect", str(path)]) == 0
    assert "packed as mxfp8" in capsys.readouterr().out
    with pytest.raises(CheckpointError, match="mxfp8"):
        load_generator(path)


def test_values_of_4_bits_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = raw_safetensors(tmp_path / "x.safetensors", {"a": empty([0], "F4")})
    assert main(["inspect", str(path)]) == 0
    assert "packed as 4 bits (F4)" in capsys.readouterr().out


def test_the_format_in_the_metadata(tmp_path: Path) -> None:
    stored, values = scaled(torch.float8_e4m3fn, ".weight_scale", lambda _: {})
    layers = {layer: {"format": "float8_e4m3fn"} for layer in LAYERS}
    about = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": layers})}
    assert same_weights(save(tmp_path / "x.safetensors", stored, about), values)
    about = {"_quantization_metadata": json.dumps({"layers": {LAYERS[0]: {"format": "nvfp4"}}})}
    with pytest.raises(CheckpointError, match="nvfp4"):
        load_generator(save(tmp_path / "y.safetensors", stored, about))


# several files


def shard(folder: Path, layout: str = "diffusers", parts: int = 3, index: bool = True) -> list[Path]:
    """A generator in several files; the name of the index comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {to_layout(name, layout): tensor for name, tensor in generator_tensors().items()}
    names = sorted(tensors)
    stem, places, files = "diffusion_pytorch_model", {}, []
    for i in range(parts):
        file = folder / f"{stem}-{i + 1:05}-of-{parts:05}.safetensors"
        own = names[i::parts]
        files.append(save(file, {name: tensors[name] for name in own}))
        places |= dict.fromkeys(own, file.name)
    if index:
        files.append(folder / f"{stem}.safetensors.index.json")
        files[-1].write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return files


@pytest.mark.parametrize("index", [True, False])
def test_one_part_stands_for_all(index: bool, tmp_path: Path) -> None:
    for path in (*shard(tmp_path / "transformer", index=index), tmp_path / "transformer", tmp_path):
        assert inspect_file(path).complete
        assert same_weights(path)


def test_parts_that_are_missing_or_not_parts(tmp_path: Path) -> None:
    first, second, _, index = shard(tmp_path)
    second.unlink()
    for path in (first, index, tmp_path):
        with pytest.raises(CheckpointError, match=r"of which 1 is missing \(diffusion_pytorch_model-00002-of-00003"):
            inspect_file(path)
    save(second, {"other": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="and it is not; the files are not parts of one model"):
        inspect_file(index)
    index.unlink()
    second.write_bytes(first.read_bytes())
    with pytest.raises(CheckpointError, match=r"is in .* and in"):
        inspect_file(tmp_path)


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ("", "not an index"),
        ("[]", "not an index"),
        ('{"weight_map": []}', "not an index"),
        ('{"weight_map": {}}', "not an index"),
        ('{"weight_map": {"a": 1}}', "not an index"),
        ("[" * 100_000, "not an index"),
        ('{"weight_map": {"a": "../x.safetensors"}}', "not a file beside it"),
        ('{"weight_map": {"a": "/etc/passwd"}}', "not a file beside it"),
        ('{"weight_map": {"a": "..\\\\x"}}', "not a file beside it"),
        ('{"weight_map": {"a": "x.safetensors"}}', "1 is missing"),
    ],
)
def test_an_invalid_index(about: str, says: str, tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(about)
    with pytest.raises(CheckpointError, match=says):
        inspect_file(index)


def test_folders(tmp_path: Path) -> None:
    paths = write_small_files(tmp_path / "small", UNIVERSAL)
    with pytest.raises(CheckpointError, match=r"several weights files \(untrained_clip"):
        inspect_file(tmp_path / "small")
    model = tmp_path / "model"
    for kind, part in (("generator", "transformer"), ("vae", "vae"), ("clip", "image_encoder")):
        (model / part).mkdir(parents=True)
        paths[kind].rename(model / part / "model.safetensors")
    (model / "model_index.json").write_text("{}")
    assert inspect_file(model).kind == "generator"
    assert load_generator(model).config.layers == 4
    assert load_vae(model).base_dim == 8
    assert load_vision(model).image_size == 56


def test_bytes_after_the_last_tensor(tmp_path: Path) -> None:
    path = save(tmp_path / "x.safetensors", generator_tensors())
    with path.open("ab") as file:
        file.write(b"\0" * 65)
    assert inspect_file(path).complete
    assert same_weights(path)


# other models


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"decoder.head.2.weight": torch.zeros(12, 8, 3, 3, 3)}, "Wan 2.2 VAE"),
        ({"decoder.head.2.weight": torch.zeros(1), "decoder.upsamples.0.upsamples.0.x": torch.zeros(1)}, "Wan 2.2 VAE"),
        ({"vision_model.embeddings.patch_embedding.bias": torch.zeros(1152)}, "SigLIP"),
        ({"diffusion_model.blocks.0.self_attn.q.lora_down.weight": torch.zeros(1)}, "LoRA"),
        ({"transformer.blocks.0.attn1.to_q.lora.up.weight": torch.zeros(1)}, "LoRA"),
        ({"lora_unet_blocks_0_self_attn_q.hada_w1_a": torch.zeros(1)}, "LoRA"),
        ({"lycoris_blocks_0_self_attn_q.lokr_w1": torch.zeros(1)}, "LoRA"),
        ({"diffusion_model.blocks.0.self_attn.q.diff_b": torch.zeros(1)}, "LoRA"),
        ({"double_blocks.0.x": torch.zeros(1)}, "another family"),
    ],
)
def test_other_models_are_named_and_nothing_is_wrong_with_them(
    tensors: Tensors, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / "x.safetensors", tensors)
    assert main(["inspect", str(path)]) == 0
    said = capsys.readouterr().out
    assert says in said
    assert "not usable" in said
    for load in (load_generator, load_vae, load_vision):
        with pytest.raises(CheckpointError, match=says):
            load(path)


def test_a_whole_clip_is_an_image_tower(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    tower = load_file(write_small_files(tmp_path, UNIVERSAL)["clip"])
    text = {"text_model.embeddings.token_embedding.weight": torch.zeros(8, 8), "logit_scale": torch.zeros(())}
    path = save(tmp_path / "clip.safetensors", tower | text)
    assert inspect_file(path).complete
    assert load_vision(path).image_size == 56


@pytest.mark.parametrize("prefix", ["model.", "vae.", "_orig_mod.", "first_stage_model."])
def test_a_vae_behind_a_prefix(prefix: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    vae = load_file(write_small_files(tmp_path, UNIVERSAL)["vae"])
    path = save(tmp_path / "v.safetensors", prefixed(prefix, vae))
    assert torch.equal(load_vae(path, "float32").conv1.weight, vae["conv1.weight"])
