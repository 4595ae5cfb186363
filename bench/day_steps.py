"""The steps of device_day.py, each to run in a process of its own: `python bench/day_steps.py NAME --device cuda`."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from comfyui_matrixgame import weights  # noqa: E402
from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks  # noqa: E402
from comfyui_matrixgame.checkpoints.untrained import write_small_files  # noqa: E402
from comfyui_matrixgame.compute import quantise  # noqa: E402
from comfyui_matrixgame.compute.attention import available_backends  # noqa: E402
from comfyui_matrixgame.compute.devices import computing_on  # noqa: E402
from comfyui_matrixgame.compute.trials import TRIALS, with_trials  # noqa: E402
from comfyui_matrixgame.measure.bench import measure  # noqa: E402
from comfyui_matrixgame.measure.clock import Spread, now, peak_memory, since, start_memory, sustained  # noqa: E402
from comfyui_matrixgame.measure.machine import machine_limits  # noqa: E402
from comfyui_matrixgame.measure.networks import SIZES, random_models  # noqa: E402
from comfyui_matrixgame.measure.rollouts import ENOUGH, WARM, pass_arguments, time_batches, world_after  # noqa: E402
from comfyui_matrixgame.media.video import read_video  # noqa: E402
from comfyui_matrixgame.terminal.main import main as matrixgame  # noqa: E402
from comfyui_matrixgame.variants import UNIVERSAL, get_variant  # noqa: E402
from comfyui_matrixgame.world import rollout, start_world  # noqa: E402

RESULT = "RESULT "  # begins a line that holds a result
DTYPE = "bfloat16"
CARDS = {"24 GB": 23.0, "12 GB": 11.2, "8 GB": 7.2, "6 GB": 5.4}  # card -> GB that are free on it

Say = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Context:
    """Where a step runs. say: writes a part of the result at once."""

    device: torch.device
    small: bool
    say: Say
    reference: Path | None = None
    fastvideo: Path | None = None
    comfyui: Path | None = None

    @property
    def size(self) -> str:
        return "least" if self.small else "full"

    @property
    def blocks(self) -> int:
        return 2 if self.small else WARM + ENOUGH


@dataclass(frozen=True)
class Step:
    """Something to measure or to try. seconds: its time on an H100, about. needs: options, one of which is required."""

    name: str
    what: str
    seconds: int
    run: Callable[[Context], None]
    needs: tuple[str, ...] = ()


def from_a_picture(context: Context) -> None:
    """The terminal's program renders the demo world from a picture: the image tower, the VAE and the film."""
    with tempfile.TemporaryDirectory() as folder:
        said = run_program("render", "--actions", "w 2b; w+left 1b", "-o", f"{folder}/a.mp4", context=context)
        context.say({"frames": len(film(f"{folder}/a.mp4")), "said": said.strip().splitlines()[-1]})


def other_plan(context: Context) -> None:
    """A world of one memory plan goes on under another, with the same frames as in one go."""
    other = "stream" if context.device.type == "cuda" else "full"
    with tempfile.TemporaryDirectory() as folder:
        common = ("render", "--actions", "w 4b")
        run_program(*common, "--blocks", "4", "-o", f"{folder}/whole.mp4", context=context)
        parts = (*common, "-o", f"{folder}/parts.mp4", "--world", f"{folder}/w.safetensors")
        run_program(*parts, "--blocks", "2", "--memory", "full", context=context)
        run_program(*parts, "--blocks", "4", "--memory", other, context=context)
        films = [film(f"{folder}/{name}.mp4") for name in ("whole", "parts")]
    wrong = int((films[0] != films[1]).any(axis=(1, 2, 3)).sum())
    context.say({"frames": len(films[0]), "frames_that_differ": wrong})
    if wrong:
        raise RuntimeError(f"{wrong} of {len(films[0])} frames differ between the plans.")


def film(path: str) -> np.ndarray:
    """All frames [N, H, W, 3]."""
    return np.stack(list(read_video(path)))


