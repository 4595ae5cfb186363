"""`python -m demo_world.export RUN FOLDER`: a trained run as the files that ship, with model card and start images.

The files have the published layouts (names of tensors), in float16, and are loaded like any other file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from comfyui_matrixgame.checkpoints.builtin import FILES, write_manifest
from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.networks.generator.model import Generator

from .game import Game
from .train.config import CPU, Preset
from .train.data import make_source
from .train.network import make_generator, make_vision
from .train.steps.loop import BEGUN_WITH, light_checkpoint, load_average
from .train.vae import load_vae, reconstruction_psnr

LIMIT_MB = 25.0
LIMITS = (
    "Why it falls short where it does: it was trained for minutes, not days. It answers with the mean of what",
    "may come, so what it is unsure of is a blur: fine edges, and what comes into view. It remembers half a second",
    "of frames: landmarks stay in place while they are in sight, but after many seconds of walking and turning it",
    "is lost, and shows grass, wall and sky, softer than the game's, that still move with the inputs. The figures",
    "after 60 s say nothing about the place. Held out were the places that rollouts start from and the inputs, not",
    "the world itself.",
)
START_PLACES = (3, 6, 8, 1, 4, 7, 2, 0)  # of the world that the shipped model knows; training starts from others
START_SCALE = 8  # start images are this much larger than the model's frames


def export_model(
    run: Path, folder: Path, stage: str = "student", bench: Path | None = None, clips: int = 16, share: float = 1.0
) -> float:
    """Write the three files and the card; returns their size in MB.

    stage: whose weights the generator gets. bench: results of bench/demo_world.py to quote in the card. clips: how many
    clips the VAE's PSNR in the card is measured on. share: where the written weights lie between the teacher's, 0 (or
    those of the exported model that a run went on from), and the stage's, 1.
    Raises FileNotFoundError where a stage has not run, MatrixGameError where the model is too large to ship or `share`
    is not from 0 to 1.
    """
    if not 0.0 <= share <= 1.0:
        raise MatrixGameError(f"The share is {share:g}; give a number from 0 to 1.")
    preset = Preset(**json.loads((run / "preset.json").read_text()))
    generator = make_generator(preset)
    load_average(run, stage, generator)
    if share < 1.0:
        lie_between(generator, run, share)
    vae = load_vae(run, preset, torch.device("cpu"))
    folder.mkdir(parents=True, exist_ok=True)
    tensors = (generator.state_dict(), vae.state_dict(), vision_file(preset))
    for name, values in zip(FILES, tensors, strict=True):
        save_file({k: v.half().contiguous() for k, v in values.items()}, folder / name)
    size = sum((folder / name).stat().st_size for name in FILES) / 1e6
    if size > LIMIT_MB:
        raise MatrixGameError(f"The model is {size:.1f} MB; the limit is {LIMIT_MB:g}. Use a smaller preset.")
    write_manifest(folder, preset.height, preset.width)
    psnr = reconstruction_psnr(vae, make_source(preset, torch.device("cpu"), None), clips)
    (folder / "README.md").write_text(card(preset, run, stage, size, psnr, bench, share), encoding="utf-8")
    return size


def lie_between(generator: Generator, run: Path, share: float) -> None:
    """Move the weights back towards the teacher's, until they lie `share` of the way from there."""
    reached = {name: value.clone() for name, value in generator.state_dict().items()}
    load_average(run, "teacher", generator)
    before = generator.state_dict()
    generator.load_state_dict({name: torch.lerp(before[name], reached[name], share) for name in before})


def vision_file(preset: Preset) -> dict[str, Tensor]:
    """The image tower in the layout of clip_vision_h: `vision_model.` in front, and a last block nothing runs."""
    tower = {k.removeprefix("vision_model."): v for k, v in make_vision(preset).model.state_dict().items()}
    tower = {f"vision_model.{k}": v for k, v in tower.items() if not k.endswith("position_ids")}
    ran, spare = "encoder.layers.0.", "encoder.layers.1."
    return tower | {k.replace(ran, spare): v.clone() for k, v in tower.items() if ran in k}


def write_start_images(folder: Path, places: Sequence[int] = START_PLACES) -> list[Path]:
    """Start images of the game in the shape of the model's frames, from places that training does not start from."""
    folder.mkdir(parents=True, exist_ok=True)
    assert CPU.world is not None
    paths = []
    for number, place in enumerate(places):
        paths.append(folder / f"demo_world_{number:02d}.png")
        frame = Game.new(CPU.world, place).frame(START_SCALE * CPU.height, START_SCALE * CPU.width)
        Image.fromarray(frame).save(paths[-1], optimize=True)
    return paths


