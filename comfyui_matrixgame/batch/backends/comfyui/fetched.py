"""What a ComfyUI server made: fetched, checked against what was asked for, and put in its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor

from ....errors import ImageError
from ....media.images import read_pixels
from ....media.video import read_video
from ....networks.vae.base import LATENT_CHANNELS, SPATIAL_STRIDE, normalise
from ....system.words import counted
from ....variants import LATENTS_PER_BLOCK
from ...jobs.task import Task
from ...results.outputs import FILES, ResultWriter, frames_in_block
from ...results.result import Result
from ...results.store import Store
from .client import HostClient, JobFailed
from .workflow import LATENTS, OUTPUTS, PICTURE, VIDEO, Workflow, keeps_frames


@dataclass(frozen=True)
class Fetched:
    """What a host made: PNG frames or an mp4, and latents in core's scale where they were asked for."""

    pictures: list[bytes]
    video: bytes | None
    latents: bytes | None


async def fetch_outputs(client: HostClient, prompt: Workflow, outputs: dict[str, Any]) -> Fetched:
    """Every file that a prompt's output nodes wrote."""
    found: dict[str, list[bytes]] = {}
    for node, said in outputs.items():
        kind = OUTPUTS.get(prompt.get(node, {}).get("class_type", ""))
        files = [file for entries in said.values() if isinstance(entries, list) for file in entries]
        files = [file for file in files if isinstance(file, dict) and "filename" in file]
        if kind is not None:
            found.setdefault(kind, []).extend([await client.fetch(file) for file in files])
    videos, latents = found.get(VIDEO, []), found.get(LATENTS, [])
    return Fetched(found.get(PICTURE, []), videos[0] if videos else None, latents[0] if latents else None)


def write_fetched(store: Store, task: Task, fetched: Fetched, worker: str, seconds: float) -> Result:
    """Check what was fetched and put it in its place; raises JobFailed where it is not what was asked for."""
    folder = store.part(task.key)
    folder.mkdir(parents=True, exist_ok=True)
    whole = keeps_frames(task.keep) or fetched.video is None
    if not whole and fetched.video is not None:
        (folder / FILES["mp4"]).write_bytes(fetched.video)
    writer = ResultWriter(folder, task, present=() if whole else ("mp4",))
    try:
        latents = _latents(task, fetched.latents)
        for index, frames in enumerate(_fetched_blocks(task, fetched, folder, whole)):
            first = index * LATENTS_PER_BLOCK
            writer.add(frames, latents[:, first : first + LATENTS_PER_BLOCK])
        writer.finish(None, worker, seconds)
        return store.commit(folder, task.key)
    except BaseException:
        writer.abandon()
        raise


def _fetched_blocks(task: Task, fetched: Fetched, folder: Path, whole: bool) -> Iterator[np.ndarray]:
    """The frames block by block, checked: as many as were asked for, of the right size."""
    frames = _decoded(fetched, folder, whole)
    count = 0
    for block in range(task.first_block, task.first_block + task.blocks):
        taken = [frame for _, frame in zip(range(frames_in_block(block)), frames, strict=False)]
        count += len(taken)
        if len(taken) < frames_in_block(block):
            raise JobFailed(f"The host made {counted(count, 'frame')} instead of {task.frames}.")
        if taken[0].shape != (*task.size, 3):
            rows, columns = taken[0].shape[:2]
            raise JobFailed(f"The host made frames of {columns}x{rows} instead of {task.size[1]}x{task.size[0]}.")
        yield np.stack(taken)
    if next(frames, None) is not None:
        raise JobFailed(f"The host made more than the {task.frames} frames that were asked for.")


def _decoded(fetched: Fetched, folder: Path, whole: bool) -> Iterator[np.ndarray]:
    if not whole:
        yield from read_video(folder / FILES["mp4"])
        return
    if not fetched.pictures:
        raise JobFailed("The host made neither a video nor frames; the workflow needs SaveVideo or PreviewImage.")
    for data in fetched.pictures:
        try:
            yield read_pixels(data)
        except ImageError as error:
            raise JobFailed(f"A frame from the host cannot be read. {error}") from None


def _latents(task: Task, data: bytes | None) -> Tensor:
    """Latents [16, F, h, w] in the generator's scale; zeros where they are not kept."""
    count, sides = task.blocks * LATENTS_PER_BLOCK, (task.size[0] // SPATIAL_STRIDE, task.size[1] // SPATIAL_STRIDE)
    if "latents" not in task.keep:
        return torch.zeros(LATENT_CHANNELS, count, 1, 1)
    if data is None:
        raise JobFailed("The host gave no latents; the workflow needs a SaveLatent node.")
    try:
        found = load_safetensors(data)["latent_tensor"].float()
    except Exception as error:
        raise JobFailed(f"The latents from the host cannot be read ({error}).") from None
    if tuple(found.shape) != (1, LATENT_CHANNELS, count, *sides):
        raise JobFailed(f"The latents from the host have the shape {list(found.shape)}.")
    return normalise(found)[0]
