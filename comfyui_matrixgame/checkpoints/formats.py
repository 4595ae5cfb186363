"""What a weights file is, decided by its keys and shapes and never by its name or a config beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import CheckpointError
from ..networks.generator import GeneratorConfig
from ..networks.vae.tiny import PUBLISHED_NAMES
from ..variants import Variant
from .containers.gguf_file import PACKED_NAMES, package_is_there
from .containers.tensors import first_line, is_weights, printable_name
from .described import check_chosen, described_variant, undescribed_note
from .names import generator_names, without_wrappers
from .reader import GENERATOR, WeightsFile, open_weights
from .scaled import plain_dtype
from .sizes import (
    HEAD_DIM_OF_H,
    HEAD_DIM_OF_SMALL,
    Impossible,
    Shape,
    generator_config,
    generator_layers,
    generator_shapes,
    tiny_shapes,
    vae_shapes,
    vae_width,
    vision_shapes,
    vision_sizes,
)
from .tables.other_files import OTHERS_FIRST, guess_other_file
from .tables.vision_names import vision_name

__all__ = [
    "HEAD_DIM_OF_H", "HEAD_DIM_OF_SMALL", "FileReport", "generator_config", "inspect_file", "recognise", "vision_name",
    "vision_sizes",
]  # fmt: skip


FOUNDATION = "foundation"  # the kind of the model that the others were distilled from


@dataclass
class FileReport:
    """What a file is and whether it is whole.

    kind: `generator`, `vae`, `decoder`, `vision`, `foundation`, `other` for a known file of another model, or
    `unknown`. names: our tensor name -> the file's. wrong_dtype: tensors of a dtype that weights never have.
    origin: which part of the file this is, where it has several. doubt: a note where only a generator's shapes say
    which variant it is. is_described: whether its variant is from a user's description.
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
    wrong_dtype: list[str] = field(default_factory=list)
    advice: str = ""
    origin: str = ""
    doubt: str = ""
    is_described: bool = False

    @property
    def complete(self) -> bool:
        """Whether every tensor is there with the right shape, and nothing else."""
        return self.kind not in ("unknown", "other") and not any(names for _, names in self._faults())

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong with the file, whatever model it is of."""
        return self.complete or self.kind == "other"

    @property
    def dtype(self) -> str:
        """The dtype to keep the parameters in: that of most of them, and bfloat16 where their scales would be lost."""
        return plain_dtype(max(self.dtypes, key=lambda name: self.dtypes[name]))

    def problems(self) -> str:
        """One line on what is missing, unexpected, or of the wrong shape or dtype."""
        return "; ".join(
            f"{len(names)} {what} ({', '.join(map(printable_name, names[:2]))}{', ...' if len(names) > 2 else ''})"
            for what, names in self._faults()
            if names
        )

    def _faults(self) -> tuple[tuple[str, list[str]], ...]:
        return (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("of the wrong shape", self.wrong_shape),
            ("of the wrong dtype", self.wrong_dtype),
        )


def inspect_file(path: str | Path, part: str = GENERATOR, chosen: Variant | None = None) -> FileReport:
    """Recognise a weights file. part: which folder of a Diffusers model. chosen: see recognise. Raises CheckpointError
    where it cannot be read at all, or where its shapes fit no model."""
    with open_weights(path, part) as file:
        return recognise(file, chosen=chosen)


def recognise(file: WeightsFile, described: bool = True, chosen: Variant | None = None) -> FileReport:
    """Recognise an open weights file. described: whether a user's description decides first. chosen: what a generator
    is to run as, whatever its description says. Raises CheckpointError where its shapes fit no model, and VariantError
    where its description, or `chosen`, contradicts it."""
    dtypes: Counter[str] = Counter()
    for info in file.tensors.values():
        dtypes[info.dtype] += info.size
    report = FileReport(file.path, "unknown", "", sum(dtypes.values()), dict(dtypes or {"none": 0}), origin=file.origin)
    try:
        _describe(report, file)
    except Impossible as error:
        raise CheckpointError(
            f"{file.name} is not a model that can be built: {error}. It is damaged or made up; get the published file."
        ) from None
    except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError, MemoryError) as error:
        raise CheckpointError(
            f"{file.name} is not a file this program knows ({first_line(error)}); get the published file."
        ) from None
    if report.config is not None and report.kind == "generator":
        _decide_variant(report, file, described, chosen)
    return report


def _decide_variant(report: FileReport, file: WeightsFile, described: bool, chosen: Variant | None) -> None:
    """The chosen variant decides, then a user's description, and then the shapes; where these alone do, `doubt` says
    so."""
    assert report.config is not None
    if chosen is not None:
        check_chosen(file, chosen, report.config)
    said = chosen or (described_variant(file, report.config) if described else None)
    if said is not None:
        report.variant, report.is_described = said, chosen is None
        report.config = replace(report.config, window=said.window, sink=said.sink)
    elif report.variant is not None:
        report.doubt = undescribed_note(file, report.variant)
    name = report.variant.title if report.variant else f"unknown variant with {report.config.keyboard_dim} keys"
    report.title = f"Matrix-Game 2.0 generator, {name}"


def _describe(report: FileReport, file: WeightsFile) -> None:
    if file.packed:
        report.kind, report.title = "other", f"a model whose weights are packed as {file.packed}"
        report.advice = "That packing is not supported; use the bfloat16 or the scaled fp8 file of the same model."
        return
    names = set(file.tensors)
    other = next((row for row in OTHERS_FIRST if any(row[0].search(name) for name in names)), None)
    if other is not None:
        report.kind, report.title, report.advice = "other", *other[1:]
        return
    for test, describe in (
        (_is_generator, _describe_generator),
        (_is_vae, _describe_vae),
        (_is_tiny, _describe_tiny),
        (_is_vision, _describe_vision),
    ):
        if test(names):
            describe(report, file)
            report.wrong_dtype += [
                f"{printable_name(name)} {file.tensors[name].dtype}"
                for name in sorted(set(report.names.values()))
                if not is_weights(file.tensors[name])
            ]
            _say_what_is_needed(report)
            return
    report.kind, report.title, report.advice = guess_other_file(names, file.metadata)


def _say_what_is_needed(report: FileReport) -> None:
    packed = sorted(PACKED_NAMES & report.dtypes.keys())
    if packed and not package_is_there():
        report.advice = f"Its {', '.join(packed)} weights need the gguf package: pip install gguf."


def _is_generator(names: set[str]) -> bool:
    return any(name.endswith(("patch_embedding.weight", "patch_embedding.proj.weight")) for name in names) and any(
        ".action_model." in name for name in names
    )


def _is_vae(names: set[str]) -> bool:
    return any(name.endswith("decoder.head.2.weight") for name in names)


def _is_tiny(names: set[str]) -> bool:
    return "decoder.22.weight" in names and "decoder.3.conv.0.weight" in names


def _is_vision(names: set[str]) -> bool:
    return any(name.startswith(("vision_model.embeddings.", "visual.patch_embedding")) for name in names)


def _describe_generator(report: FileReport, file: WeightsFile) -> None:
    report.kind, tensors = "generator", file.tensors
    report.names, report.layout, prefix = generator_names(tensors)
    if prefix:
        report.origin = f"names under {printable_name(prefix)}" + (f"; {report.origin}" if report.origin else "")
    report.parameters = sum(tensors[name].size for name in report.names.values())
    shapes = {ours: tensors[theirs].shape for ours, theirs in report.names.items()}
    layers, acting = generator_layers(report.names)
    if len(acting) == layers == 30:
        report.kind = FOUNDATION
        report.title = "Matrix-Game 2.0 foundation model (the many-step teacher)"
        report.advice = (
            "It cannot generate block by block; `matrixgame render`, and core samplers behind Foundation Conditioning "
            "in ComfyUI, make a clip with it at once. Everything else takes one of the three distilled files."
        )
    try:
        report.config, report.variant = generator_config(shapes)
    except Impossible as error:
        if report.kind != FOUNDATION:
            raise
        report.wrong_shape = [str(error)]
        return
    _compare(report, shapes, generator_shapes(report.config))


def _describe_vae(report: FileReport, file: WeightsFile) -> None:
    report.kind, report.title, tensors = "vae", "Wan 2.1 VAE", file.tensors
    end = "decoder.head.2.weight"
    bare = {without_wrappers(name): name for name in tensors}
    prefix = min((name.removesuffix(end) for name in bare if name.endswith(end)), key=len)
    report.names = {name.removeprefix(prefix): theirs for name, theirs in bare.items()}
    shapes = {ours: tensors[theirs].shape for ours, theirs in report.names.items()}
    width = vae_width(shapes)
    if shapes[end][0] == 12:  # a patch of 2 x 2 pixels at once
        report.kind, report.title, report.advice = "other", *OTHERS_FIRST[1][1:]
        return
    _compare(report, shapes, vae_shapes(width))
    if width != 96:
        report.title = f"Wan 2.1 VAE of base width {width}"


def _describe_tiny(report: FileReport, file: WeightsFile) -> None:
    report.kind, tensors = "decoder", file.tensors
    # The two published files differ in nothing but their dtype (sizes: research of this project).
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
    _compare(report, {ours: tensors[n].shape for ours, n in report.names.items()}, tiny_shapes())


def _describe_vision(report: FileReport, file: WeightsFile) -> None:
    report.kind, tensors = "vision", file.tensors
    report.layout = "hf" if any(name.startswith("vision_model.") for name in tensors) else "open_clip"
    shapes: dict[str, Shape] = {}
    for name, info in tensors.items():
        found = vision_name(name)
        if found is None:
            continue
        ours, parts = found
        for part in "qkv" if parts else ("",):
            report.names[ours.format(part) if parts else ours] = name
            third = (info.shape[0] // 3, *info.shape[1:]) if parts and info.shape else info.shape
            shapes[ours.format(part) if parts else ours] = third
    shapes["embeddings.class_embedding"] = shapes.get("embeddings.class_embedding", ())[-1:]
    shapes["embeddings.position_embedding.weight"] = shapes.get("embeddings.position_embedding.weight", ())[-2:]
    try:
        sizes = vision_sizes(shapes)
    except KeyError:
        report.title, report.missing = "CLIP image tower", ["embeddings or first block"]
        return
    report.title = f"CLIP image tower, {sizes['layers']} blocks of {sizes['hidden']}"
    last = f"encoder.layers.{sizes['layers'] - 1}."
    for name in [name for name in shapes if name.startswith(last)]:
        del shapes[name], report.names[name]  # the last block is never run
    _compare(report, shapes, vision_shapes(sizes))


def _compare(report: FileReport, found: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> None:
    report.missing = sorted(wanted.keys() - found.keys())
    report.unexpected = sorted(found.keys() - wanted.keys())
    report.wrong_shape = [
        f"{name} {list(found[name])} instead of {list(wanted[name])}"
        for name in sorted(wanted.keys() & found.keys())
        if found[name] != wanted[name]
    ]
