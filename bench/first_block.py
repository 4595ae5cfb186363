"""The first block at full size from a photograph: seconds of every stage and the peak of memory.

    python bench/first_block.py IMAGE --dtype bfloat16 [-o RESULT.json]

Weights are random. The image tower is made, used and dropped before the generator is made, as `render` does.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path

import torch

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.checkpoints.load import compute_dtype, storage_dtype
from comfyui_matrixgame.measure.bench import note
from comfyui_matrixgame.measure.clock import peak_memory
from comfyui_matrixgame.measure.machine import machine
from comfyui_matrixgame.measure.networks import image_tower, random_models
from comfyui_matrixgame.measure.reports import report_argument, write_text
from comfyui_matrixgame.media.fitting import fit_image
from comfyui_matrixgame.media.images import read_image
from comfyui_matrixgame.media.video import VideoWriter
from comfyui_matrixgame.variants import get_variant
from comfyui_matrixgame.world import PassProgress, rollout, start_world


def main() -> None:
    """Run it and print the figures."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("image", type=Path)
    arguments.add_argument("--variant", default="universal")
    arguments.add_argument("--dtype", default="bfloat16")
    arguments.add_argument("-o", "--output", type=report_argument())
    args = arguments.parse_args()
    device = torch.device("cpu")
    variant = get_variant(args.variant)
    marks = [("begin", time.perf_counter())]

    def mark(name: str) -> None:
        marks.append((name, time.perf_counter()))
        note(
            f"{name}: {marks[-1][1] - marks[-2][1]:.1f} s, "
            f"peak {peak_memory(device).get('peak_resident', 0) / 1e9:.2f} GB"
        )

    image = fit_image(read_image(args.image))
    tower = image_tower(compute_dtype(storage_dtype(args.dtype, "float32"), device), device)
    mark("image tower made")
    with torch.inference_mode():
        features = tower(image.unsqueeze(0))
    del tower
    mark("image features")
    models = random_models(variant, "full", args.dtype, device, "wan")
    mark("networks made")
    world = start_world(models, image, features=features)
    mark("world started")

    def on_pass(progress: PassProgress) -> None:
        if progress.step:
            mark(f"pass {progress.step - 1}")

    block = next(rollout(models, world, ActionTrack.idle(variant, 8), on_pass=on_pass))
    mark("last pass and decoding")
    with VideoWriter(Path("out") / "first_block_random_weights.mp4", *world.size) as writer:
        writer.write(block.frames[0])
    seconds = {name: after - before for (_, before), (name, after) in itertools.pairwise(marks)}
    report = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(device),
        "variant": variant.name,
        "stored": args.dtype,
        "computed": str(models.generator.compute_dtype).removeprefix("torch."),
        "decoder": "Wan VAE, base width 96",
        "seconds": seconds,
        "peak_memory_bytes": peak_memory(device).get("peak_resident", 0),
    }
    print(json.dumps(report, indent=1))
    if args.output:
        write_text(args.output, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
