"""What a weights file is, decided by its keys and shapes and never by its name or a config beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..generator import Generator, GeneratorConfig
from ..vae import TinyDecoder, WanVAE
from ..vae.tiny import PUBLISHED_NAMES
from ..variants import VARIANTS, Variant
from .names import from_layout, layout_of
from .reader import TensorInfo, WeightsFile, open_weights

Shape = tuple[int, ...]
HEAD_DIM_OF_H = 80  # ViT-H: 1280 / 16
HEAD_DIM_OF_SMALL = 16


@dataclass
class FileReport:
    """What a file is and whether it is whole.

    kind: `generator`, `vae`, `decoder`, `vision`, or `unknown`. names: our tensor name -> the file's.
    """

    path: Path
    kind: str
    title: str
    parameters: int
    dtypes: dict[str, int]
    layout: str = ""
    variant: Variant | None = None
    config: GeneratorConfig | None = None
    names: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    wrong_shape: list[str] = field(default_factory=list)
    advice: str = ""

    @property
    def complete(self) -> bool:
        """Whether every tensor is there with the right shape, and nothing else."""
        return self.kind != "unknown" and not (self.missing or self.unexpected or self.wrong_shape)

    @property
    def dtype(self) -> str:
        """The dtype that most of the parameters are stored in."""
        return max(self.dtypes, key=lambda name: self.dtypes[name])

    def problems(self) -> str:
        """One line on what is missing, unexpected or of the wrong shape."""
        parts = [
            f"{len(names)} {what} ({', '.join(names[:2])}{', ...' if len(names) > 2 else ''})"
            for what, names in (
                ("missing", self.missing), ("unexpected", self.unexpected), ("of the wrong shape", self.wrong_shape),
            )
            if names
        ]  # fmt: skip
        return "; ".join(parts)


def inspect_file(path: str | Path) -> FileReport:
    """Recognise a weights file. Raises CheckpointError where it cannot be read at all."""
    with open_weights(path) as file:
        return recognise(file)


def recognise(file: WeightsFile) -> FileReport:
    """Recognise an open weights file."""
    dtypes: Counter[str] = Counter()
    for info in file.tensors.values():
        dtypes[info.dtype] += info.size
    report = FileReport(file.path, "unknown", "", sum(dtypes.values()), dict(dtypes or {"none": 0}))
    names = set(file.tensors)
    for test, describe in (
        (_is_generator, _describe_generator),
        (_is_vae, _describe_vae),
        (_is_tiny, _describe_tiny),
        (_is_vision, _describe_vision),
    ):
        if test(names):
            describe(report, file.tensors)
            return report
    report.title, report.advice = _guess(names)
    return report


def generator_config(shapes: Mapping[str, Shape]) -> tuple[GeneratorConfig, Variant | None]:
    """Sizes of a generator from our names' shapes, and the variant whose inputs it takes (None: no known one)."""
    numbers = {int(name.split(".")[1]) for name in shapes if name.startswith("blocks.")}
    acting = sorted({int(n.split(".")[1]) for n in shapes if n.startswith("blocks.") and ".action_model." in n})
    first = f"blocks.{acting[0]}.action_model." if acting else ""
    mouse = first + "t_qkv.weight" in shapes
    keyboard = shapes.get(first + "keyboard_embed.0.weight", (0, 0))
    variant = next((v for v in VARIANTS.values() if len(v.keys) == keyboard[1] and v.mouse == mouse), None)
    config = GeneratorConfig(
        dim=shapes["patch_embedding.weight"][0],
        ffn_dim=shapes.get("blocks.0.ffn.0.weight", (0,))[0],
        layers=max(numbers) + 1,
        visual_dim=shapes.get("img_emb.proj.0.weight", (0,))[0],
        action_layers=tuple(acting),
        action_dim=shapes.get(first + "mouse_attn_q.weight", (0,))[0],
        keyboard_dim=keyboard[1],
        keyboard_hidden=keyboard[0],
        mouse=mouse,
        window=variant.window if variant else 0,
    )
    return config, variant


