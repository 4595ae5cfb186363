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

from .muon import Muon
from .pictures import draw_curves


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
    picture_every: float = 240.0  # seconds
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

    def autocast(self) -> torch.autocast:
        """bfloat16 on a GPU; nothing on a CPU, where it is slower."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")


class Stateful(Protocol):
    """What can be saved beside the model: a module or an optimiser."""

    def state_dict(self) -> dict: ...

    def load_state_dict(self, state_dict) -> object: ...


class Average:
    """A moving average of weights: steadier than the last step's."""

    def __init__(self, model: nn.Module, keep: float) -> None:
        self.keep = keep
        self.values = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the model's weights; quicker in the first steps."""
        keep = min(self.keep, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - keep)


def train(
    run: Run,
    model: nn.Module,
    loss_of: Callable[[int], tuple[Tensor, dict[str, float]]],
    *,
    picture: Callable[[Path], None] | None = None,
    extra: Mapping[str, Stateful] | None = None,
    after_step: Callable[[int], dict[str, float]] | None = None,
    share_average: dict[str, dict[str, Tensor]] | None = None,
) -> Average:
    """Minimise loss_of(step) over the model's weights; returns their moving average.

    picture: draws a strip of samples to the path it is given. extra: what else to save with the model (a critic
    that after_step trains, and its optimiser). share_average: gets the averaged weights under "average", for the
    pictures. A checkpoint is written to a new file and then moved: stopping at any moment leaves a whole one.
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
            loss, values = loss_of(step)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            if torch.isfinite(norm):
                optimiser.step()
                average.update(model, step)
            if after_step is not None:
                values |= after_step(step)
            run.rows.append({"step": step, "loss": float(loss.detach()), **values})
            bar.update()
            bar.set_postfix({k: f"{v:.4g}" for k, v in list(run.rows[-1].items())[1:5]}, refresh=False)
            now = time.monotonic()
            if now - saved > run.save_every:
                _save(run, step + 1, share, model, optimiser, average, extra or {})
                saved = time.monotonic()
            if picture is not None and (now - pictured > run.picture_every or step == 20):
                picture(run.out / f"{run.stage}_{step + 1:06d}.png")
                pictured = time.monotonic()
        else:
            step = run.steps
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
        raise FileNotFoundError(f"{path} does not exist; train the stage '{stage}' first.")
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["average"])


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
    partial = run.checkpoint.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, run.checkpoint)
    names = list(dict.fromkeys(k for row in run.rows for k in row))
    with (run.out / f"{run.stage}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(run.rows)
    draw_curves(run.rows, run.out / f"{run.stage}_curves.png", run.stage)