def card(
    preset: Preset, run: Path, stage: str, size: float, psnr: float, bench: Path | None, share: float = 1.0
) -> str:
    """The model card."""
    lines = [
        "# The demo world's model",
        "",
        "A very small model of the game in `demo_world/`, trained from nothing on that game alone. It is built from",
        "the same classes as Matrix-Game 2.0, with a smaller configuration, and takes the inputs of the universal",
        "variant. It is there to try nodes, scripts and tests without a download.",
        "",
        "It is **not** Matrix-Game 2.0, holds none of its weights, and says nothing about that model's quality.",
        "",
        known(preset),
        "Start from the pictures in `start_images/`, at the size below: any other picture turns within a second into",
        "something that looks like this game.",
        "",
        f"- Frames: {preset.width}x{preset.height}. Files: {size:.1f} MB in all, float16.",
        f"- Generator: {preset.layers} layers of width {preset.dim}, inputs in the first {preset.action_layers}; "
        f"weights of the stage `{stage}` after {steps_of(run, stage)} steps.",
        f"- VAE: base width {preset.vae_dim}{vae_steps(run)}; {psnr:.1f} dB PSNR on clips it has not seen.",
        *decoder_steps(run),
        "- Image tower: two small blocks with **random weights**, in the published layout. The generator learnt to",
        "  read its features as they are; it is no CLIP.",
        f"- Learnt from {clips_of(run)} clips of {preset.clip_frames} frames.",
        *begun_with(run),
        *kept_share(run, share),
        "- Made by `python -m demo_world.train` and `python -m demo_world.export` (`demo_world/README.md`).",
    ]
    if bench is not None:
        figures = json.loads(bench.read_text())
        lines += ["", "Measured by `bench/demo_world.py` on held-out rollouts, against the game's own frames:", ""]
        lines += [f"- {name}: {value}" for name, value in figures["summary"].items()]
        lines += ["", *LIMITS]
    return "\n".join(lines) + "\n"


def vae_steps(run: Path) -> str:
    """How long the VAE of a run was trained, where it was."""
    if (run / BEGUN_WITH).exists():
        return ""
    return f", {steps_of(run, 'images')} steps on single frames and {steps_of(run, 'vae')} on clips"


def decoder_steps(run: Path) -> list[str]:
    """A line of the card on the decoder's own training, where it had one."""
    steps = steps_of(run, "decoder")
    return [f"  Its decoder then learnt for {steps} steps from the generator's own rollouts."] if steps else []


def begun_with(run: Path) -> list[str]:
    """A line of the card where a run went on from another one's model."""
    if not (run / BEGUN_WITH).exists():
        return []
    return ["- Those steps and clips came after others: the run went on from an exported model, whose VAE it kept."]


def kept_share(run: Path, share: float) -> list[str]:
    """A line of the card where the generator's weights lie between two models'."""
    if share >= 1.0:
        return []
    before = "that model's" if (run / BEGUN_WITH).exists() else "the teacher's"
    return [f"  The generator's weights lie {share:.0%} of the way from {before} to those it had learnt at the end."]


def known(preset: Preset) -> str:
    """What the model has seen, in a sentence."""
    if preset.world is None:
        return "It knows one game, in worlds that are laid out at random."
    return f"It knows a single world of one game: `demo_world/scene.py`, seed {preset.world}."


def clips_of(run: Path) -> int:
    """Clips that the generator could learn from."""
    if (note := run / "latents.json").exists():
        return int(json.loads(note.read_text())["clips"])
    shards = sorted((run / "latents").glob("*.pt"))
    return sum(len(torch.load(p, map_location="cpu", weights_only=True, mmap=True)["latents"]) for p in shards)


def steps_of(run: Path, stage: str) -> int:
    """Steps that a stage of a run has made."""
    path = run / f"{stage}.pt"
    if not path.exists():
        path = light_checkpoint(path)
    return int(torch.load(path, map_location="cpu", weights_only=True)["step"]) if path.exists() else 0


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m demo_world.export", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, help="folder that demo_world.train wrote to; `none` for the images alone")
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument("--stage", default="student", choices=("teacher", "student"))
    parser.add_argument(
        "--share", type=float, default=1.0,
        help="how far from the teacher's weights (or those of the model it went on from) to the stage's to go: 0 to 1",
    )  # fmt: skip
    parser.add_argument("--bench", type=Path, help="results of bench/demo_world.py to quote in the card")
    options = parser.parse_args(arguments)
    if str(options.run) != "none":
        size = export_model(options.run, options.folder, options.stage, options.bench, share=options.share)
        print(f"{size:.1f} MB in {options.folder}")
    write_start_images(options.folder / "start_images")


if __name__ == "__main__":
    main()
