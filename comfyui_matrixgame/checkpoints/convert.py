"""Writing a generator in another layout or dtype."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from ..errors import CheckpointError, MatrixGameError
from ..system.files import readable_path, written_whole
from .containers.tensors import torch_dtype
from .described import CONVERTED_FROM, IN_METADATA
from .formats import recognise
from .load import DTYPES
from .names import LAYOUTS, to_layout
from .reader import open_weights
from .scaled import plain_dtype


def convert_generator(source: str | Path, target: str | Path, layout: str = "published", dtype: str = "auto") -> Path:
    """Write the generator in `source` to `target` with the names of `layout`.

    layout: one of names.LAYOUTS. dtype: `auto` keeps each tensor's own, or bfloat16 for packed ones. The file
    appears under its name only when it is whole. Raises CheckpointError where the source is not a complete generator.
    """
    target = Path(target)
    if layout not in LAYOUTS:
        raise MatrixGameError(f"There is no layout '{layout}'; use one of {', '.join(LAYOUTS)}.")
    if dtype != "auto" and dtype not in DTYPES:
        raise MatrixGameError(f"There is no dtype '{dtype}'; use auto, {', '.join(DTYPES)}.")
    with open_weights(source) as file:
        report = recognise(file)
        if report.kind != "generator" or not report.complete:
            detail = report.problems() or f"it is {report.title}"
            raise CheckpointError(f"{file.name} is not a complete generator: {detail}.")
        tensors: dict[str, torch.Tensor] = {}
        for ours, theirs in report.names.items():
            tensor = file.tensor(theirs)
            wanted = plain_dtype(file.tensors[theirs].dtype) if dtype == "auto" else dtype
            tensors[to_layout(ours, layout)] = tensor.to(torch_dtype(wanted)).contiguous()
        metadata = {"format": "pt", CONVERTED_FROM: report.variant.name if report.variant and not report.doubt else ""}
        if report.is_described and report.variant is not None:
            metadata[IN_METADATA] = json.dumps(dict(report.variant.described))
        try:
            with written_whole(target) as part:
                save_file(tensors, part, metadata=metadata)
        except (OSError, SafetensorError, UnicodeError) as error:
            raise MatrixGameError(
                f"{readable_path(target)} could not be written ({error}); check free space and permissions."
            ) from None
    return target
