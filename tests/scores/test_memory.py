"""A film's length costs no memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_GROWTH = 50e6  # what a second half minute may add to the first: 121 MB where nothing is given back
SCRIPT = """
import psutil, torch
from comfyui_matrixgame.scores.film import score_frames

wide = torch.randint(0, 256, (352, 1280, 3), dtype=torch.uint8)
seen = []

def chunks():
    for at in range(0, 1500, 8):
        yield torch.stack([wide[:, n % 600:n % 600 + 640] for n in range(at, at + 8)])
        seen.append(psutil.Process().memory_info().rss)

score_frames(chunks(), None)
half = len(seen) // 2
print(max(seen[half:]) - max(seen[:half]), max(seen))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is given back on Linux only")
def test_memory_does_not_grow_with_the_film() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, check=True, capture_output=True, text=True)
    grown, most = map(int, done.stdout.split())
    assert grown < MOST_GROWTH, done.stdout
    assert most < 600e6, done.stdout
