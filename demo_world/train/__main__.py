"""`python -m demo_world.train`: trains the demo model, stage by stage, and goes on where it was stopped."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from .config import PRESETS, Preset, get_preset
from .data import PlayedSource, make_source, write_frames
from .latents import write_latents
from .loop import Run
from .student import train_student
from .teacher import train_teacher
from .vae import train_images, train_vae

STAGES = ("frames", "images", "vae", "latents", "teacher", "student")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m demo_world.train", description=__doc__)
    parser.add_argument("stages", nargs="+", choices=(*STAGES, "all"), help="what to do, in order")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints, logs and pictures")
    parser.add_argument("--preset", default="cpu", choices=sorted(PRESETS), help="size of the model and its training")
    parser.add_argument("--data", type=Path, help="learn from this recording (demo_world.record), not from the game")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, help="steps of the stage in all (default: the preset's)")
    parser.add_argument("--minutes", type=float, help="end the stage after this time (default: after its steps)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    parser.add_argument("--clips", type=int, help="clips to encode in the stage latents (default: the preset's)")
    parser.add_argument("--dmd", type=float, help="weight of distribution matching in the student's loss")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the stages that were asked for."""
    options = parse(arguments)
    preset, device = get_preset(options.preset), torch.device(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "preset.json").write_text(json.dumps(preset.record(), indent=2) + "\n")
    for stage in STAGES if "all" in options.stages else options.stages:
        run_stage(stage, options, preset, device)


def run_stage(stage: str, options: argparse.Namespace, preset: Preset, device: torch.device) -> None:
    """One stage, to its end."""

    def run(steps: int, lr: float) -> Run:
        again = {"vae": 0.5, "student": preset.student_lr / preset.lr}  # stages that go on from another's weights
        return Run(
            stage, options.out, options.steps or steps, lr, device, options.minutes,
            muon_lr=preset.muon_lr * again.get(stage, 1.0), average=preset.average, warmup=15 if stage in again else 50,
        )  # fmt: skip

    source, played = make_source(preset, device, options.data), options.out / "frames"
    if stage == "frames":
        return write_frames(played, source, options.clips or preset.clips, preset.clip_frames)
    if any(played.glob("*.pt")):
        source = PlayedSource(played)
    if stage == "images":
        train_images(run(preset.image_steps, preset.vae_lr), preset, source, options.seed)
    elif stage == "vae":
        train_vae(run(preset.vae_steps, preset.vae_lr), preset, source, options.seed)
    elif stage == "latents":
        write_latents(options.out, preset, source, device, options.seed, options.clips)
    elif stage == "teacher":
        train_teacher(run(preset.teacher_steps, preset.lr), preset, options.seed)
    else:
        train_student(run(preset.student_steps, preset.student_lr), preset, options.seed, options.dmd)


if __name__ == "__main__":
    main()
