"""From weights files on disk to Models that fit the device: found, inspected, planned for, loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .checkpoints import FileReport, inspect_file, load_decoder, load_generator, load_vae, load_vision
from .checkpoints.builtin import NAME as DEMO_WORLD
from .checkpoints.builtin import OTHER_PICTURES, demo_world, is_start_image, start_images
from .checkpoints.formats import FOUNDATION
from .checkpoints.load import DTYPES, compute_dtype, generator_bytes, storage_dtype
from .checkpoints.lora.merging import Lora, common_steps, open_lora, split_strength
from .checkpoints.reader import open_weights
from .checkpoints.sizes import generator_shapes
from .compute.attention import get_attention
from .compute.devices import fit_threads
from .compute.quantise import EXACT
from .compute.streaming import stream_weights
from .errors import ImageError, MatrixGameError, WorldError
from .media.fitting import HEIGHT, WIDTH
from .media.images import read_start
from .memory import MemoryEstimate, MemoryPlan, estimate_memory, free_memory, plan_memory
from .networks.vae.low_memory import TiledDecoder, VisitingEncoder
from .variants import Tried, Variant, default_variant
from .world import Models
from .world.models import network_id

STORED_FP8 = "float8_e4m3fn"


@dataclass(frozen=True)
class Files:
    """The weights files of a render, and what they are. size: height and width they were trained at, in pixels.
    is_demo: whether they are those of the demo world. precision: one of quantise.PRECISIONS. memory: one of
    memory.MODES. loras: those merged into the generator. chosen: what the generator is to run as;
    None: what its file says."""

    generator: FileReport
    vae: FileReport
    vision: Path | None
    decoder: Path | None
    dtype: str
    device: torch.device
    size: tuple[int, int] = (HEIGHT, WIDTH)
    is_demo: bool = False
    precision: str = EXACT
    memory: str = "auto"
    loras: tuple[Lora, ...] = ()
    chosen: Variant | None = None

    @property
    def variant(self) -> Variant:
        """The generator's variant."""
        if self.generator.variant is None:
            raise MatrixGameError(f"{self.generator.path.name} is {self.generator.title}. {self.generator.advice}")
        return self.generator.variant

    def with_loras(self, named: Sequence[str]) -> Files:
        """The same with LoRAs, each a FILE or FILE:STRENGTH; at a strength of 0 a LoRA is left out. Raises
        MatrixGameError where one is not for this generator."""
        assert self.generator.config is not None
        found, shapes = [split_strength(text) for text in named], generator_shapes(self.generator.config)
        return replace(self, loras=tuple(open_lora(path, strength, shapes) for path, strength in found if strength))

    def trying(self, tried: Tried) -> Files:
        """The same with the user's own steps, window or sink; without such steps, with those that the LoRAs were
        distilled to. Raises VariantError for settings that cannot be used."""
        if tried.steps is None:
            tried = replace(tried, steps=common_steps((lora.name, lora.steps) for lora in self.loras))
        variant, config = tried.of(self.variant), self.generator.config
        assert config is not None
        config = replace(config, window=variant.window, sink=variant.sink)
        return replace(self, generator=replace(self.generator, variant=variant, config=config))


def find_files(
    generator: str | Path | None,
    vae: str | Path | None,
    vision: str | Path | None,
    decoder: str | Path | None,
    dtype: str,
    device: torch.device,
    whole_clips: bool = False,
    chosen: Variant | None = None,
) -> Files:
    """The weights of a render, inspected but not loaded; without any, those of the demo world. whole_clips: whether the
    generator may be one that makes a clip at once. chosen: see Files.

    Raises MatrixGameError that names the option.
    """
    size = None
    is_demo = generator in (None, DEMO_WORLD) and not vae and not vision
    if is_demo:
        demo = demo_world()
        generator, vae, vision, size = demo.generator, demo.vae, demo.vision, (demo.height, demo.width)
    if not generator or not vae:
        raise MatrixGameError(
            "Name the weights with --generator, --vae and --clip, which "
            f"`matrixgame download {default_variant().name}` fetches, or none of them for the demo world."
        )
    reports = inspect_file(generator, chosen=chosen), inspect_file(vae)
    for report, kind, option in zip(reports, ("generator", "vae"), ("--generator", "--vae"), strict=True):
        if report.kind != kind and not (whole_clips and (kind, report.kind) == ("generator", FOUNDATION)):
            raise MatrixGameError(f"{option}: {report.path.name} is {report.title}. {report.advice}".rstrip())
        if not report.complete:
            raise MatrixGameError(f"{option}: {report.path.name} is incomplete: {report.problems()}.")
    fit_threads(device, reports[0].parameters)
    vision, decoder = Path(vision) if vision else None, Path(decoder) if decoder else None
    size = size or (reports[0].variant or default_variant()).size
    return Files(*reports, vision, decoder, dtype, device, size, is_demo, chosen=chosen)


