"""What `script/demo` runs: the demo world, from a picture and inputs to a video, without a download."""

from __future__ import annotations

import sys
from pathlib import Path

from ..checkpoints.builtin import start_images
from .main import main as run_cli
from .shared.console import say

INPUTS = "w 1s; w+left 1s; d 1s; idle+right 1s"  # the demo world forgets where it is after some seconds
OUTPUT = Path("out") / "demo.mp4"


def main(arguments: list[str]) -> int:
    """Render IMAGE (or a start image of the demo world) with INPUTS into `out/`; returns the exit status."""
    image = arguments[0] if arguments else str(start_images()[0])
    inputs = arguments[1] if len(arguments) > 1 else INPUTS
    say(f"the demo world, a small model that comes with the package; start image {image}; inputs: {inputs}")
    OUTPUT.parent.mkdir(exist_ok=True)
    return run_cli(["render", image, "--actions", inputs, "-o", str(OUTPUT)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
