"""What the fast modes change, and what another window does: `python bench/drift.py -o bench/results/drift-NAME`.

- a minute of play with the demo world in each mode, beside exact mode (float32) with the same seeds and inputs:
  brightness, saturation and sharpness of the last ten seconds, and of the whole second after the start;
- one pass of a network of the published sizes with random weights, fed what exact mode made (teacher-forced): relative
  RMS error of the velocity, for every mode;
- frames of 640x352 decoded in tiles beside the same frames decoded whole;
- what stays in the window (see drifting/windows.py).

A mode computes what its GPU kernel computes, with the same scales and rounding and float32 or integer sums; only the
order of the sums differs. Five minutes of one core, and the windows about fifteen; `--parts` takes some of them.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.demo_world import look
from bench.drifting.windows import as_lines, measure_windows
from comfyui_matrixgame.checkpoints import load_generator, load_vae, load_vision
from comfyui_matrixgame.checkpoints.builtin import FOLDER, demo_world, start_images
from comfyui_matrixgame.checkpoints.load import DTYPES
from comfyui_matrixgame.compute.quantise import quantise
from comfyui_matrixgame.measure.machine import machine
from comfyui_matrixgame.measure.reports import report_argument, write_text
from comfyui_matrixgame.media.fitting import fit_image
from comfyui_matrixgame.media.images import read_image
from comfyui_matrixgame.networks.generator import Generator, GeneratorConfig
from comfyui_matrixgame.networks.generator.action_module import ActionInputs
from comfyui_matrixgame.networks.vae import WanVAE
from comfyui_matrixgame.networks.vae.base import pixels_to_frames
from comfyui_matrixgame.networks.vae.low_memory import TiledDecoder
from comfyui_matrixgame.variants import FPS, FRAMES_PER_BLOCK, frames_of_blocks
from comfyui_matrixgame.world import Models, rollout, start_world
from demo_world.game import Game
from demo_world.inputs import random_track

EXACT = "float32"
ROLLOUT_MODES = (EXACT, "bfloat16", "fp8", "int8")
PASS_MODES = (*ROLLOUT_MODES, "stored float8_e4m3fn")
WINDOW = 10  # seconds at the end that are measured
PARTS = ("tiles", "pass", "rollouts", "windows")
TIMESTEPS = (1000.0, 666.0, 333.0, 0.0)


class NoFrames:
    """A decoder that decodes nothing: most of a minute is never looked at."""

    state_device: torch.device | None = None
    latents_behind = 1

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        return iter(())

    def decode(self, latents: Tensor, state: tuple[Tensor, ...] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        return latents.new_zeros(len(latents), 3, 1, 1, 1), (latents[:, :, -1:],)


def in_mode(generator: Generator, mode: str) -> Generator:
    """A copy of a float32 generator that computes in a mode."""
    made = copy.deepcopy(generator)
    if mode == "bfloat16":
        made.to(torch.bfloat16).compute_dtype = torch.bfloat16
    elif mode in ("fp8", "int8"):
        quantise(made, mode)
    elif mode != EXACT:
        for parameter in (p for p in made.blocks.parameters() if p.ndim == 2):
            parameter.data = parameter.data.to(DTYPES[mode.removeprefix("stored ")]).float()
    return made


def play(models: Models, images: Tensor, features: Tensor, seeds: Sequence[int], seconds: int) -> tuple[Tensor, Tensor]:
    """The first second and the last ten of rollouts of random play: frames [B, N, H, W, 3] of each."""
    blocks = next(b for b in range(1, 10**6) if frames_of_blocks(b) >= seconds * FPS)
    world = start_world(models, images, list(seeds), features=features)
    tracks = [random_track(np.random.default_rng([seed, 0xD]), seconds * FPS + FRAMES_PER_BLOCK) for seed in seeds]
    made = [block.latents for block in rollout(models, world, tracks, blocks)]
    tail = -(-WINDOW * FPS // FRAMES_PER_BLOCK) + 1  # one more, for the decoder to begin with
    with torch.inference_mode():
        first, last = (models.vae.decode(torch.cat(part, dim=2))[0] for part in (made[:3], made[-tail:]))
    return pixels_to_frames(first)[:, :FPS], pixels_to_frames(last)[:, -WINDOW * FPS :]


def measure_rollouts(folder: Path, seeds: Sequence[int], seconds: int) -> dict[str, Any]:
    """Change of each mode against exact mode in %, and how far the seeds of exact mode lie apart."""
    demo, pictures = demo_world(folder), start_images(folder)
    images = torch.stack([fit_image(read_image(pictures[s % len(pictures)]), demo.height, demo.width) for s in seeds])
    with torch.inference_mode():
        features = load_vision(demo.vision, "float32")(images)
    generator, vae = load_generator(demo.generator, "float32"), load_vae(demo.vae, "float32")
    played, cost = {}, {}
    for mode in ROLLOUT_MODES:
        note(f"{seconds} s of {len(seeds)} worlds, {mode}")
        began = time.process_time()
        models = Models(in_mode(generator, mode), vae, NoFrames())  # type: ignore[arg-type]
        played[mode] = play(models, images, features, seeds, seconds)
        cost[mode] = time.process_time() - began
    looks = {mode: [look(frames) for frames in last] for mode, (_, last) in played.items()}
    exact = looks[EXACT]
    report: dict[str, Any] = {"seeds": list(seeds), "seconds": seconds, "size": f"{demo.width}x{demo.height}"}
    report["spread_of_exact_seeds_percent"] = {
        name: percent(float(np.std([e[name] for e in exact], ddof=1)), float(np.mean([e[name] for e in exact])))
        for name in exact[0]
    }
    for mode in ROLLOUT_MODES[1:]:
        each = [{n: percent(e[n], base[n]) - 100 for n in e} for e, base in zip(looks[mode], exact, strict=True)]
        report[mode] = {
            "last_seconds_percent": {n: round(float(np.mean([e[n] for e in each])), 2) for n in exact[0]},
            "furthest_seed_percent": {n: round(max((e[n] for e in each), key=abs), 2) for n in exact[0]},
            "psnr_first_second_db": psnr(played[mode][0], played[EXACT][0]),
            "psnr_last_seconds_db": psnr(played[mode][1], played[EXACT][1]),
            "cpu_seconds": round(cost[mode], 1),
        }
    report[EXACT] = {"cpu_seconds": round(cost[EXACT], 1)}
    return report


def measure_pass(layers: int) -> dict[str, Any]:
    """Relative RMS error of the velocity in %, of one pass at 640x352 behind a full window that exact mode filled."""
    config = replace(GeneratorConfig(), layers=layers, action_layers=tuple(range((layers + 1) // 2)))
    exact = random_generator(config)
    latents, condition = torch.randn(1, 16, 3, 44, 80), torch.randn(1, 20, 3, 44, 80)
    features = torch.randn(1, 257, config.visual_dim)
    inputs = ActionInputs((torch.rand(1, 3, 12, 4) < 0.3).float(), torch.empty(1, 3, 24).uniform_(-0.1, 0.1))

    def run(generator: Generator, caches: Any, first: int, x: Tensor) -> Tensor:
        constants = generator.prepare_rollout(features, TIMESTEPS)
        block = generator.prepare_block(first, 3, 44, 80, inputs, caches)
        return generator(x, condition, 1, constants, block, caches).float()

    errors, expected = {}, torch.empty(0)
    with torch.inference_mode():
        context = exact.empty_caches(1, 44, 80, torch.device("cpu"), torch.float32)
        run(exact, context, 0, torch.randn_like(latents))
        for mode in PASS_MODES:
            note(f"a pass of {layers} layers at 640x352, {mode}")
            velocity = run(in_mode(exact, mode), [layer.copy() for layer in context], 3, latents)
            expected = velocity if mode == EXACT else expected
            if mode != EXACT:
                errors[mode] = round(100 * float((velocity - expected).norm() / expected.norm()), 3)
    return {"layers": layers, "weights": "random", "size": "640x352", "velocity_rms_error_percent": errors}


def random_generator(config: GeneratorConfig) -> Generator:
    """A float32 generator whose random weights fit into bfloat16, as published ones do."""
    generator = Generator(config)
    torch.manual_seed(0)
    for name, parameter in generator.named_parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
        torch.nn.init.normal_(parameter, std=fan_in**-0.5 if parameter.ndim > 1 else 0.1)
        if parameter.ndim == 1 and name.endswith("weight"):
            parameter.data += 1
        parameter.data = parameter.data.bfloat16().float()
    return generator.eval().requires_grad_(False)


def measure_tiles(folder: Path) -> dict[str, Any]:
    """PSNR of frames in tiles against the same frames whole: the demo world's VAE on a picture of its game."""
    vae: WanVAE = load_vae(demo_world(folder).vae, "float32")
    frame = torch.from_numpy(Game.new(7, 0).frame(352, 640)).permute(2, 0, 1).float() / 127.5 - 1
    clip = frame.reshape(1, 3, 1, 352, 640).repeat(1, 1, 5, 1, 1)
    with torch.inference_mode():
        latents, _ = vae.encode(clip)
        whole = pixels_to_frames(vae.decode(latents)[0])
        made = {}
        for tiles in (2, 4):
            note(f"decoding in {tiles} tiles")
            pieces = pixels_to_frames(TiledDecoder(vae, tiles).decode(latents)[0])
            made[str(tiles)] = {"psnr_db": psnr(pieces, whole), "largest_of_255": int(differences(pieces, whole).max())}
    return made


