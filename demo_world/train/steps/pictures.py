"""Curves and strips of frames as PNG files; Pillow only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

INK = ((196, 62, 48), (44, 104, 176), (58, 140, 72), (150, 90, 160), (190, 130, 30), (90, 90, 90))


def draw_curves(rows: Sequence[dict[str, float]], path: Path, title: str, width: int = 720, height: int = 420) -> None:
    """Every logged value over the steps, each smoothed and on its own scale (written in the legend)."""
    if not rows:
        return
    picture = Image.new("RGB", (width, height), (250, 250, 248))
    pen = ImageDraw.Draw(picture)
    left, top, right, bottom = 16, 30, width - 16, height - 40
    pen.rectangle((left, top, right, bottom), outline=(200, 200, 200))
    names = [n for n in dict.fromkeys(k for r in rows for k in r) if n != "step"]
    pen.text((left, 8), f"{title}: {int(rows[-1]['step']) + 1} steps", fill=(40, 40, 40))
    x = left + 200
    for i, name in enumerate(names[: len(INK)]):
        points = np.array([(r["step"], r[name]) for r in rows if name in r and np.isfinite(r[name])])
        if len(points) < 2:
            continue
        window = max(1, len(points) // 100)
        values = np.convolve(points[:, 1], np.ones(window) / window, mode="valid")
        steps = points[window - 1 :, 0]
        low, high = float(values.min()), float(values.max())
        px = left + (right - left) * (steps - steps[0]) / max(1.0, steps[-1] - steps[0])
        py = bottom - (bottom - top) * (values - low) / max(1e-12, high - low)
        pen.line([(float(a), float(b)) for a, b in zip(px, py, strict=True)], fill=INK[i], width=2)
        pen.text((x, 8), f"{name} {values[-1]:.4g}", fill=INK[i])
        pen.text((left + 4 + 118 * i, height - 30), f"{name}:\n{low:.4g} .. {high:.4g}", fill=INK[i])
        x += 120
    picture.save(path)


def draw_strip(rows: Sequence[NDArray[np.uint8]], path: Path, scale: int = 1, columns: int | None = None) -> None:
    """Rows of frames [N, H, W, 3] under each other, so that a model's frames stand under the game's.

    columns: show this many frames of each row, evenly spread.
    """
    lines = []
    for frames in rows:
        chosen = frames if columns is None else frames[np.linspace(0, len(frames) - 1, columns).round().astype(int)]
        lines.append(np.concatenate([np.pad(f, ((1, 1), (1, 1), (0, 0))) for f in chosen], axis=1))
    width = max(line.shape[1] for line in lines)
    sheet = np.concatenate([np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0))) for line in lines])
    picture = Image.fromarray(sheet)
    picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(path)