def load_models(files: Files, attention: str = "sdpa", plan: MemoryPlan | None = None) -> Models:
    """Generator, VAE and decoder of a render, placed as planned; the image tower has done its work before."""
    mode, small, tiles = ("full", False, 1) if plan is None else (plan.mode, plan.encode_at_once, plan.tiles)
    device = files.device
    place = torch.device("cpu") if small else device
    dtype = STORED_FP8 if mode == "fp8" else files.dtype
    streamed = mode == "stream"
    here = place if streamed else device
    generator = load_generator(
        files.generator.path, dtype, here, precision=files.precision, loras=files.loras, variant=files.chosen
    )
    generator.run_as(files.variant)
    generator.attention = get_attention(attention)
    vae: Any = load_vae(files.vae.path, files.dtype, place)
    decoder: Any = load_decoder(files.decoder, files.dtype, device) if files.decoder else None
    generator_id = "+".join([network_id(generator), *(lora.id for lora in files.loras)])  # nothing changes it later
    if streamed:
        storage = storage_dtype(dtype, files.generator.dtype)
        generator.compute_dtype = compute_dtype(storage, device)
        stream_weights(generator, device)
    if small:
        vae.compute_dtype = compute_dtype(next(vae.parameters()).dtype, device)
        vae = VisitingEncoder(vae, device, decodes=decoder is None)
    if tiles > 1:
        decoder = TiledDecoder(vae if decoder is None else decoder, tiles)
    return Models(generator, vae, decoder, generator_id=generator_id, loras=tuple(lora.name for lora in files.loras))


def plan_for(files: Files, height: int, width: int, played: bool = False, tiles: int | None = None) -> MemoryPlan:
    """How a render is fitted into its device. played: see estimate_memory. tiles: see plan_memory. Raises BackendError
    for an unknown mode."""

    def rest(encode_at_once: bool, tiles: int) -> MemoryEstimate:
        kept = files.device.type == "cpu"
        how = {"kept": kept, "played": played, "encode_at_once": encode_at_once, "tiles": tiles}
        return estimate_for(files, height, width, **how)

    assert files.generator.config is not None
    vae = files.vae.parameters * max(2, storage_dtype(files.dtype, files.vae.dtype).itemsize)
    storage = storage_dtype(files.dtype, files.generator.dtype)
    full, streamed = generator_bytes(files.generator.config, storage, files.precision)
    stored_fp8, _ = generator_bytes(files.generator.config, DTYPES[STORED_FP8], files.precision)
    weights = {"full": full + vae, "stream": streamed + vae, "fp8": stored_fp8 + vae}
    return plan_memory(files.memory, free_memory(files.device), weights, rest, files.decoder is not None, tiles)


def estimate_for(files: Files, height: int, width: int, **how: Any) -> MemoryEstimate:
    """The memory a render will take, from what its files hold. how: further arguments of estimate_memory."""
    report = files.generator
    assert report.config is not None
    storage = storage_dtype(files.dtype, report.dtype)
    compute = compute_dtype(storage, files.device)
    weights = report.parameters * storage.itemsize
    weights += files.vae.parameters * max(2, storage_dtype(files.dtype, files.vae.dtype).itemsize)
    return estimate_memory(
        report.config,
        height,
        width,
        weights=weights,
        cache_dtype=torch.float32 if storage == torch.float32 else torch.bfloat16,
        compute_dtype=compute,
        vae_width=_vae_width(files.vae),
        tiny=files.decoder is not None,
        device=files.device,
        **how,
    )


def start_picture(
    image: str | Path | bytes | None, files: Files, height: int, width: int, note: Callable[[str], object]
) -> Tensor:
    """A start image [3, H, W] in [-1, 1] of a file or its bytes; the demo world has one of its own. note: gets
    sentences about it. Raises ImageError."""
    if image is None and files.is_demo:
        image = start_images()[0]
    if image is None:
        raise ImageError("Name a start image, the picture that the world begins with.")
    notes: list[str] = []
    picture = read_start(image, height, width, note=notes.append)  # first: where it fails, there is only its error
    if files.is_demo and not is_start_image(image):
        notes.insert(0, OTHER_PICTURES)
    for text in notes:
        note(text)
    return picture


def image_features(files: Files, image: Tensor) -> Tensor:
    """Features [1, 257, dim] of an image [3, H, W]; the image tower is loaded for them and let go."""
    if files.vision is None:
        raise WorldError("Starting a world needs the image tower; name clip_vision_h.safetensors with --clip.")
    tower = load_vision(files.vision, files.dtype, files.device)
    with torch.inference_mode():
        return tower(image.unsqueeze(0))


def _vae_width(report: FileReport) -> int:
    with open_weights(report.path) as file:
        return file.tensors[report.names["decoder.head.2.weight"]].shape[1]