def vision_sizes(shapes: Mapping[str, Shape]) -> dict[str, int]:
    """Sizes of an image tower from the names of transformers' CLIP vision model."""
    hidden, _, patch, _ = shapes["embeddings.patch_embedding.weight"]
    places = shapes["embeddings.position_embedding.weight"][0] - 1
    head_dim = HEAD_DIM_OF_H if hidden % HEAD_DIM_OF_H == 0 else HEAD_DIM_OF_SMALL
    return {
        "hidden": hidden,
        "mlp": shapes["encoder.layers.0.mlp.fc1.weight"][0],
        "layers": 1 + max(int(name.split(".")[2]) for name in shapes if name.startswith("encoder.layers.")),
        "heads": hidden // head_dim,
        "image_size": round(places**0.5) * patch,
        "patch_size": patch,
    }


def vision_name(name: str) -> tuple[str, int | None] | None:
    """A file's name of an image tower's tensor -> transformers' name and, of a fused q, k, v, all three parts.

    The second value is None for a tensor of its own, else 3: the name then has `{}` where q, k or v goes. None
    for tensors of the file that the tower does not use.
    """
    if name.startswith("vision_model."):
        return None if name.endswith("position_ids") else (name.removeprefix("vision_model."), None)
    if not name.startswith("visual."):
        return None
    name = name.removeprefix("visual.")
    for theirs, ours in _OPEN_CLIP.items():
        if name == theirs or name.startswith(theirs + "."):
            return ours + name[len(theirs) :], None
    if name.startswith("transformer."):
        _, number, rest = name.split(".", 2)
        module, suffix = rest.rsplit(".", 1)
        prefix = f"encoder.layers.{number}."
        if module == "attn.to_qkv":
            return f"{prefix}self_attn.{{}}_proj.{suffix}", 3
        return f"{prefix}{_OPEN_CLIP_BLOCK[module]}.{suffix}", None
    return None


_OPEN_CLIP = {
    "cls_embedding": "embeddings.class_embedding",
    "patch_embedding": "embeddings.patch_embedding",
    "pos_embedding": "embeddings.position_embedding.weight",
    "pre_norm": "pre_layrnorm",
    "post_norm": "post_layernorm",
}
_OPEN_CLIP_BLOCK = {
    "attn.proj": "self_attn.out_proj",
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "mlp.0": "mlp.fc1",
    "mlp.2": "mlp.fc2",
}


def _is_generator(names: set[str]) -> bool:
    ours = {from_layout(name, layout_of(names)) for name in names}
    return "patch_embedding.weight" in ours and any(".action_model." in name for name in ours)


def _is_vae(names: set[str]) -> bool:
    return any(name.endswith("decoder.head.2.weight") for name in names)


def _is_tiny(names: set[str]) -> bool:
    return "decoder.22.weight" in names and "decoder.3.conv.0.weight" in names


def _is_vision(names: set[str]) -> bool:
    return any(name.startswith(("vision_model.embeddings.", "visual.patch_embedding")) for name in names)


def _describe_generator(report: FileReport, tensors: Mapping[str, TensorInfo]) -> None:
    report.kind = "generator"
    report.layout = layout_of(tensors)
    report.names = {from_layout(name, report.layout): name for name in tensors}
    shapes = {ours: tensors[theirs].shape for ours, theirs in report.names.items()}
    config, report.variant = generator_config(shapes)
    report.config = config
    name = report.variant.title if report.variant else f"unknown variant with {config.keyboard_dim} keys"
    report.title = f"Matrix-Game 2.0 generator, {name}"
    if len(config.action_layers) == config.layers == 30:
        report.kind, report.variant = "foundation", None
        report.title = "Matrix-Game 2.0 foundation model (the many-step teacher)"
        report.advice = "It cannot generate block by block; use one of the three distilled files."
        return
    with torch.device("meta"):
        _compare(report, shapes, _shapes(Generator(config)))


def _describe_vae(report: FileReport, tensors: Mapping[str, TensorInfo]) -> None:
    report.kind, report.title = "vae", "Wan 2.1 VAE"
    end = "decoder.head.2.weight"
    head = next(name for name in tensors if name.endswith(end))
    report.names = _without_prefix(tensors, head.removesuffix(end))
    shapes = {ours: tensors[theirs].shape for ours, theirs in report.names.items()}
    width = tensors[head].shape[1]
    with torch.device("meta"):
        _compare(report, shapes, _shapes(WanVAE(width)))
    if width != 96:
        report.title = f"Wan 2.1 VAE of base width {width}"


