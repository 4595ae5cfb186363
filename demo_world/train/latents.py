"""Stage 2: clips as latents, in files of a few clips, so that no later stage encodes a frame."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from comfyui_matrixgame.compute.ops import cpu_multiplies_bfloat16
from comfyui_matrixgame.networks.vae.wan import WanVAE
from comfyui_matrixgame.networks.vision import ImageEncoder
from comfyui_matrixgame.variants import FRAMES_PER_LATENT, LATENTS_PER_BLOCK

from .config import Preset
from .data import Clip, PlayedSource, Source, batches, to_pixels
from .network import encode_clip, make_vision
from .vae import load_vae

SHARD, SHARD_GPU = 20, 100  # clips in a file
CONDITION = 5  # latent frames of the condition that are encoded; it has all but settled by then
INPUT_ROWS = 12  # that act on a latent frame


@dataclass
class LatentClips:
    """A batch of clips of L latent frames.

    latents [B, 16, L, h, w]; condition [B, 20, L, h, w] (mask, encoded image); features [B, T, vision];
    keyboard [B, L, 12, 4] and mouse [B, L, 24]: the windows of inputs that act on each latent frame.
    """

    latents: Tensor
    condition: Tensor
    features: Tensor
    keyboard: Tensor
    mouse: Tensor

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The tensors, in order."""
        return (self.latents, self.condition, self.features, self.keyboard, self.mouse)

    def until(self, blocks: int) -> LatentClips:
        """The first blocks of each clip."""
        end = blocks * LATENTS_PER_BLOCK
        return LatentClips(
            self.latents[:, :, :end],
            self.condition[:, :, :end],
            self.features,
            self.keyboard[:, :end],
            self.mouse[:, :end],
        )


def input_windows(rows: Tensor, latent_frames: int) -> Tensor:
    """Rows [..., T, n] -> windows [..., L, 12, n]: inputs 4i - 12 .. 4i - 1 for latent frame i; the first before 0."""
    padded = torch.cat([rows[..., :1, :].expand(*rows.shape[:-2], INPUT_ROWS, -1), rows], dim=-2)
    starts = FRAMES_PER_LATENT * torch.arange(latent_frames, device=rows.device)
    return padded[..., starts[:, None] + torch.arange(INPUT_ROWS, device=rows.device), :]


@torch.no_grad()
def encode_clips(clips: Clip, vae: WanVAE, vision: ImageEncoder, device: torch.device) -> dict[str, Tensor]:
    """Encode clips [B, ...] -> tensors in half precision, as the files hold them."""
    cpu, quick = device.type == "cpu", cpu_multiplies_bfloat16()
    at_once = (8 if quick else 1) if cpu else 16  # in float32 a small CPU's cache holds one clip
    parts = [to_pixels(frames.to(device)) for frames in clips.frames.split(at_once)]  # of [B, 3, N, H, W]
    with torch.autocast(device.type, torch.bfloat16, enabled=quick if cpu else device.type == "cuda"):
        latents = [encode_clip(vae, pixels) for pixels in parts]
        condition = [encode_condition(vae, pixels[:, :, 0]) for pixels in parts]
    return {
        "latents": torch.cat(latents).half().cpu(),
        "condition": torch.cat(condition).half().cpu(),
        "features": torch.cat([vision(pixels[:, :, 0]) for pixels in parts]).half().cpu(),
        "keyboard": clips.keyboard.half().cpu(),
        "mouse": clips.mouse.float().cpu(),
    }


def encode_condition(vae: WanVAE, image: Tensor) -> Tensor:
    """Image [B, 3, H, W] in [-1, 1] and black frames after it -> [B, 16, CONDITION, h, w]."""
    frames = torch.zeros(image.shape[0], 3, 1 + 4 * (CONDITION - 1), *image.shape[2:], device=image.device)
    frames[:, :, 0] = image
    return encode_clip(vae, frames)


