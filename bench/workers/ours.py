"""This engine as a worker beside reference.py: a pass with a full window, decoding, and on a GPU a whole block."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from worker import serve

from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks
from comfyui_matrixgame.measure.bench import PIECE
from comfyui_matrixgame.measure.clock import Seconds, least_times, now, since
from comfyui_matrixgame.measure.networks import SIZES, random_models
from comfyui_matrixgame.measure.parts import decoding
from comfyui_matrixgame.measure.rollouts import WARM, time_blocks, time_passes, world_after
from comfyui_matrixgame.variants import get_variant
from comfyui_matrixgame.world import rollout, start_world

ENDLESS = 500  # blocks: more than anyone times


def main() -> None:
    """Load, then time what is asked for."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--variant", default="universal")
    arguments.add_argument("--layers", type=int)
    arguments.add_argument("--dtype", default="float32")
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--threads", type=int)
    args = arguments.parse_args()
    torch.set_grad_enabled(False)
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    models = random_models(get_variant(args.variant), "full", args.dtype, device, "wan", args.layers)
    if device.type == "cpu":
        works = {"pass": lambda: least_times(time_passes(models, world_after(models, 2, "full"), warm=0))}
    else:
        features = torch.randn(1, 257, models.generator.config.visual_dim)
        world = start_world(models, torch.zeros(3, *SIZES["full"]), features=features)
        world = time_blocks(models, world, WARM)[1].world
        track = ActionTrack.idle(models.variant, rows_of_blocks(ENDLESS, WARM))
        run = rollout(models, world, track, ENDLESS)
        next(run)
        works = {
            "pass": lambda: least_times(time_passes(models, world, warm=1)),
            "block": lambda: timed(lambda: next(run), device),
        }
    decode = decoding(models, torch.randn(1, 16, 1, *PIECE, device=device))
    decode()
    works["decode"] = lambda: timed(decode, device)
    serve({"computed": str(models.generator.compute_dtype).removeprefix("torch.")}, works)


def timed(work: Callable[[], object], device: torch.device) -> Seconds:
    """Seconds of one run of `work`; a block's frames are on the host at its end."""
    began = now(device)
    work()
    return since(began, device)


if __name__ == "__main__":
    main()
