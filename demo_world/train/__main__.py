"""`python -m demo_world.train`: trains the demo model, stage by stage, and resumes where it was stopped."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from comfyui_matrixgame.checkpoints.builtin import FILES
from comfyui_matrixgame.errors import MatrixGameError

from .config import PRESETS, Preset, get_preset
from .data import PlayedSource, make_source, players, write_frames
from .decoder import train_decoder
from .latents import write_latents
from .network import make_generator
from .steps.loop import BEGUN_WITH, Run, light_checkpoint
from .student import train_student
from .teacher import train_teacher
from .vae import FOLDED, PLAIN, train_images, train_vae

STAGES = ("frames", "images", "vae", "latents", "teacher", "student", "decoder")
DECODER_LR = 0.2  # share of the rate that the VAE began with


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m demo_world.train", description=__doc__)
    parser.add_argument("stages", nargs="+", choices=(*STAGES, "all"), help="what to do, in order")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints, logs and pictures")
    parser.add_argument("--preset", default="cpu", choices=sorted(PRESETS), help="size of the model and its training")
    parser.add_argument("--data", type=Path, help="learn from this recording (demo_world.record), not from the game")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, help="steps of the stage in all (default: the preset's)")
    parser.add_argument(
        "--minutes",
        type=float,
        nargs="+",
        help="end each stage after this time, one for each (default: after its steps)",
    )
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    parser.add_argument("--clips", type=int, help="clips to encode in the stage latents (default: the preset's)")
    parser.add_argument("--begin-with", type=Path, help="folder of an exported model to go on from: VAE and generator")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="values that replace the preset's")
    parser.add_argument("--dmd", type=float, help="weight of distribution matching in the student's loss")
    parser.add_argument("--graphs", action="store_true", help="record the steps of teacher and student as CUDA graphs")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the stages that were asked for."""
    options = parse(arguments)
    preset, device = change_preset(get_preset(options.preset), options.set), torch.device(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "preset.json").write_text(json.dumps(preset.record(), indent=2) + "\n")
    if options.begin_with:
        begin_with(options.begin_with, options.out, preset)
    if device.type == "cuda":
        players().submit(os.getpid).result()  # its processes are there before the GPU is touched
        prepare_cuda()
    stages = STAGES if "all" in options.stages else options.stages
    times = options.minutes or [None]
    if len(times) not in (1, len(stages)):
        raise MatrixGameError(f"--minutes has {len(times)} values for {len(stages)} stages; give one, or one for each.")
    for stage, minutes in zip(stages, times if len(times) == len(stages) else times * len(stages), strict=True):
        started = time.monotonic()
        run_stage(stage, options, preset, device, minutes)
        print(f"{stage}: {time.monotonic() - started:.1f} s", flush=True)


def change_preset(preset: Preset, changes: Sequence[str]) -> Preset:
    """The preset with other values, each given as NAME=VALUE; raises MatrixGameError for a name or a value it cannot
    have."""
    values = {}
    for change in changes:
        name, _, text = change.partition("=")
        kind = type(preset.record().get(name))
        if kind not in (int, float):
            raise MatrixGameError(f"--set {change}: the preset has no number of that name.")
        try:
            values[name] = kind(text)
        except ValueError:
            wanted = "a whole number" if kind is int else "a number"
            raise MatrixGameError(f"--set {change}: that is not {wanted}.") from None
    return replace(preset, **values)


def begin_with(folder: Path, out: Path, preset: Preset) -> None:
    """Put an exported VAE and generator where the stages from `latents` on look for what they begin with."""
    out.mkdir(parents=True, exist_ok=True)
    generator, vae = ({k: v.float() for k, v in load_file(folder / name).items()} for name in FILES[:2])
    make_generator(preset).load_state_dict(generator)  # an error now, not in the stage
    torch.save(vae, out / FOLDED)
    (out / PLAIN).unlink(missing_ok=True)
    (out / BEGUN_WITH).touch()
    for stage in ("teacher", "student"):  # what stands for both, until a stage of this run has made another
        torch.save({"step": 0, "average": generator}, light_checkpoint(out / f"{stage}.pt"))


def prepare_cuda() -> None:
    """What makes training quick and steady on a GPU: TF32 outside autocast, and no cuDNN attention, which builds a
    plan for every shape it meets."""
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cuda.enable_cudnn_sdp(False)


def run_stage(
    stage: str, options: argparse.Namespace, preset: Preset, device: torch.device, minutes: float | None
) -> None:
    """One stage, to its end."""
    gpu = device.type == "cuda"

    def run(steps: int, lr: float) -> Run:
        # stages that go on from another's weights
        again = {"vae": 0.5, "student": preset.student_lr / preset.lr, "decoder": DECODER_LR}
        return Run(
            stage, options.out, options.steps or steps, lr, device, minutes,
            muon_lr=preset.muon_lr * again.get(stage, 1.0), average=preset.average, warmup=15 if stage in again else 50,
            log_every=10 if gpu else 1, first_picture=-1 if gpu else 20, graphs=options.graphs and gpu,
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
        write_latents(options.out, preset, source, device, options.seed, options.clips, minutes)
    elif stage == "teacher":
        train_teacher(run(preset.teacher_steps, preset.lr), preset, options.seed)
    elif stage == "decoder":
        train_decoder(run(preset.decoder_steps, DECODER_LR * preset.vae_lr), preset, source, options.seed)
    else:
        held_out = source if device.type == "cuda" else None
        train_student(run(preset.student_steps, preset.student_lr), preset, options.seed, options.dmd, held_out)


if __name__ == "__main__":
    main()