def _describe_tiny(report: FileReport, tensors: Mapping[str, TensorInfo]) -> None:
    report.kind = "decoder"
    # The two published files differ in nothing but what they are stored in (sizes: research of this project).
    denormalised = report.dtype == "float32"
    report.layout = "lighttaew2_1" if denormalised else "taew2_1"
    report.title = f"tiny video decoder ({report.layout}: expects {'VAE' if denormalised else 'normalised'} latents)"
    theirs = {theirs: ours for ours, theirs in PUBLISHED_NAMES.items()}
    for name in tensors:
        module, _, rest = name.rpartition(".")
        if name.startswith("encoder."):
            continue  # the tiny encoder is not used
        if module.endswith(".conv") and module.removesuffix(".conv") in theirs:
            module = module.removesuffix(".conv")
        base = next((m for m in theirs if module == m or module.startswith(m + ".")), None)
        ours = name if base is None else f"{theirs[base]}{module[len(base) :]}.{rest}"
        report.names[ours] = name
    with torch.device("meta"):
        _compare(report, {ours: tensors[n].shape for ours, n in report.names.items()}, _shapes(TinyDecoder()))


def _describe_vision(report: FileReport, tensors: Mapping[str, TensorInfo]) -> None:
    report.kind = "vision"
    report.layout = "hf" if any(name.startswith("vision_model.") for name in tensors) else "open_clip"
    shapes: dict[str, Shape] = {}
    for name, info in tensors.items():
        known = vision_name(name)
        if known is None:
            continue
        ours, parts = known
        for part in "qkv" if parts else ("",):
            report.names[ours.format(part)] = name
            shapes[ours.format(part)] = (info.shape[0] // 3, *info.shape[1:]) if parts else info.shape
    shapes["embeddings.class_embedding"] = shapes.get("embeddings.class_embedding", ())[-1:]
    shapes["embeddings.position_embedding.weight"] = shapes.get("embeddings.position_embedding.weight", ())[-2:]
    try:
        sizes = vision_sizes(shapes)
    except (KeyError, IndexError, ValueError):
        report.title, report.missing = "CLIP image tower", ["embeddings or first block"]
        return
    report.title = f"CLIP image tower, {sizes['layers']} blocks of {sizes['hidden']}"
    last = f"encoder.layers.{sizes['layers'] - 1}."
    for name in [name for name in shapes if name.startswith(last)]:
        del shapes[name], report.names[name]  # the last block is never run
    _compare(report, shapes, _vision_shapes(sizes))


def _vision_shapes(sizes: Mapping[str, int]) -> dict[str, Shape]:
    from ..vision import ImageEncoder

    with torch.device("meta"):
        shapes = _shapes(ImageEncoder(**sizes).model)
    # transformers before 5 puts `vision_model.` in front and lists position ids
    return {k.removeprefix("vision_model."): v for k, v in shapes.items() if not k.endswith("position_ids")}


def _shapes(module: torch.nn.Module) -> dict[str, Shape]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def _without_prefix(tensors: Mapping[str, TensorInfo], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): name for name in tensors}


def _compare(report: FileReport, found: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> None:
    report.missing = sorted(wanted.keys() - found.keys())
    report.unexpected = sorted(found.keys() - wanted.keys())
    report.wrong_shape = [
        f"{name} {list(found[name])} instead of {list(wanted[name])}"
        for name in sorted(wanted.keys() & found.keys())
        if found[name] != wanted[name]
    ]


def _guess(names: set[str]) -> tuple[str, str]:
    """What a file that is none of ours probably is, and what to use instead."""
    generator = "Use a Matrix-Game 2.0 file: base_distill, gta_keyboard2dim or templerun_7dim_onlykey."
    if any("cross_attn" in n or "attn2" in n for n in names) and any("patch_embedding" in n for n in names):
        return "a Wan video model without action modules", generator
    if any("double_blocks" in n or "input_blocks" in n or "single_transformer" in n for n in names):
        return "an image or video model of another family", generator
    if any(n.endswith((".lora_A.weight", ".lora_up.weight", ".lora_down.weight")) for n in names):
        return "a LoRA", "Load it with a LoRA loader, on top of a generator."
    if any(n.startswith(("encoder.down_blocks", "decoder.up_blocks", "decoder.up.")) for n in names):
        return "a VAE in another layout or of another model", "Use Wan2.1_VAE.pth or wan_2.1_vae.safetensors."
    if any(n.startswith(("encoder.block.", "text_model.", "token_embedding")) for n in names):
        return "a text encoder", "Matrix-Game 2.0 has none; an image tower is clip_vision_h.safetensors."
    return "not a file this program knows", generator
