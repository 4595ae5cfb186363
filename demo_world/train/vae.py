"""Stages 1 and 2: the VAE learns to give frames back, single ones first and then clips.

Single frames cost a ninth of a clip and teach nearly all of what space needs; clips then teach time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from comfyui_matrixgame.networks.vae.base import pixels_to_frames
from comfyui_matrixgame.networks.vae.wan import WanVAE

from .config import Preset
from .data import ClipPool, Source, StackedPool, batches, drawn_clips, to_pixels
from .network import LATENT_NOISE, decode_clip, encode_clip, fold_statistics, make_vae, still_frames
from .steps.loop import Run, load_average, train
from .steps.pictures import draw_strip

STILLS = 16  # views of a world
CLIP = 33  # frames of a clip in the pool: 1 + 8 * 4
LENGTHS = (9, 9, 9, 9, 13)  # of training pieces; from the third chunk on, every chunk is alike
STATISTICS = 0.02  # weight of the pull of each latent channel to zero mean and unit size
STATISTICS_CLIPS, STATISTICS_FROM = 24, 900_000
UNSEEN_FROM = 800_000  # clips that no stage learns from
POOL_FROM = 1_000_000
FOLDED, PLAIN = "vae_folded.pt", "vae_plain.pt"  # what is used; as it was before the stage `decoder`


def train_images(run: Run, preset: Preset, source: Source, seed: int = 0) -> None:
    """Train on single frames; writes images.pt in the run's folder."""
    seed = run.salted(seed)
    torch.manual_seed(seed)
    vae = make_vae(preset).to(run.device)
    pool = make_pool(preset, source, seed) or ClipPool(
        source, STILLS, seed, start=min(40, preset.clips), most=1500, stills=True
    )
    generator = torch.Generator(device=run.device).manual_seed(seed)

    def loss_of(step: int) -> tuple[Tensor, dict[str, Tensor]]:
        if step % 5 == 0:
            pool.grow()
        pixels = pool.pixels(preset.image_batch, 1, preset.vae_crop if step % 8 else 0)
        return reconstruct(vae, pixels, generator, run)

    def picture(path: Path) -> None:
        pixels = pool.pixels(9, 1, 0)
        with torch.no_grad(), still_frames():
            decoded = decode_clip(vae, encode_clip(vae, pixels))
        draw_strip([pixels_to_frames(x.transpose(0, 2))[0].cpu().numpy() for x in (pixels, decoded)], path)

    with still_frames():
        train(run, vae, loss_of, picture=picture)


def make_pool(preset: Preset, source: Source, seed: int) -> StackedPool | None:
    """All clips at once, where the preset says how many; both stages of the VAE learn from the same."""
    if not preset.pool:
        return None
    return StackedPool(drawn_clips(source, POOL_FROM, preset.pool, CLIP), seed)


def reconstruct(vae: WanVAE, pixels: Tensor, generator: torch.Generator, run: Run) -> tuple[Tensor, dict[str, Tensor]]:
    """There and back, with a little noise on the latents: the loss, and what to log."""
    with run.autocast():
        latents = encode_clip(vae, pixels)
        noise = torch.randn(latents.shape, generator=generator, device=run.device)
        decoded = decode_clip(vae, latents + LATENT_NOISE * noise)
    return _loss(decoded.float(), pixels, latents.float())


def train_vae(run: Run, preset: Preset, source: Source, seed: int = 0) -> None:
    """Train on clips, from the weights of images.pt, then fold the latents' statistics in.

    Writes vae.pt and vae_folded.pt in the run's folder.
    """
    seed = run.salted(seed)
    torch.manual_seed(seed)
    vae = make_vae(preset)
    load_average(run.out, "images", vae)
    vae.to(run.device)
    pool = make_pool(preset, source, seed) or ClipPool(source, CLIP, seed, start=min(48, preset.clips), most=600)
    generator = torch.Generator(device=run.device).manual_seed(seed)

    def loss_of(step: int) -> tuple[Tensor, dict[str, Tensor]]:
        if step % 10 == 0:
            pool.grow()
        frames = LENGTHS[step % len(LENGTHS)]
        # squares for variety, and now and then the whole frames that are used later
        crop = preset.vae_crop if step % 8 else 0
        batch = max(
            1, preset.vae_batch * LENGTHS[0] // frames if crop or not preset.vae_crop else preset.vae_batch // 2
        )
        pixels = pool.pixels(batch, frames, crop)
        return reconstruct(vae, pixels, generator, run)

    average = train(run, vae, loss_of, picture=lambda path: _picture(vae, source, path))
    vae.load_state_dict(average.values)
    finish_vae(vae, run, source)


def _loss(decoded: Tensor, pixels: Tensor, latents: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    error = decoded - pixels
    mse = error.square().mean()
    edges = sum(error.diff(dim=d).abs().mean() for d in (-1, -2))
    mean = latents.mean(dim=(0, 2, 3, 4))
    size = latents.square().mean(dim=(0, 2, 3, 4))
    statistics = mean.square().mean() + (size.clamp(min=1e-4).log().square()).mean()
    loss = error.abs().mean() + 2.0 * mse + 0.5 * edges + STATISTICS * statistics
    psnr = -10 * torch.log10(mse.detach() / 4)
    return loss, {"psnr": psnr, "statistics": statistics.detach()}


@torch.no_grad()
def finish_vae(vae: WanVAE, run: Run, source: Source) -> None:
    """Measure the latents' statistics on whole frames, fold them in, save vae_folded.pt."""
    numbers, latents = range(STATISTICS_FROM, STATISTICS_FROM + STATISTICS_CLIPS), []
    for clips in batches(source, numbers, CLIP, 1 if run.device.type == "cpu" else STATISTICS_CLIPS):
        with run.autocast():
            latents.append(encode_clip(vae, to_pixels(clips.frames).to(run.device)).float())
    stack = torch.cat(latents)  # [clips, 16, L, h, w]
    mean, std = stack.mean(dim=(0, 2, 3, 4)), stack.std(dim=(0, 2, 3, 4))
    fold_statistics(vae, mean, std)
    torch.save(vae.state_dict(), run.out / FOLDED)
    (run.out / PLAIN).unlink(missing_ok=True)


def load_vae(out: Path, preset: Preset, device: torch.device, name: str = FOLDED) -> WanVAE:
    """The finished VAE of a run, for the later stages; FileNotFoundError where stage 1 has not ended."""
    vae = make_vae(preset)
    path = out / name
    if path.exists():
        vae.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    else:
        load_average(out, "vae", vae)
    return vae.to(device).eval().requires_grad_(False)


@torch.no_grad()
def _picture(vae: WanVAE, source: Source, path: Path) -> None:
    rows: list[np.ndarray] = []
    for number in (1, 2, 3):
        clip = source.clip(number, CLIP)
        decoded = vae.decode(vae.encode(to_pixels(clip.frames[None]))[0])[0]
        rows += [clip.frames.cpu().numpy(), pixels_to_frames(decoded)[0].cpu().numpy()]
    draw_strip(rows, path, columns=9)


def reconstruction_psnr(vae: WanVAE, source: Source, clips: int) -> float:
    """PSNR in dB of decoded against true frames, over `clips` whole clips."""
    errors = []
    with torch.no_grad():
        for number in range(UNSEEN_FROM, UNSEEN_FROM + clips):
            pixels = to_pixels(source.clip(number, CLIP).frames[None])
            decoded = vae.decode(vae.encode(pixels)[0])[0].float().clamp(-1, 1)
            errors.append(F.mse_loss(decoded, pixels) / 4)
    return float(-10 * torch.log10(torch.stack(errors).mean()))
