"""What every stage of training shares: steps, a progress bar, checkpoints, logged curves."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
import torch.nn as nn
from torch import Tensor
from tqdm import tqdm

from comfyui_matrixgame.errors import MatrixGameError

from .muon import Muon
from .pictures import draw_curves
from .recorded import Twin

BEGUN_WITH = "begun_with_an_exported_model"  # empty file in a run's folder, for its card


@dataclass
class Run:
    """One stage's training: where it writes, how long it goes on.

    A stage ends after `steps` steps or `minutes` minutes of this call, whichever comes first; the learning
    rate falls to its end along whichever is further on. Started again, it continues where it was saved.
    """

    stage: str
    out: Path
    steps: int
    lr: float
    device: torch.device
    minutes: float | None = None
    muon_lr: float = 0.0  # of matrices; 0: AdamW moves them too
    average: float = 0.995  # what the moving average of the weights keeps in a step
    warmup: int = 50  # steps in which the learning rate rises
    save_every: float = 60.0  # seconds
    log_every: int = 1  # steps; a GPU would wait for the reading of each value
    picture_every: float = 240.0  # seconds
    first_picture: int = 20  # step
    graphs: bool = False  # record steps as CUDA graphs where a stage can
    rows: list[dict[str, float]] = field(default_factory=list)

    @property
    def checkpoint(self) -> Path:
        """The file that this stage resumes from."""
        return self.out / f"{self.stage}.pt"

    def salted(self, seed: int) -> int:
        """`seed`, and another one each time the stage goes on: it then draws clips it has not drawn before."""
        if not self.checkpoint.exists():
            return seed
        saved = torch.load(self.checkpoint, map_location="cpu", weights_only=True, mmap=True)
        return seed + 1_000_003 * int(saved["step"])

    @property
    def halves(self) -> bool:
        """Whether passes run with weights in bfloat16 (Twin): on a GPU."""
        return self.device.type == "cuda"

    def autocast(self) -> torch.autocast:
        """bfloat16 on a GPU; nothing on a CPU, where it is slower."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")


Values = Mapping[str, float | Tensor]
"""What a step logs; tensors stay where they are until they are read."""


class Stateful(Protocol):
    """What can be saved beside the model: a module or an optimiser."""

    def state_dict(self) -> dict: ...

    def load_state_dict(self, state_dict) -> object: ...


