"""Stage 1: the VAE learns to give frames back from 1/8 x 1/8 x 1/4 as many latents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from comfyui_matrixgame.vae.base import to_uint8
from comfyui_matrixgame.vae.wan import WanVAE

from .config import Preset
from .data import ClipPool, play_clip, to_pixels
from .loop import Run, load_average, train
from .network import LATENT_NOISE, decode_clip, encode_clip, fold_statistics, make_vae
from .pictures import draw_strip

CLIP = 17  # frames of a clip in the pool: 1 + 4 * 4
LENGTHS = (9, 9, 9, 9, 13)  # of training pieces; from the third chunk on, every chunk is alike
STATISTICS = 0.02  # weight of the pull of each latent channel to zero mean and unit size
STATISTICS_CLIPS = 24


def train_vae(run: Run, preset: Preset, seed: int = 0) -> None:
    """Train, then fold the latent statistics in; writes vae.pt and vae_folded.pt in the run's folder."""
    torch.manual_seed(seed)
    vae = make_vae(preset).to(run.device)
    pool = ClipPool(CLIP, preset.height, preset.width, seed, run.device, start=min(48, preset.clips), most=600)
    generator = torch.Generator(device=run.device).manual_seed(seed)

    def loss_of(step: int) -> tuple[Tensor, dict[str, float]]:
        if step % 10 == 0:
            pool.grow()
        frames = LENGTHS[step % len(LENGTHS)]
        # squares for variety, and now and then the whole frames that are used later
        crop = preset.vae_crop if step % 8 else 0
        batch = max(
            1, preset.vae_batch * LENGTHS[0] // frames if crop or not preset.vae_crop else preset.vae_batch // 2
        )
        pixels = pool.pixels(batch, frames, crop)
        with run.autocast():
            latents = encode_clip(vae, pixels)
            noise = torch.randn(latents.shape, generator=generator, device=run.device)
            decoded = decode_clip(vae, latents + LATENT_NOISE * noise)
        return _loss(decoded.float(), pixels, latents.float())

    average = train(run, vae, loss_of, picture=lambda path: _picture(vae, preset, run.device, path))
    vae.load_state_dict(average.values)
    finish_vae(vae, run, preset)


def _loss(decoded: Tensor, pixels: Tensor, latents: Tensor) -> tuple[Tensor, dict[str, float]]:
    error = decoded - pixels
    mse = error.square().mean()
    edges = sum(error.diff(dim=d).abs().mean() for d in (-1, -2))
    mean = latents.mean(dim=(0, 2, 3, 4))
    size = latents.square().mean(dim=(0, 2, 3, 4))
    statistics = mean.square().mean() + (size.clamp(min=1e-4).log().square()).mean()
    loss = error.abs().mean() + 2.0 * mse + 0.5 * edges + STATISTICS * statistics
    psnr = -10 * torch.log10(mse.detach() / 4)
    return loss, {"psnr": float(psnr), "statistics": float(statistics.detach())}


@torch.no_grad()
def finish_vae(vae: WanVAE, run: Run, preset: Preset) -> None:
    """Measure the latents' statistics on whole frames, fold them in, save vae_folded.pt."""
    latents = []
    for number in range(STATISTICS_CLIPS):
        clip = play_clip(-(10**5) + number + 10**6, CLIP, preset.height, preset.width, str(run.device))
        latents.append(vae.encode(to_pixels(clip.frames[None]))[0].float())
    stack = torch.cat(latents)  # [clips, 16, L, h, w]
    mean, std = stack.mean(dim=(0, 2, 3, 4)), stack.std(dim=(0, 2, 3, 4))
    fold_statistics(vae, mean, std)
    torch.save(vae.state_dict(), run.out / "vae_folded.pt")


def load_vae(out: Path, preset: Preset, device: torch.device) -> WanVAE:
    """The finished VAE of a run, for the later stages; FileNotFoundError where stage 1 has not ended."""
    vae = make_vae(preset)
    path = out / "vae_folded.pt"
    if path.exists():
        vae.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    else:
        load_average(out, "vae", vae)
    return vae.to(device).eval().requires_grad_(False)


@torch.no_grad()
def _picture(vae: WanVAE, preset: Preset, device: torch.device, path: Path) -> None:
    rows: list[np.ndarray] = []
    for number in (1, 2, 3):
        clip = play_clip(number, CLIP, preset.height, preset.width, str(device))
        decoded = vae.decode(vae.encode(to_pixels(clip.frames[None]))[0])[0]
        rows += [clip.frames.cpu().numpy(), to_uint8(decoded)[0].cpu().numpy()]
    draw_strip(rows, path, columns=9)


def reconstruction_psnr(vae: WanVAE, preset: Preset, clips: int, device: torch.device) -> float:
    """PSNR in dB of decoded against played frames, over `clips` whole clips."""
    errors = []
    with torch.no_grad():
        for number in range(clips):
            pixels = to_pixels(play_clip(number, CLIP, preset.height, preset.width, str(device)).frames[None])
            decoded = vae.decode(vae.encode(pixels)[0])[0].float().clamp(-1, 1)
            errors.append(F.mse_loss(decoded, pixels) / 4)
    return float(-10 * torch.log10(torch.stack(errors).mean()))
