"""Stage 5: the VAE's decoder learns to show what the student makes.

Until then it has seen the encoder's latents alone. The student's are a little off, and on average an error looks like
blur. Here it learns from both, to be right and to be as sharp as the game; the encoder, and with it
every latent that anything has learnt from, stays as it is. What is kept lies part of the way between the weights before
and after, as in WiSE-FT (Wortsman et al., 2022): nearly all of the sharpness, and less of what is lost for it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
import torch.nn as nn
from torch import Tensor
from tqdm import tqdm

from comfyui_matrixgame.networks.vae.base import pixels_to_frames
from comfyui_matrixgame.networks.vae.wan import WanVAE
from comfyui_matrixgame.variants import frames_of_blocks

from .config import Preset
from .data import Source, batches, to_pixels
from .latents import clips_of, encode_clips
from .network import decode_clip, make_generator, make_vision
from .steps.loop import Run, load_average, train
from .steps.pictures import draw_strip
from .student import play_on
from .vae import FOLDED, PLAIN, UNSEEN_FROM, load_vae

BLOCKS = 3  # of a rollout: about as long as it can match the game's frames
CLIPS_FROM = 700_000  # no other stage learns from these
CLIPS_AT_ONCE = 10
SQUARES, SHARPNESS = 4.0, 1.0  # weights, beside the mean difference


def train_decoder(run: Run, preset: Preset, source: Source, seed: int = 0) -> None:
    """Train the decoder of vae_folded.pt on rollouts of student.pt; writes it back into vae_folded.pt.

    What was there before is kept in vae_plain.pt.
    """
    seed = run.salted(seed)
    kept = run.out / PLAIN
    if not kept.exists():
        shutil.copy(run.out / FOLDED, kept)
    vae = load_vae(run.out, preset, run.device, PLAIN)
    frames, latents = rolled_out(run, preset, source, vae, seed)
    generator = torch.Generator().manual_seed(seed)
    decoder = nn.ModuleDict({"conv2": vae.conv2, "decoder": vae.decoder}).requires_grad_(True).train()

    def loss_of(step: int) -> tuple[Tensor, dict[str, Tensor]]:
        picked = torch.randint(len(frames), (preset.vae_batch,), generator=generator)
        kinds = torch.arange(2).repeat_interleave(len(picked))  # of the encoder, of the student
        pixels = to_pixels(frames[picked]).to(run.device).repeat(2, 1, 1, 1, 1)
        with run.autocast():
            decoded = decode_clip(vae, latents[picked.repeat(2), kinds].to(run.device))
        return loss_on_frames(decoded.float(), pixels)

    def picture(path: Path) -> None:
        rows = []
        for clip, pair in zip(frames[:3], latents[:3], strict=True):
            with torch.no_grad():
                decoded = pixels_to_frames(decode_clip(vae, pair.to(run.device)).float()).cpu()
            rows += [clip.numpy(), *decoded.numpy()]
        draw_strip(rows, path, columns=9)

    before = {name: value.clone() for name, value in decoder.state_dict().items()}
    average = train(run, decoder, loss_of, picture=picture).values
    decoder.load_state_dict({name: torch.lerp(before[name], average[name], preset.decoder_share) for name in before})
    torch.save({name: value.cpu() for name, value in vae.state_dict().items()}, run.out / FOLDED)


@torch.no_grad()
def rolled_out(run: Run, preset: Preset, source: Source, vae: WanVAE, seed: int) -> tuple[Tensor, Tensor]:
    """The game's frames [N, T, H, W, 3], and two sets of latents for each clip [N, 2, 16, L, h, w]: as the encoder
    gives them, and as the student makes them from the first frame and the inputs."""
    torch.manual_seed(seed)
    student, vision = make_generator(preset), make_vision(preset).to(run.device)
    load_average(run.out, "student", student)
    student.to(run.device).eval()
    numbers = clips_for(seed, preset.decoder_clips)
    frames, latents = [], []
    parts = batches(source, numbers, frames_of_blocks(BLOCKS), CLIPS_AT_ONCE)
    for part in tqdm(parts, desc="rollouts", total=-(-len(numbers) // CLIPS_AT_ONCE), dynamic_ncols=True):
        clips = clips_of(encode_clips(part, vae, vision, run.device), run.device)
        made, _ = play_on(student, clips)
        frames.append(part.frames.cpu())
        latents.append(torch.stack([clips.latents, made], dim=1).float().cpu())
    return torch.cat(frames), torch.cat(latents)


def clips_for(seed: int, count: int) -> range:
    """Numbers of `count` clips, below those that the VAE is measured with whatever the seed."""
    first = CLIPS_FROM + seed % (UNSEEN_FROM - CLIPS_FROM - count)
    return range(first, first + count)


def loss_on_frames(decoded: Tensor, pixels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of pixels [B, 3, N, H, W] against the game's, and what to log; the second half is the student's."""
    error = decoded - pixels
    squares = error.square().mean(dim=(1, 2, 3, 4))
    made, true = sharpness(decoded), sharpness(pixels)
    gap = (made - true) / true.mean()
    loss = error.abs().mean() + SQUARES * squares.mean() + SHARPNESS * gap.square().mean()
    psnr = -10 * torch.log10(squares.detach().unflatten(0, (2, -1)).mean(dim=1) / 4)
    return loss, {"psnr": psnr[0], "student": psnr[1], "sharpness": gap.detach().mean()}


def sharpness(pixels: Tensor) -> Tensor:
    """Mean difference between neighbours of each frame, in its grey; [B, N] of pixels [B, 3, N, H, W]."""
    grey = pixels.mean(dim=1)
    return grey.diff(dim=-1).abs().mean(dim=(-2, -1)) + grey.diff(dim=-2).abs().mean(dim=(-2, -1))
