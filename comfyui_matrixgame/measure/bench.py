"""Measuring a machine with this engine: its own limits, passes, blocks, decoding, latency, memory, and their parts.

Weights are random: speed does not depend on them. A speed is the mean over at least 20 warm blocks or passes, with the
median and the slowest beside it; the least time of several is only taken where a limit, or a share of one, is.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from ..checkpoints.load import storage_dtype
from ..compute.devices import find_device
from ..compute.quantise import EXACT
from ..networks.vae import WanVAE
from ..networks.vae.base import LATENT_CHANNELS
from ..system.words import counted
from ..variants import FRAMES_PER_BLOCK, FRAMES_PER_LATENT, Variant, get_variant
from ..world import Models
from .check import report_faults
from .clock import Seconds, Spread, fastest_run, peak_memory, start_memory
from .machine import machine, machine_limits
from .networks import SIZES, image_tower, random_models
from .parts import Part, block_parts, decode_flops, decoding, pass_parts
from .reports import check_report, write_text
from .rollouts import (
    ENOUGH,
    RING,
    WARM,
    flatness,
    pass_arguments,
    time_blocks,
    time_passes,
    time_played,
    time_start,
    warm_blocks,
    while_encoding,
    world_after,
)
from .table import table

PIECE = (22, 40)  # latent size at which a slow machine decodes: a quarter of full size


def run(args: argparse.Namespace) -> int:
    """`matrixgame bench`: measure, print a table, and write JSON where asked."""
    device = find_device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    output = None if args.output is None else Path(args.output)
    storage_dtype(args.dtype, "float32")  # an unknown dtype is an error before anything is measured
    if output is not None:
        check_report(output)
    note(f"limits of {device}")
    latent = (SIZES[args.size][0] // 8, SIZES[args.size][1] // 8)
    limits = machine_limits(device, latent, latent)
    found = measure(get_variant(args.variant), args.size, args.dtype, device, args.decoder, args.blocks, limits)
    report = {"date": time.strftime("%Y-%m-%d"), "machine": machine(device), "limits": limits, **found}
    print(table(report))
    for fault in report_faults(report):
        note(f"not to be quoted: {fault}")
    if output is not None:
        write_text(output, json.dumps(report, indent=1) + "\n")
    return 0


def measure(
    variant: Variant,
    size: str,
    dtype: str,
    device: torch.device,
    decoder: str,
    blocks: int,
    limits: dict[str, float],
    attention: str = "sdpa",
    tower: bool = False,
    precision: str = EXACT,
) -> dict[str, Any]:
    """Whole rollouts of one configuration.

    blocks: how long the timed rollout is. limits: of `machine_limits`. tower: whether the start of a
    world runs an image tower of the published size.
    """
    start_memory(device)
    note(f"{size}, {variant.name}, {decoder}, {dtype}, {attention}, {precision}: making random weights")
    models = random_models(variant, size, dtype, device, decoder, attention=attention, precision=precision)
    encoder = image_tower(models.generator.compute_dtype, device) if tower else None
    world, first = time_start(models, torch.rand(3, *SIZES[size]) * 2 - 1, encoder)
    del encoder
    note(counted(blocks, "block"))
    times, after = time_blocks(models, world, blocks)
    warm = warm_blocks(times)
    block = Spread.of([time.spent for time in warm])
    one_pass = _spent(time_passes(models, world, min(RING, blocks), min(ENOUGH, blocks)))
    first_frames, last_frames = time_played(models, after.world, max(1, min(ENOUGH, blocks - WARM)))
    used = peak_memory(device)
    note("parts")
    parts = [
        *pass_parts(models.generator, pass_arguments(models, after.world), variant.passes),
        *block_parts(models, world),
    ]
    return {
        **_what(models, size, dtype, decoder, attention),
        "precision": precision,
        "image_tower": "ViT-H" if tower else "none: features are given",
        **first,
        "pass": one_pass.as_json(),
        "block": block.as_json(),
        "inputs_to_first_frame": Spread.of([time.wall for time in first_frames]).as_json(),
        "inputs_to_last_frame": Spread.of([time.wall for time in last_frames]).as_json(),
        "transformer_only_fps": FRAMES_PER_BLOCK / (variant.passes * one_pass.mean),
        "end_to_end_fps": FRAMES_PER_BLOCK / block.mean,
        "blocks": [{"s": t.spent, "wall_s": t.wall} for t in times],
        "block_while_encoding_s": while_encoding(times),
        "last_over_first_quarter": flatness(times),
        "memory": used,
        "parts": _as_json(parts, limits, models),
    }


def measure_pieces(
    variant: Variant, dtype: str, device: torch.device, limits: dict[str, float], layers: int | None
) -> dict[str, Any]:
    """A pass at full size and the decoding of one latent frame of 320x176, for machines that are slow.

    layers: the network is cut to this many.
    """
    note(f"pieces of full size, {variant.name}, {dtype}, layers {layers or 'all'}")
    models = random_models(variant, "full", dtype, device, "wan", layers)
    world = world_after(models, 2, "full")
    one_pass = time_passes(models, world, warm=0)
    spent = _spent(one_pass)
    parts = [
        *pass_parts(models.generator, pass_arguments(models, world), variant.passes),
        *block_parts(models, world, decode=False),
    ]
    decode = time_decode(models)
    return {
        **_what(models, "full", dtype, "wan", "sdpa"),
        "pass": spent.as_json(),
        "pass_wall_s": min(time.wall for time in one_pass),
        "decode_piece_s": decode.spent,
        "decode_piece_wall_s": decode.wall,
        "decode_of_limit": Part("", decode.spent * 1e3, decode_flops(models, PIECE, 1)).as_json(
            limits, _computed(models)
        )["of_limit"],
        "decode_piece": f"one latent frame of {PIECE[1] * 8}x{PIECE[0] * 8}, {FRAMES_PER_LATENT} frames",
        "parts": _as_json(parts, limits, models),
        "memory": peak_memory(device),
    }


def time_decode(models: Models, repeats: int = 1) -> Seconds:
    """Seconds to decode one latent frame of 320x176 after the first."""
    latents = torch.randn(1, LATENT_CHANNELS, 1, *PIECE, device=models.device)
    run = decoding(models, latents)
    with torch.inference_mode():
        return fastest_run(run, models.device, repeats)


def _what(models: Models, size: str, dtype: str, decoder: str, attention: str) -> dict[str, Any]:
    height, width = SIZES[size]
    assert isinstance(models.vae, WanVAE)
    return {
        "variant": models.variant.name,
        "size": f"{width}x{height}",
        "layers": models.generator.config.layers,
        "stored": dtype,
        "computed": _computed(models),
        "attention": attention,
        "decoder": "tiny (taew2_1 layout)" if decoder == "tiny" else f"Wan VAE, base width {models.vae.base_dim}",
    }


def _spent(times: list[Seconds]) -> Spread:
    return Spread.of([time.spent for time in times])


def _computed(models: Models) -> str:
    return str(models.generator.compute_dtype).removeprefix("torch.")


def _as_json(parts: list[Part], limits: dict[str, float], models: Models) -> list[dict[str, Any]]:
    return [part.as_json(limits, _computed(models)) for part in parts]


def note(text: str) -> None:
    """A line on what is being measured."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