def write_latents(
    out: Path,
    preset: Preset,
    source: Source,
    device: torch.device,
    seed: int = 0,
    clips: int | None = None,
    minutes: float | None = None,
) -> None:
    """Write the files that are still missing under out/latents until the time is over; a stored source limits them to
    its clips."""
    until = math.inf if minutes is None else time.monotonic() + 60 * minutes
    folder = out / "latents"
    folder.mkdir(parents=True, exist_ok=True)
    vae, vision = load_vae(out, preset, device), make_vision(preset).to(device)
    count = preset.clips if clips is None else clips
    stored = isinstance(source, PlayedSource)
    first, count = (0, min(count, len(source))) if stored else (10_000_000 * (seed + 1), count)
    size = SHARD if device.type == "cpu" else SHARD_GPU
    for start in range(0, count, size):  # files are written in order, so what is there is a beginning
        if not _path(folder, start).exists():
            break
    else:
        return
    numbers = range(first + start, first + count)
    bar = tqdm(total=-(-count // size), initial=start // size, desc="latents (files)", dynamic_ncols=True)
    for clips_of_file in batches(source, numbers, preset.clip_frames, size):
        path = _path(folder, start)
        partial = path.with_suffix(".partial")
        torch.save(encode_clips(clips_of_file, vae, vision, device), partial)
        os.replace(partial, path)
        start += size
        (out / "latents.json").write_text(json.dumps({"clips": min(start, count)}) + "\n")  # files may stay behind
        bar.update()
        if time.monotonic() > until:
            break
    bar.close()


def _path(folder: Path, first: int) -> Path:
    """The file whose first clip has this number."""
    return folder / f"{first // SHARD:05d}.pt"


class LatentData:
    """The clips of out/latents on the device; `refresh` takes in files that came since."""

    def __init__(self, out: Path, device: torch.device, seed: int = 0) -> None:
        self.folder, self.device = out / "latents", device
        self.generator = torch.Generator(device=device).manual_seed(seed)
        self.known: set[str] = set()
        self.parts: dict[str, list[Tensor]] = {}
        self.stacked: dict[str, Tensor] = {}
        self.refresh()
        if not self.known:
            raise FileNotFoundError(f"There are no latents in {self.folder}; run the stage 'latents' first.")

    def __len__(self) -> int:
        return len(self.stacked["latents"])

    def refresh(self) -> None:
        """Read the files that are new."""
        new = [p for p in sorted(self.folder.glob("*.pt")) if p.name not in self.known]
        for path in new:
            for name, values in torch.load(path, map_location="cpu", weights_only=True).items():
                self.parts.setdefault(name, []).append(values.to(self.device))
            self.known.add(path.name)
        if new:
            self.stacked = {name: torch.cat(parts) for name, parts in self.parts.items()}
            self.parts = {name: [values] for name, values in self.stacked.items()}

    def batch(self, size: int) -> LatentClips:
        """`size` random clips."""
        return self._take(torch.randint(len(self), (size,), generator=self.generator, device=self.device))

    def pick(self, numbers: Sequence[int]) -> LatentClips:
        """The clips of these numbers."""
        return self._take(torch.tensor(list(numbers), device=self.device))

    def _take(self, index: Tensor) -> LatentClips:
        return clips_of({name: values[index] for name, values in self.stacked.items()}, self.device)


def clips_of(encoded: dict[str, Tensor], device: torch.device) -> LatentClips:
    """Clips as `encode_clips` returns them, as the generator's input."""
    part = {name: values.to(device).float() for name, values in encoded.items()}
    length, image = part["latents"].shape[2], part["condition"]
    image = torch.cat([image, image[:, :, -1:].expand(-1, -1, length - image.shape[2], -1, -1)], dim=2)
    mask = torch.zeros_like(image[:, :4])
    mask[:, :, 0] = 1.0
    return LatentClips(
        latents=part["latents"],
        condition=torch.cat([mask, image], dim=1),
        features=part["features"],
        keyboard=input_windows(part["keyboard"], length),
        mouse=input_windows(part["mouse"], length).flatten(2),
    )