def differences(a: Tensor, b: Tensor) -> Tensor:
    return (a.short() - b.short()).abs()


def psnr(a: Tensor, b: Tensor) -> float:
    """PSNR in dB of 8-bit frames."""
    error = float(differences(a, b).float().square().mean())
    return round(10 * float(np.log10(255**2 / max(error, 1e-9))), 2)


def percent(part: float, whole: float) -> float:
    return round(100 * part / whole, 2)


def note(text: str) -> None:
    print(f"{time.process_time():6.0f} s  {text} ...", file=sys.stderr, flush=True)


def as_text(report: dict[str, Any]) -> str:
    """The parts of a report as Markdown."""
    about = report["machine"]
    lines = [
        f"# Drift ({report['date']})",
        "",
        f"{about['processor']}, {about['threads']} thread, torch {about['torch']}; `python bench/drift.py`.",
    ]
    for name, lines_of in (("rollouts", _rollouts), ("windows", _windows), ("pass", _one_pass), ("tiles", _tiles)):
        if name in report:
            lines += ["", *lines_of(report[name])]
    return "\n".join(lines) + "\n"


def _rollouts(rollouts: dict[str, Any]) -> list[str]:
    lines = [
        f"## {rollouts['seconds']} seconds of the demo world, {len(rollouts['seeds'])} seeds, {rollouts['size']}",
        f"Change of the last {WINDOW} seconds against float32, mean of the seeds (furthest seed), in percent.",
        "",
        "| mode | brightness | saturation | sharpness | PSNR first second | PSNR last seconds |",
        "|---|---|---|---|---|---|",
    ]
    for mode in ROLLOUT_MODES[1:]:
        entry = rollouts[mode]
        furthest = entry["furthest_seed_percent"]
        cells = [f"{v:+.2f} ({furthest[n]:+.2f})" for n, v in entry["last_seconds_percent"].items()]
        cells += [f"{entry['psnr_first_second_db']} dB", f"{entry['psnr_last_seconds_db']} dB"]
        lines.append(f"| {mode} | {' | '.join(cells)} |")
    spread = rollouts["spread_of_exact_seeds_percent"]
    return [
        *lines,
        f"| seeds of float32 lie apart by | {' | '.join(f'{spread[n]:.2f}' for n in spread)} | | |",
        "",
        "Frames part from those of float32 in every mode, bfloat16 too: a rollout feeds on itself. What counts is",
        "whether the picture as a whole goes astray more than bfloat16's does.",
    ]


