"""Times this engine's pass and decoder as reference.py times the published ones. Prints one line of JSON."""

from __future__ import annotations

import argparse
import json

import torch

from comfyui_matrixgame.measure import SIZES, note, random_models, time_decode, time_pass
from comfyui_matrixgame.variants import get_variant
from comfyui_matrixgame.world import start_world


def main() -> None:
    """Time a pass with a full window, and the decoding of a latent frame of 320x176."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--variant", default="universal")
    arguments.add_argument("--layers", type=int, default=30)
    arguments.add_argument("--dtype", default="float32")
    arguments.add_argument("--device", default="cpu")
    args = arguments.parse_args()
    torch.set_grad_enabled(False)
    models = random_models(get_variant(args.variant), "full", args.dtype, torch.device(args.device), "wan", args.layers)
    # the condition does not change how long a pass takes, so it comes from a small image
    small = start_world(models, torch.zeros(3, 32, 48), features=torch.randn(1, 257, 1280))
    world = full_size(small, models)
    note("one pass")
    pass_seconds = time_pass(models, world)
    note("decoding")
    decode_seconds = time_decode(models, (22, 40), 1) / 4
    computed = str(models.generator.compute_dtype).removeprefix("torch.")
    print(json.dumps({"computed": computed, "pass_s": pass_seconds, "decode_s_per_frame": decode_seconds}))


def full_size(world, models):
    """The world with an image, a condition and caches of 640x352."""
    from dataclasses import replace

    height, width = SIZES["full"]
    rows, columns = height // 8, width // 8
    return replace(
        world,
        image=torch.zeros(1, 3, height, width),
        condition=torch.randn(1, 16, 30, rows, columns),
        encoder_state=None,
        caches=models.generator.empty_caches(1, rows, columns, models.device, models.cache_dtype),
    )


if __name__ == "__main__":
    main()