def gpu_tests(context: Context) -> None:
    """The project's tests that need a CUDA device."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "--no-header", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    context.say({"exit": done.returncode, "closing_line": lines[-1] if lines else "", "failed": failures(lines)})
    if done.returncode not in (0, 5):  # 5: no test was chosen, as on a machine without a GPU
        raise RuntimeError(lines[-1] if lines else done.stderr[-300:])


def failures(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith(("FAILED", "ERROR"))][:20]


def whole_run(
    variant: str = "universal", decoder: str = "wan", precision: str = "exact", attention: str = "sdpa"
) -> Callable[[Context], None]:
    """A step that measures a rollout from the image tower to the frames on the host."""

    def run(context: Context) -> None:
        latent = tuple(side // 8 for side in SIZES[context.size])
        limits = machine_limits(context.device, latent, latent, 1 if context.small else 20)
        found = measure(
            get_variant(variant), context.size, DTYPE, context.device, decoder, context.blocks, limits, attention,
            not context.small, precision,
        )  # fmt: skip
        context.say({"limits": limits, "run": found})

    return run


def every_attention(context: Context) -> None:
    """The universal rollout with each attention package that is installed."""
    names = available_backends()
    context.say({"installed": names})
    for name in names[1:]:
        try:
            whole_run(attention=name)(replace(context, say=lambda found, name=name: context.say({name: found})))
        except Exception as error:  # one package that does not fit leaves the others their turn
            context.say({name: {"failed": str(error)[:300]}})


def beside_others(context: Context) -> None:
    """The published code, FastVideo's classes and this engine in turns: a pass, decoding, a whole block."""
    from workers.beside import beside

    args = argparse.Namespace(
        reference=context.reference, fastvideo=context.fastvideo, device=str(context.device),
        layers=2 if context.small else None, threads=None, eager_decoder=True, rounds=2 if context.small else 5,
        dtypes=[DTYPE],
    )  # fmt: skip
    found = beside(args, "universal")
    context.say({"beside": found})
    failed = {name: about["failed"] for name, about in found["programs"].items() if "failed" in about}
    if failed:
        raise RuntimeError("; ".join(failed.values()))


def batches(context: Context) -> None:
    """Frames a second of several worlds at once."""
    models = random_models(UNIVERSAL, context.size, DTYPE, context.device, "tiny")
    how = ([1, 2], 1, 1) if context.small else ([1, 2, 4, 8], ENOUGH, WARM)
    context.say({"decoder": "tiny", "dtype": DTYPE, "rows": time_batches(models, context.size, *how)})


def small_cards(context: Context) -> None:
    """Rollouts under the plans for smaller cards, with the allocator held to what they have free."""
    with tempfile.TemporaryDirectory() as folder:
        paths = weights_on_disk(Path(folder), context.small)
        for card, gigabytes in CARDS.items():
            files = weights.find_files(paths["generator"], paths["vae"], None, None, "auto", context.device)
            context.say({card: under_plan(context, files, gigabytes)})


def under_plan(context: Context, files: weights.Files, gigabytes: float) -> dict[str, Any]:
    """Memory and speed of a rollout where this much is free."""
    height, width = SIZES[context.size]
    device, free = context.device, weights.free_memory
    weights.free_memory = lambda _: int(gigabytes * 1e9)
    try:
        plan = weights.plan_for(files, height, width)
    finally:
        weights.free_memory = free
    with limited(device, gigabytes):
        models = weights.load_models(files, plan=plan)
        features = torch.zeros(1, 257, models.generator.config.visual_dim)
        world = start_world(models, torch.zeros(3, height, width), features=features)
        blocks = 2 if context.small else 6
        run = rollout(models, world, ActionTrack.idle(models.variant, rows_of_blocks(blocks)))
        del world
        times = []
        for _ in range(blocks):
            began = now(device)
            next(run)
            times.append(since(began, device).spent)
        later = Spread.of(times[1:]).as_json()  # few blocks, which also encode: a check of the plan, not a speed
        return {"plan": str(plan), "later_blocks_s": later, "memory": peak_memory(device)}


@contextlib.contextmanager
def limited(device: torch.device, gigabytes: float) -> Any:
    """Inside, the allocator is held to this much; on a CPU, nothing changes."""
    start_memory(device)
    if device.type != "cuda":
        yield
        return
    whole = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, gigabytes * 1e9 / whole), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


