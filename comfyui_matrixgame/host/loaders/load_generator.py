"""Load Matrix-Game Generator."""

# pyright: reportMissingImports=false

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.model_management as memory
import comfy.model_patcher
import folder_paths

from ...checkpoints import inspect_file
from ...checkpoints import load_generator as read_generator
from ...checkpoints.builtin import NAME as DEMO_WORLD
from ...checkpoints.builtin import demo_world
from ...checkpoints.formats import FOUNDATION
from ...checkpoints.load import compute_dtype
from ...checkpoints.sizes import variant_of
from ...compute.quantise import EXACT, check_precision
from ...errors import VariantError
from ...variants import NEWEST, Tried, default_variant, get_variant, steps_of_text
from ..choices import AUTO
from ..models.core_values import MatrixGameModel
from ..models.foundation import FoundationModel
from ..models.layers import HostOperations, attention_function, quantise_when_run, quantised_bytes
from ..models.loras import watch_loras
from ..models.residency import bytes_to_stay, patcher_for
from ..running.folders import model_path, states_of
from .load_foundation import load_foundation


def generator_state(file: str | None) -> str:
    """When a generator's file, and what describes it beside it, were changed last; "" for a file that is linked."""
    path = None if file is None else folder_paths.get_full_path("diffusion_models", file)
    return "" if path is None else states_of(Path(path))


def problem_with_steps(steps: str | None) -> str:
    """What is wrong with the steps to try; empty where nothing is, or where they are linked (None) and come later."""
    try:
        steps_of_text(steps or "")
    except VariantError as error:
        return str(error)
    return ""


def load_generator(
    file: str,
    dtype: str,
    attention: str,
    precision: str = EXACT,
    steps: str = "",
    window: int = 0,
    sink: int = -1,
    variant: str = AUTO,
    keeps: str = NEWEST,
) -> comfy.model_patcher.ModelPatcher:
    """A generator as core's MODEL. steps, window, sink, keeps: to try, as the node has them; empty, 0, -1 and NEWEST
    are the variant's own. variant: what it is to run as, or AUTO. Raises CheckpointError, BackendError for an attention
    or a precision that is not there, or VariantError for what makes no sense to try, or a variant with other inputs."""
    tried = Tried(steps_of_text(steps), window or None, sink if sink >= 0 else None, keeps)
    check_precision(precision, memory.get_torch_device())
    demo = demo_world() if file == DEMO_WORLD else None
    path = model_path("diffusion_models", file) if demo is None else demo.generator
    function = attention_function(attention)
    if inspect_file(path).kind == FOUNDATION:
        if (tried, variant, precision) != (Tried(keeps=NEWEST), AUTO, EXACT):
            raise VariantError(
                "The foundation model makes a clip at once and exactly: its steps are the sampler's, and it has no "
                "window, no sink and no other variant to try; leave these and precision as they are."
            )
        return load_foundation(path, dtype, attention)
    chosen = None if variant == AUTO else get_variant(variant)
    generator = read_generator(path, dtype, memory.unet_offload_device(), HostOperations, variant=chosen)
    stored = generator.get_submodule("blocks.0.ffn.0").get_parameter("weight").dtype
    generator.compute_dtype = compute_dtype(stored, memory.get_torch_device())
    assert generator.variant is not None
    generator.run_as(tried.of(generator.variant))
    generator.attention = function
    if precision != EXACT:
        generator.precision = precision
        quantise_when_run(generator, precision)
    size = (variant_of(generator) or default_variant()).size if demo is None else (demo.height, demo.width)
    weights = sum(parameter.nbytes for parameter in generator.parameters()) + quantised_bytes(generator)
    model = patcher_for(
        MatrixGameModel(generator, demo is not None, size, tried.steps is not None),
        lambda: bytes_to_stay(generator.config, *size, generator.compute_dtype, weights),
    )
    watch_loras(model)
    return model


def generator_note(model: comfy.model_patcher.ModelPatcher, file: str) -> dict[str, Any] | None:
    """What the node shows of a generator: where its file does not say what it runs as, what was taken."""
    if isinstance(model.model, FoundationModel):
        return None
    doubt = model.model.diffusion_model.doubt  # type: ignore[union-attr]
    return {"text": [f"{file}: {doubt}"]} if doubt else None
