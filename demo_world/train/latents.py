"""Stage 2: clips as latents, in files of a few clips, so that no later stage encodes a frame."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from comfyui_matrixgame.vae.wan import WanVAE
from comfyui_matrixgame.variants import FRAMES_PER_LATENT
from comfyui_matrixgame.vision import ImageEncoder

from .config import Preset
from .data import PlayedSource, Source, to_pixels
from .network import encode_clip, make_vision
from .vae import load_vae

SHARD = 20  # clips in a file
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


def input_windows(rows: Tensor, latent_frames: int) -> Tensor:
    """Rows [T, n] -> windows [L, 12, n]: inputs 4i - 12 .. 4i - 1 for latent frame i, the first row before 0."""
    padded = torch.cat([rows[:1].expand(INPUT_ROWS, -1), rows])
    return torch.stack([padded[FRAMES_PER_LATENT * i :][:INPUT_ROWS] for i in range(latent_frames)])


@torch.no_grad()
def encode_numbers(
    numbers: list[int], vae: WanVAE, vision: ImageEncoder, source: Source, frames: int
) -> dict[str, Tensor]:
    """Encode these clips -> tensors in half precision, as the files hold them."""
    clips = [source.clip(n, frames) for n in numbers]
    pixels = to_pixels(torch.stack([c.frames for c in clips]))  # [B, 3, N, H, W]
    at_once = 1 if pixels.device.type == "cpu" else SHARD  # a CPU's cache holds one clip, a GPU wants many
    return {
        "latents": torch.cat([encode_clip(vae, p) for p in pixels.split(at_once)]).half().cpu(),
        "condition": torch.cat([encode_condition(vae, p[:, :, 0]) for p in pixels.split(at_once)]).half().cpu(),
        "features": vision(pixels[:, :, 0]).half().cpu(),
        "keyboard": torch.stack([c.keyboard for c in clips]).half(),
        "mouse": torch.stack([c.mouse for c in clips]).float(),
    }


def encode_condition(vae: WanVAE, image: Tensor) -> Tensor:
    """Image [B, 3, H, W] in [-1, 1] and black frames after it -> [B, 16, CONDITION, h, w]."""
    frames = torch.zeros(image.shape[0], 3, 1 + 4 * (CONDITION - 1), *image.shape[2:], device=image.device)
    frames[:, :, 0] = image
    return encode_clip(vae, frames)


def write_latents(
    out: Path, preset: Preset, source: Source, device: torch.device, seed: int = 0, clips: int | None = None
) -> None:
    """Write the files that are still missing under out/latents; of a stored source, for the clips there are."""
    folder = out / "latents"
    folder.mkdir(parents=True, exist_ok=True)
    vae, vision = load_vae(out, preset, device), make_vision(preset).to(device)
    count = preset.clips if clips is None else clips
    stored = isinstance(source, PlayedSource)
    first, count = (0, min(count, len(source))) if stored else (10_000_000 * (seed + 1), count)
    for shard in tqdm(range(-(-count // SHARD)), desc="latents (files)", dynamic_ncols=True):
        path = folder / f"{shard:05d}.pt"
        if path.exists():
            continue
        numbers = [first + n for n in range(shard * SHARD, min(count, (shard + 1) * SHARD))]
        partial = path.with_suffix(".partial")
        torch.save(encode_numbers(numbers, vae, vision, source, preset.clip_frames), partial)
        os.replace(partial, path)


class LatentData:
    """The clips of out/latents in memory; `refresh` takes in files that came since."""

    def __init__(self, out: Path, device: torch.device, seed: int = 0) -> None:
        self.folder, self.device = out / "latents", device
        self.rng = np.random.default_rng([seed, 0x1A7])
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
                self.parts.setdefault(name, []).append(values)
            self.known.add(path.name)
        if new:
            self.stacked = {name: torch.cat(parts) for name, parts in self.parts.items()}
            self.parts = {name: [values] for name, values in self.stacked.items()}

    def batch(self, size: int) -> LatentClips:
        """`size` random clips."""
        return self.pick(self.rng.integers(len(self), size=size))

    def pick(self, numbers) -> LatentClips:
        """The clips of these numbers."""
        index = torch.as_tensor(np.asarray(numbers))
        part = {name: values[index].to(self.device, torch.float32) for name, values in self.stacked.items()}
        length = part["latents"].shape[2]
        encoded = part["condition"]
        encoded = torch.cat([encoded, encoded[:, :, -1:].expand(-1, -1, length - encoded.shape[2], -1, -1)], dim=2)
        mask = torch.zeros_like(encoded[:, :4])
        mask[:, :, 0] = 1.0
        return LatentClips(
            latents=part["latents"],
            condition=torch.cat([mask, encoded], dim=1),
            features=part["features"],
            keyboard=torch.stack([input_windows(rows, length) for rows in part["keyboard"]]),
            mouse=torch.stack([input_windows(rows, length).flatten(1) for rows in part["mouse"]]),
        )