class Average:
    """A moving average of weights: steadier than the last step's."""

    def __init__(self, model: nn.Module, keep: float) -> None:
        self.keep = keep
        self.values = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.live = {k: v.detach() for k, v in model.state_dict().items() if v.is_floating_point()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the model's weights; quicker in the first steps."""
        keep = min(self.keep, (1 + step) / (10 + step))
        torch._foreach_lerp_([self.values[name] for name in self.live], list(self.live.values()), 1 - keep)


def train(
    run: Run,
    model: nn.Module,
    loss_of: Callable[[int], tuple[Tensor, Values]],
    *,
    picture: Callable[[Path], None] | None = None,
    extra: Mapping[str, Stateful] | None = None,
    after_step: Callable[[int], Values] | None = None,
    share_average: dict[str, dict[str, Tensor]] | None = None,
    twin: Twin | None = None,
) -> Average:
    """Minimise loss_of(step) over the model's weights; returns their moving average.

    picture: draws a strip of samples to the path it is given. extra: what else to save with the model (a critic
    that after_step trains, and its optimiser). share_average: gets the averaged weights under "average", for the
    pictures. twin: holds the gradients after loss_of, for the weights it took before. A checkpoint is written to
    a new file and then moved: stopping at any moment leaves a whole one.
    """
    run.out.mkdir(parents=True, exist_ok=True)
    optimiser = make_optimiser(run, model)
    average = Average(model, run.average)
    rates = [group["lr"] for group in optimiser.param_groups]
    first, done_before = _resume(run, model, optimiser, average, extra or {})
    if share_average is not None:
        share_average["average"] = average.values
    started, saved, pictured = time.monotonic(), time.monotonic(), time.monotonic()
    step = first
    with tqdm(total=run.steps, initial=first, desc=run.stage, dynamic_ncols=True, mininterval=2.0) as bar:
        for step in range(first, run.steps):
            share = max(step / run.steps, _time_share(run, started, done_before))
            if share >= 1.0:
                break
            for group, lr in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = lr * min(1.0, (step + 1 - first) / run.warmup) * (0.03 + 0.97 * _cosine(share))
            if twin is not None:
                twin.take()
            loss, values = loss_of(step)
            optimiser.zero_grad(set_to_none=True)
            if twin is None:
                loss.backward()
            else:
                twin.give()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            logged = step % run.log_every == 0
            # where values are not read in every step, infinite gradients are not caught in every step either
            if run.log_every > 1 or torch.isfinite(norm):
                optimiser.step()
                average.update(step)
            if after_step is not None:
                values = {**values, **after_step(step)}
            bar.update()
            if logged:
                run.rows.append({"step": step, **_read({"loss": loss.detach(), **values})})
                bar.set_postfix({k: f"{v:.4g}" for k, v in list(run.rows[-1].items())[1:5]}, refresh=False)
                if run.log_every > 1 and not math.isfinite(run.rows[-1]["loss"]):
                    raise MatrixGameError(
                        f"The stage {run.stage} diverged by step {step}; its last checkpoint is kept."
                    )
            now = time.monotonic()
            if now - saved > run.save_every:
                _save(run, step + 1, share, model, optimiser, average, extra or {})
                saved = time.monotonic()
            if picture is not None and (now - pictured > run.picture_every or step == run.first_picture):
                picture(run.out / f"{run.stage}_{step + 1:06d}.png")
                pictured = time.monotonic()
        else:
            step = run.steps
    if step > first:
        took = time.monotonic() - started
        print(
            f"{run.stage}: {step - first} steps in {took:.1f} s, {1000 * took / (step - first):.0f} ms each", flush=True
        )
        if run.device.type == "cuda":
            print(f"{run.stage}: {torch.cuda.max_memory_allocated() / 1e9:.1f} GB of GPU memory at most", flush=True)
    share = max(step / run.steps, _time_share(run, started, done_before))
    _save(run, step, share, model, optimiser, average, extra or {})
    if picture is not None:
        picture(run.out / f"{run.stage}_last.png")
    return average


def make_optimiser(run: Run, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW, or Muon beside it where the run says so."""
    if run.muon_lr:
        return Muon(model.named_parameters(), run.lr, run.muon_lr)
    return torch.optim.AdamW(model.parameters(), lr=run.lr, betas=(0.9, 0.98), weight_decay=1e-3)


def load_average(run_out: Path, stage: str, model: nn.Module) -> None:
    """Put a finished stage's averaged weights into `model`; FileNotFoundError where it has not run."""
    path = run_out / f"{stage}.pt"
    if not path.exists():
        path = light_checkpoint(path)
    if not path.exists():
        raise FileNotFoundError(f"{run_out / stage}.pt does not exist; train the stage '{stage}' first.")
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["average"])


def light_checkpoint(path: Path) -> Path:
    """Beside a checkpoint: the averaged weights alone, in half precision, to take to another machine."""
    return path.with_name(f"{path.stem}_light.pt")


def _read(values: Values) -> dict[str, float]:
    """The values as numbers, those of a device all at once."""
    tensors = {k: v.float() for k, v in values.items() if isinstance(v, Tensor)}
    read = torch.stack(list(tensors.values())).tolist() if tensors else []
    known = dict(zip(tensors, read, strict=True))
    return {k: known[k] if isinstance(v, Tensor) else float(v) for k, v in values.items()}


def _cosine(share: float) -> float:
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, share))


def _time_share(run: Run, started: float, done_before: float) -> float:
    if run.minutes is None:
        return 0.0
    left = (time.monotonic() - started) / (run.minutes * 60)
    return done_before + (1 - done_before) * left


def _resume(
    run: Run, model: nn.Module, optimiser, average: Average, extra: Mapping[str, Stateful]
) -> tuple[int, float]:
    if not run.checkpoint.exists():
        return 0, 0.0
    saved = torch.load(run.checkpoint, map_location="cpu", weights_only=True)
    model.load_state_dict(saved["model"])
    optimiser.load_state_dict(saved["optimiser"])
    average.values = {k: v.to(run.device) for k, v in saved["average"].items()}
    for name, module in extra.items():
        module.load_state_dict(saved["extra"][name])
    if run.rows == [] and (log := run.out / f"{run.stage}.csv").exists():
        with log.open(newline="") as file:
            run.rows = [
                {k: int(v) if k == "step" else float(v) for k, v in row.items() if v} for row in csv.DictReader(file)
            ]
    # a run that was ended by time goes on from where the learning rate was, not from its end
    return int(saved["step"]), min(float(saved["share"]), 0.9) if run.minutes is not None else 0.0


def _save(
    run: Run, step: int, share: float, model: nn.Module, optimiser, average: Average, extra: Mapping[str, Stateful]
) -> None:
    state = {
        "step": step,
        "share": share,
        "model": model.state_dict(),
        "average": average.values,
        "optimiser": optimiser.state_dict(),
        "extra": {name: module.state_dict() for name, module in extra.items()},
    }
    light = {"step": step, "average": {k: v.half() if v.is_floating_point() else v for k, v in average.values.items()}}
    for path, content in ((run.checkpoint, state), (light_checkpoint(run.checkpoint), light)):
        partial = path.with_suffix(".partial")
        torch.save(content, partial)
        os.replace(partial, path)
    names = list(dict.fromkeys(k for row in run.rows for k in row))
    with (run.out / f"{run.stage}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(run.rows)
    draw_curves(run.rows, run.out / f"{run.stage}_curves.png", run.stage)
