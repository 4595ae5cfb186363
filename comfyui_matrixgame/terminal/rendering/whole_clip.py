"""`matrixgame render` with the foundation model: a clip that is made at once."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tqdm import tqdm

from ...actions.track import ActionTrack
from ...checkpoints import load_decoder, load_vae
from ...checkpoints.load import load_foundation
from ...checkpoints.lora.merging import common_steps
from ...compute.attention import get_attention
from ...compute.devices import computing_on
from ...compute.quantise import EXACT
from ...errors import WorldError
from ...media.gif import GifWriter
from ...media.video import VideoWriter
from ...networks.vae.base import pixels_to_frames
from ...variants import FPS, LATENTS_PER_BLOCK, frames_of_blocks
from ...weights import Files, image_features
from ...world import Models, start_world
from ...world.whole_clip import STEPS, sample_clip
from ..shared.console import parse_size, say, start_picture
from ..shared.inputs import with_seeds_at
from ..shared.options import with_loras

BLOCKS = 5  # 57 frames


def render_whole_clip(args: argparse.Namespace, files: Files, track: ActionTrack) -> int:
    """Run the command; every error is a MatrixGameError."""
    _refuse_what_goes_on(args)
    files = with_loras(files, args)
    height, width = parse_size(args.size) if args.size else files.size
    blocks, steps = BLOCKS if args.blocks is None else args.blocks, _count_of_steps(args, files)
    if blocks < 1 or steps < 1:
        raise WorldError("A clip of no blocks, or in no steps, makes nothing; ask for 1 or more of each.")
    track = with_seeds_at(track, args.seed_at, blocks)
    frames = frames_of_blocks(blocks)
    say(f"{files.generator.title}; {width}x{height}, {frames} frames at {FPS} a second, at once in {steps} steps")
    image = start_picture(args.image, files, height, width)
    features = image_features(files, image)
    generator = load_foundation(files.generator.path, files.dtype, files.device, loras=files.loras)
    generator.attention = get_attention(args.attention)
    decoder = load_decoder(files.decoder, files.dtype, files.device) if files.decoder else None
    models = Models(generator, load_vae(files.vae.path, files.dtype, files.device), decoder)  # type: ignore[arg-type]
    world = start_world(models, image, args.seed, features=features)
    began = time.perf_counter()
    with tqdm(total=steps, unit="step", file=sys.stderr, dynamic_ncols=True) as bar:
        latents = sample_clip(models, world, track, blocks, steps, on_step=lambda step: bar.update(step - bar.n))
        bar.update(steps - bar.n)
    output, state = Path(args.output), None
    writer = (GifWriter if output.suffix.lower() == ".gif" else VideoWriter)(output, height, width)
    with writer, computing_on(files.device):
        for block in latents.split(LATENTS_PER_BLOCK, dim=2):
            pixels, state = models.decoder.decode(block, state)
            writer.write(pixels_to_frames(pixels).cpu()[0])
    writer.done()
    say(f"{output}: {frames} frames in {time.perf_counter() - began:.1f} s")
    return 0


def _count_of_steps(args: argparse.Namespace, files: Files) -> int:
    """That of the arguments, else as many as the LoRAs were distilled to, else the usual one."""
    distilled = common_steps((lora.name, lora.steps) for lora in files.loras)
    return args.steps[0] if args.steps is not None else STEPS if distilled is None else len(distilled)


def _refuse_what_goes_on(args: argparse.Namespace) -> None:
    """A clip that is made at once is no world, and takes no other mode."""
    for option, given in (
        ("--world", args.world),
        ("--from-world", args.from_world),
        ("--continue-clip", args.continue_clip),
    ):
        if given:
            raise WorldError(
                f"{option}: the foundation model makes a clip at once, and nothing goes on from one; leave it out, or "
                "use a distilled generator."
            )
    if (args.steps is not None and len(args.steps) > 1) or (args.window, args.sink, args.keeps) != (None, None, None):
        raise WorldError(
            "The foundation model takes the count of its steps, such as --steps 50, and has no window and no sink to "
            "try; leave these out."
        )
    if args.precision != EXACT:
        raise WorldError("--precision: the foundation model is computed exactly; leave it out.")
