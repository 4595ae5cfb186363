"""What `script/demo` runs: every stage, from a picture and inputs to a video, without a download."""

from __future__ import annotations

import sys
from pathlib import Path

from .cli import main as run_cli
from .render import say
from .untrained import write_small_files
from .variants import UNIVERSAL

INPUTS = "w 2b; w+left 1b; idle+right 1b"
SIZE = "320x176"
START_IMAGES = Path(__file__).parent / "builtin" / "start_images"


def main(arguments: list[str]) -> int:
    """Render IMAGE (or a start image of the demo world) with INPUTS into `out/`; returns the exit status."""
    image = arguments[0] if arguments else str(min(START_IMAGES.iterdir()))
    inputs = arguments[1] if len(arguments) > 1 else INPUTS
    folder = Path("out")
    files = write_small_files(folder / "untrained_weights", UNIVERSAL)
    output = folder / "demo_untrained.mp4"
    say(
        "The networks of this demo are UNTRAINED: small ones with weights drawn from their names. They show that "
        "every stage works; what they paint means nothing. `matrixgame download universal` fetches the real ones."
    )
    say(f"start image {image}; inputs: {inputs}")
    return run_cli(
        [
            "render", image, "--generator", str(files["generator"]), "--vae", str(files["vae"]),
            "--clip", str(files["clip"]), "--actions", inputs, "--size", SIZE, "--dtype", "float32",
            "--device", "cpu", "-o", str(output),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