def one_layer(context: Context) -> None:
    """The decoder's convolution at 192 channels: as it is, and in the plane over the channels of three frames."""
    sides = (22, 40) if context.small else (176, 320)
    dtype = torch.float32 if context.device.type == "cpu" else torch.bfloat16
    x = torch.randn(1, 192, 6, *sides, device=context.device, dtype=dtype)
    x = x.contiguous(memory_format=torch.channels_last_3d)
    w = torch.randn(192, 192, 3, 3, 3, device=context.device, dtype=dtype)
    last = w.contiguous(memory_format=torch.channels_last_3d)
    flat = w.permute(0, 2, 1, 3, 4).reshape(192, 576, 3, 3).contiguous(memory_format=torch.channels_last)
    frames = torch.cat([x[:, :, k : k + 4] for k in range(3)], dim=1)  # [1, 576, 4, H, W]
    planes = frames[0].transpose(0, 1).contiguous(memory_format=torch.channels_last)
    routes: dict[str, Callable[[], object]] = {
        "conv3d": lambda: F.conv3d(x, last, padding=(0, 1, 1)),
        "conv2d over 576 channels": lambda: F.conv2d(planes, flat, padding=1),
        "writing the frames thrice": lambda: torch.cat([x[:, :, k : k + 4] for k in range(3)], dim=1),
    }
    before = torch.backends.cudnn.benchmark
    with torch.inference_mode():
        for choice in (False, True):
            torch.backends.cudnn.benchmark = choice
            for name, route in routes.items():
                key = f"{name}, cudnn.benchmark {'on' if choice else 'off'}"
                context.say({key: {"ms": 1e3 * sustained(route, context.device, 1 if context.small else 20)}})
    torch.backends.cudnn.benchmark = before


def every_trial(context: Context) -> None:
    """Each way of computing on trial, in turns with none, in the part of the work that it touches."""
    for trial in TRIALS:
        try:
            context.say({trial: against_none(context, trial)})
        except Exception as error:  # one that the device cannot do leaves the others their turn
            context.say({trial: {"failed": str(error)[:300]}})


def against_none(context: Context, trial: str) -> dict[str, Any]:
    """Milliseconds with a trial and without, and how far its numbers are off, relative to the largest."""
    device, work = context.device, _work_of_trial(context, trial)
    times: dict[str, list[float]] = {"none": [], trial: []}
    results = {}
    for _ in range(1 if context.small else 3):
        for name, asked in (("none", ()), (trial, (trial,))):
            quantise._tried.cache_clear()
            with with_trials(*asked), computing_on(device):
                times[name].append(1e3 * sustained(work, device, 1 if context.small else 5))
                results[name] = work().float()
    quantise._tried.cache_clear()
    off = (results[trial] - results["none"]).abs().max() / results["none"].abs().max()
    return {**{f"{name}_ms": min(found) for name, found in times.items()}, "relative_difference": off.item()}