def _windows(windows: dict[str, Any]) -> list[str]:
    return [
        "## What stays in the window, the demo world",
        "Still: no input, PSNR against the frame after one second. Signs and *moving on*, PSNR against the game over a",
        "second: one control a block, after 8 blocks of standing still. The rest: a minute of random play, its last",
        "ten seconds against the game's.",
        "",
        *as_lines(windows),
    ]


def _one_pass(one: dict[str, Any]) -> list[str]:
    return [
        f"## One pass at {one['size']}, {one['layers']} layers of the published width, random weights, teacher-forced",
        "| mode | relative RMS error of the velocity |",
        "|---|---|",
        *(f"| {mode} | {error}% |" for mode, error in one["velocity_rms_error_percent"].items()),
    ]


def _tiles(tiles: dict[str, Any]) -> list[str]:
    return [
        "## Frames of 640x352 in tiles, the demo world's VAE",
        "| tiles | PSNR against whole frames | largest difference |",
        "|---|---|---|",
        *(f"| {n} | {e['psnr_db']} dB | {e['largest_of_255']} of 255 |" for n, e in tiles.items()),
    ]


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=Path, default=FOLDER, help="folder of a demo world (default: the built-in)")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rollouts", type=int, default=16, help="rollouts after a pause, for each window")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--layers", type=int, default=4, help="layers of the full-size pass")
    parser.add_argument("-o", "--output", type=report_argument(".json", ".md"), help="write NAME.json and NAME.md")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    began = time.process_time()
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "tiles": lambda: measure_tiles(options.models),
        "pass": lambda: measure_pass(options.layers),
        "rollouts": lambda: measure_rollouts(options.models, range(options.seeds), options.seconds),
        "windows": lambda: measure_windows(options.models, options.rollouts, options.seeds),
    }
    report: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "machine": machine(torch.device("cpu"))}
    report |= {name: part() for name, part in parts.items() if name in options.parts}
    report["cpu_seconds"] = round(time.process_time() - began, 1)
    print(as_text(report))
    if options.output:
        write_text(options.output.with_suffix(".json"), json.dumps(report, indent=1) + "\n")
        write_text(options.output.with_suffix(".md"), as_text(report))


if __name__ == "__main__":
    main()
