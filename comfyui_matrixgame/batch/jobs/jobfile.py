"""The job file: what is asked for, checked as a whole before anything runs."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...actions.drawing.overlay import POSITIONS, STYLES
from ...actions.track import blocks_of_rows
from ...checkpoints.builtin import demo_world, start_images
from ...errors import BatchError, ImageError
from ...media.fitting import HEIGHT, WIDTH, check_size
from ...variants import FPS, MOST_BLOCKS, VARIANTS, default_variant, get_variant
from .job_text import read_values
from .located_values import Value, quoted_value
from .models import variant_in_file
from .output_names import check_names, default_template, parse_template
from .patterns import home_path
from .products import MOST_JOBS, Product
from .scripts import MOST_SEEDS, read_scripts
from .settings import KEEP, JobFile, ModelPaths, Overlay, is_url
from .start_sources import Start, known_fields, read_clips, read_images

SETTINGS = ("version", "models", "variant", "size", "output", "name", "keep", "overlay", "worlds", "cache", "jobs")
AXES = ("images", "clips", "scripts", "seeds", "variants", "lengths", "name")
SINGULAR = {"image": "images", "clip": "clips", "script": "scripts", "seed": "seeds", "variant": "variants",
            "length": "lengths", "timeline": "scripts", "timelines": "scripts", "blocks": "lengths"}  # fmt: skip
MODELS = ("generator", "vae", "clip", "decoder", "dtype", "attention", "lora")
MOST_WORLDS = 64
_SEEDS = re.compile(r"(\d{1,30})\s*\.\.\s*(\d{1,30})")
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(b|f|s)?")


def read_job_file(path: str | Path, output: str | None = None, cache: str | None = None) -> JobFile:
    """Read and check a job file. Raises BatchError with file and line.

    output, cache: instead of those in it, which count from its folder; these count from the current one.
    """
    path = Path(path)
    root = read_values(path)
    top = root.items("A job file")
    top = {SINGULAR.get(name, name) if name != "variant" else name: value for name, value in top.items()}
    for name, value in top.items():
        if name not in SETTINGS and name not in AXES:
            value.fail(f"there is no setting '{name}'; use {', '.join((*SETTINGS, *AXES[:-1]))}.")
    if "version" in top and top["version"].data != "1":
        top["version"].fail(f"this program reads version 1 of job files, got {quoted_value(top['version'].data)}.")
    folder = path.parent
    models = _models(top["models"]) if "models" in top else ModelPaths({})
    size = _size(top["size"]) if "size" in top else _trained_size(top.get("models"), models, folder)
    overlay = _overlay(top.get("overlay"))
    keep = _keep(top.get("keep"), overlay)
    where = top["output"].text("output") if "output" in top else path.stem
    worlds = top["worlds"].whole("worlds", 1) if "worlds" in top else 1
    if worlds > MOST_WORLDS:
        top["worlds"].fail(f"at most {MOST_WORLDS} worlds run at once, got {worlds}.")
    cached = folder / _home(top["cache"], "cache") if "cache" in top else None
    if cache:
        cached = home_path(cache).absolute()
    if cached is not None and worlds > 1:
        top["worlds"].fail(
            "a cache holds worlds that were made alone, and several at once have other last digits; leave out one of "
            "`worlds` and `cache`."
        )
    shared = {name: value for name, value in top.items() if name in (*AXES, "variant")}
    notes = dict.fromkeys(root.notes)
    known: dict[tuple, Any] = {}
    products = [_product(value, shared, models, folder, size, notes, known) for value in _product_values(root, top)]
    check_names(products, path.name)
    if output:
        where = output if is_url(output) else str(home_path(output).absolute())
    elif not is_url(where):
        where = str(folder / (_home(top["output"], "output") if "output" in top else where))
    return JobFile(path, models, size, where, keep, overlay, worlds, cached, products, tuple(notes))


def _product_values(root: Value, top: dict[str, Value]) -> Sequence[Value]:
    """The values of `jobs`, or the file as the one entry it then is."""
    if "jobs" not in top:
        return [dataclasses.replace(root, data={})]
    values = top["jobs"].list()
    if not values:
        top["jobs"].fail("there are no jobs; name at least one.")
    return values


def _home(value: Value, what: str) -> Path:
    """A path of the job file with ~ as the home folder."""
    try:
        return home_path(value.text(what))
    except BatchError as error:
        value.fail(str(error)) if value.file not in str(error) else None
        raise


def _product(
    value: Value,
    shared: dict[str, Value],
    models: ModelPaths,
    folder: Path,
    size: tuple[int, int],
    notes: dict[str, None],
    known: dict[tuple, Any],
) -> Product:
    """known: what the texts of earlier jobs stand for."""
    items = value.items("A job")
    named = {}
    for name, field in items.items():
        axis = SINGULAR.get(name, name)
        if axis not in AXES:
            field.fail(f"a job has no '{name}'; use {', '.join(AXES)}.")
        if axis in named:
            field.fail(f"'{name}' and its plural say the same; keep one of them.")
        named[axis] = field
    fields = {SINGULAR.get(name, name): field for name, field in shared.items()} | named
    if "clips" in named and "images" not in named:
        fields.pop("images", None)
    elif "images" in named and "clips" not in named:
        fields.pop("clips", None)
    for needed in ("scripts",):
        if needed not in fields:
            value.fail("a job needs scripts: what is held, and for how long.")
    variants = _variants(fields.get("variants"), models, folder)
    starts: list[Start] = []
    if "images" in fields:
        images = fields["images"]
        starts += _once(known, images, ("images",), lambda: read_images(images, folder, size, notes))
    if "clips" in fields:
        starts += read_clips(fields["clips"], folder, variants, notes)
    if not starts and models.is_demo and not {"images", "clips"} & fields.keys():
        starts = [Start(path.stem, str(path)) for path in start_images()]
    if not starts:
        value.fail("a job needs images, or clips to continue.")
    asked = fields["scripts"]
    scripts = _once(known, asked, ("scripts", variants), lambda: read_scripts(asked, folder, variants, notes))
    lengths = _lengths(fields["lengths"]) if "lengths" in fields else [None]
    seeds = _seeds(fields["seeds"]) if "seeds" in fields else [0]
    axes = (variants, starts, lengths, scripts, seeds)
    count = math.prod(len(axis) for axis in axes)
    if count > MOST_JOBS:
        value.fail(f"these lists ask for {count:,} jobs, and at most {MOST_JOBS:,} can be; shorten one of them.")
    return Product(value.line, *axes, _template(fields["name"]) if "name" in fields else default_template(axes))


def _template(value: Value) -> str:
    try:
        return parse_template(value.text("name"))
    except BatchError as error:
        value.fail(str(error))


def _once(known: dict[tuple, Any], value: Value, key: tuple, read: Callable[[], Any]) -> Any:
    """What `read` makes of a text, from `known` where a job before it has the same: thousands may name one picture."""
    if not isinstance(value.data, str):
        return read()
    key = (*key, value.data)
    if key not in known:
        known[key] = read()
    return known[key]


def _variants(value: Value | None, models: ModelPaths, folder: Path) -> tuple[str, ...]:
    """Those asked for, or the one that the generator is of."""
    if value is None:
        named = next((name for name in models.generators if name), None)
        alone = models.generators.get("")
        return (named or (alone and variant_in_file(alone, folder)) or default_variant().name,)
    names = tuple(entry.text("a variant") for entry in value.list())
    for entry, name in zip(value.list(), names, strict=True):
        if name not in VARIANTS:
            entry.fail(f"there is no variant '{name}'; use {', '.join(VARIANTS)}.")
        if models.generators and name not in models.generators and "" not in models.generators:
            entry.fail(f"models has no generator for {name}; name its file beside the others.")
    if not names:
        value.fail("there are no variants; name at least one.")
    return tuple(dict.fromkeys(names))


def _models(value: Value) -> ModelPaths:
    fields = known_fields(value, "models", MODELS)
    generators: dict[str, str] = {}
    if "generator" in fields:
        items = fields["generator"]
        if isinstance(items.data, dict):
            for name, file in items.data.items():
                if name not in VARIANTS:
                    file.fail(f"there is no variant '{name}'; use {', '.join(VARIANTS)}.")
                generators[name] = file.text(f"the generator of {name}")
        else:
            generators[""] = items.text("generator")
    texts = {name: fields[name].text(name) for name in MODELS[1:-1] if name in fields}
    loras = tuple(entry.text("lora") for entry in fields["lora"].list()) if "lora" in fields else ()
    return ModelPaths(generators, **texts, loras=loras, line=value.line)


def _trained_size(value: Value | None, models: ModelPaths, folder: Path) -> tuple[int, int]:
    """Height and width that the generators were trained at, where no size is said."""
    if models.is_demo:
        demo = demo_world()
        return demo.height, demo.width
    named = [name or variant_in_file(file, folder) for name, file in models.generators.items()]
    sizes = {get_variant(name).size for name in named if name is not None}
    if len(sizes) > 1 and value is not None:
        value.fail("its generators were trained at different sizes; say `size` of the jobs.")
    return sizes.pop() if sizes else (HEIGHT, WIDTH)


def _size(value: Value) -> tuple[int, int]:
    parts = value.text("size").lower().replace("\u00d7", "x").split("x")
    if len(parts) != 2 or not all(part.strip().isdecimal() and len(part) < 9 for part in parts):
        value.fail(f"size is WIDTHxHEIGHT such as {WIDTH}x{HEIGHT}, got {quoted_value(value.data)}.")
    width, height = (int(part) for part in parts)
    try:
        check_size(height, width)
    except ImageError as error:
        value.fail(str(error))
    return height, width


def _keep(value: Value | None, overlay: Overlay | None) -> tuple[str, ...]:
    if value is None:
        return ("mp4", "inputs")
    names = []
    for entry in value.list():
        name = {"jpg": "jpeg", "frames": "png", "worlds": "world"}.get(str(entry.data), str(entry.data))
        if name not in KEEP:
            entry.fail(f"what is kept is any of {', '.join(KEEP)}, got {quoted_value(entry.data)}.")
        names.append(name)
    if not names and overlay is None:
        value.fail(f"nothing would be kept; name at least one of {', '.join(KEEP)}.")
    return tuple(name for name in KEEP if name in names)


def _overlay(value: Value | None) -> Overlay | None:
    if value is None or value.data in (False, None, "none"):
        return None
    if value.data is True:
        return Overlay()
    if isinstance(value.data, str):
        overlay = Overlay(value.data)
    else:
        fields = known_fields(value, "overlay", ("style", "position"))
        overlay = Overlay(**{name: field.text(name) for name, field in fields.items()})
    if overlay.style not in STYLES or overlay.position not in POSITIONS:
        value.fail(f"overlay is one of {', '.join(STYLES)}, at {', '.join(POSITIONS)}; got {quoted_value(value.data)}.")
    return overlay


def _seeds(value: Value) -> Sequence[int]:
    """Whole numbers, or ranges FIRST..LAST; one range alone stays one."""
    parts: list[range] = []
    for entry in value.list():
        match = _SEEDS.fullmatch(entry.data.strip()) if isinstance(entry.data, str) else None
        first = int(match[1]) if match else entry.whole("a seed")
        last = int(match[2]) if match else first
        if last < first:
            entry.fail(f"the seeds {first}..{last} run backwards; write {last}..{first}.")
        if last >= 1 << 64:
            entry.fail(f"a seed is below 2 to the 64th, got {last}.")
        if last - first >= MOST_SEEDS:
            entry.fail(f"a range has at most {MOST_SEEDS:,} seeds, got {first}..{last}.")
        parts.append(range(first, last + 1))
    if len(parts) == 1:
        return parts[0]
    if sum(len(part) for part in parts) > 1_000_000:
        value.fail("so many seeds are written as one range, such as 0..9999999.")
    seeds = [seed for part in parts for seed in part]
    if not seeds:
        value.fail("there are no seeds; name at least one.")
    return seeds


def _lengths(value: Value) -> list[int | None]:
    """Blocks: a number, or a duration such as 5b, 10s or 250f (as many blocks as hold it)."""
    found: list[int | None] = []
    for entry in value.list():
        match = _LENGTH.fullmatch(str(entry.data).strip())
        if match is None:
            entry.fail(f"a length is blocks, or such as 5b, 10s or 250f; got {quoted_value(entry.data)}.")
        number, unit = min(float(match[1]), 1e9), match[2] or "b"  # more than any length, but a number of rows
        rows = round(number * FPS) if unit == "s" else round(number)
        blocks = int(number) if unit == "b" else blocks_of_rows(rows)
        if not 1 <= blocks <= MOST_BLOCKS or (unit == "b" and number != blocks):
            entry.fail(f"a length is 1 to {MOST_BLOCKS:,} whole blocks, got {quoted_value(entry.data)}.")
        found.append(blocks)
    if not found:
        value.fail("there are no lengths; name at least one.")
    return found