def _work_of_trial(context: Context, trial: str) -> Callable[[], torch.Tensor]:
    """A pass in fp8, or the decoding of the two latents of a block that Rollout gives to the decoder at once."""
    eight = trial.startswith("fp8")
    precision = "fp8" if eight else "exact"
    models = random_models(UNIVERSAL, context.size, DTYPE, context.device, "wan", precision=precision)
    if eight:
        arguments = pass_arguments(models, world_after(models, 2, context.size))
        return lambda: models.generator(*arguments)
    latents = torch.randn(1, 16, 2, *(side // 8 for side in SIZES[context.size]), device=context.device)
    with computing_on(context.device):
        _, state = models.decoder.decode(latents)
    return lambda: models.decoder.decode(latents, state)[0]


def five_rollouts(context: Context) -> None:
    """Whether memory grows from rollout to rollout."""
    models = random_models(UNIVERSAL, context.size, DTYPE, context.device, "wan")
    features = torch.zeros(1, 257, models.generator.config.visual_dim)
    rows = []
    for _ in range(2 if context.small else 5):
        world = start_world(models, torch.zeros(3, *SIZES[context.size]), features=features)
        began = now(context.device)
        for _ in rollout(models, world, ActionTrack.idle(UNIVERSAL, rows_of_blocks(3))):
            pass
        rows.append({"s": since(began, context.device).spent, **peak_memory(context.device)})
        context.say({"rollouts": rows})


def two_devices(context: Context) -> None:
    """Bulk rendering on two GPUs makes the same frames as on one."""
    if torch.cuda.device_count() < 2:
        context.say({"skipped": "there is one device"})
        return
    with tempfile.TemporaryDirectory() as folder:
        jobs = Path(folder) / "jobs.yaml"
        jobs.write_text("scripts: [w 3b, {name: back, text: s 3b}]\nseeds: 0..1\nkeep: [mp4, latents]\noutput: two\n")
        run_program("batch", "run", str(jobs), "--device", "cuda:0,cuda:1")
        run_program("batch", "run", str(jobs), "--device", "cuda:0", "-o", f"{folder}/one")
        names = sorted(path.relative_to(f"{folder}/one") for path in Path(f"{folder}/one").rglob("*.mp4"))
        both = [[(Path(folder) / where / name).read_bytes() for where in ("one", "two")] for name in names]
        same = [one == two for one, two in both]
        context.say({"films": len(names), "the_same": sum(same)})
        if not names or not all(same):
            raise RuntimeError("The films of two devices are not those of one.")


def in_comfyui(context: Context) -> None:
    """Roll Out in a real ComfyUI, with dynamic VRAM (its default) and without."""
    from comfyui_speed import frames_a_second

    assert context.comfyui is not None
    blocks = 2 if context.small else ENOUGH
    for name, flags in (("dynamic VRAM", []), ("without dynamic VRAM", ["--disable-dynamic-vram"])):
        context.say({name: frames_a_second(context.comfyui, context.device, context.small, blocks, flags)})


STEPS = [
    Step("picture", "a film of the demo world from a picture", 25, from_a_picture),
    Step("plans", "a world of plan full goes on under stream", 60, other_plan),
    Step("exact-wan", "universal, Wan VAE, exact", 45, whole_run()),
    Step("exact-tiny", "universal, tiny decoder, exact", 30, whole_run(decoder="tiny")),
    Step("beside", "others in turns with ours", 120, beside_others, ("reference", "fastvideo")),
    Step("fp8-tiny", "universal, tiny decoder, fp8", 30, whole_run(decoder="tiny", precision="fp8")),
    Step("int8-tiny", "universal, tiny decoder, int8", 30, whole_run(decoder="tiny", precision="int8")),
    Step("fp8-wan", "universal, Wan VAE, fp8", 40, whole_run(precision="fp8")),
    Step("comfyui", "Roll Out in ComfyUI", 90, in_comfyui, ("comfyui",)),
    Step("tests", "the tests that need a GPU", 120, gpu_tests),
    Step("batches", "worlds at once", 60, batches),
    Step("small-cards", "plans of 24, 12, 8 and 6 GB", 60, small_cards),
    Step("one-layer", "convolutions of one layer", 10, one_layer),
    Step("trials", "each way on trial, in turns with none", 60, every_trial),
    Step("five-rollouts", "memory over five rollouts", 25, five_rollouts),
    Step("gta_drive", "gta_drive, Wan VAE, exact", 40, whole_run("gta_drive")),
    Step("templerun", "templerun, Wan VAE, exact", 40, whole_run("templerun")),
    Step("attention", "attention packages", 90, every_attention),
    Step("two-devices", "bulk rendering on two devices", 30, two_devices),
]


def steps_for(args: argparse.Namespace) -> list[Step]:
    """The steps that can be run with these options."""

    def possible(step: Step) -> bool:
        return not step.needs or any(getattr(args, option) is not None for option in step.needs)

    return [step for step in STEPS if possible(step) and (not args.only or step.name in args.only)]


def run_program(*arguments: str, context: Context | None = None) -> str:
    """What `matrixgame` prints. Raises RuntimeError where it fails."""
    command = [*arguments, *([] if context is None else ["--device", str(context.device)])]
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        status = matrixgame(command)
    if status:
        raise RuntimeError(f"matrixgame {command[0]} ended with {status}: {said.getvalue().strip().splitlines()[-1]}")
    return said.getvalue()


def weights_on_disk(folder: Path, small: bool) -> dict[str, Path]:
    """Generator and VAE with random weights in the published layout, and where small an image tower too."""
    if small:
        return write_small_files(folder, UNIVERSAL)
    models = random_models(UNIVERSAL, "full", DTYPE, torch.device("cpu"), "wan")
    paths = {}
    for name, network in (("generator", models.generator), ("vae", models.vae)):
        paths[name] = folder / f"{name}.safetensors"
        save_file({key: value.contiguous() for key, value in network.state_dict().items()}, paths[name])
    return paths


def main() -> None:
    """Run one step; each result is a line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", choices=[step.name for step in STEPS])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dry-run", action="store_true")
    for name in ("reference", "fastvideo", "comfyui"):
        parser.add_argument(f"--{name}", type=Path)
    args = parser.parse_args()
    answers = sys.stdout

    def say(found: dict[str, Any]) -> None:
        print(RESULT + json.dumps(found), file=answers, flush=True)

    device = torch.device(args.device)
    context = Context(device, args.dry_run, say, args.reference, args.fastvideo, args.comfyui)
    step = next(step for step in STEPS if step.name == args.name)
    with contextlib.redirect_stdout(sys.stderr):
        step.run(context)


if __name__ == "__main__":
    main()
