"""The demo world: a small trained model and pictures of its game, inside the package.

`demo_world/` made them; the manifest beside the files has the size the model was trained at, and the
files' checksums.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from ...errors import CheckpointError
from ...system.files import read_bytes
from ...variants import default_variant

NAME = "demo world (built in)"
FOLDER = Path(__file__).parent
MANIFEST = "demo_world.json"
LARGEST_START_IMAGE = 4 << 20  # bytes
FILES = ("demo_generator.safetensors", "demo_vae.safetensors", "demo_vision.safetensors")
OTHER_PICTURES = (
    "This picture is not one of the demo world's. Its small model knows only that game: expect a blur in its colours "
    "that moves with the keys, not your picture come to life. "
    f"`matrixgame download {default_variant().name}` fetches a model for pictures of all kinds."
)


@dataclass(frozen=True)
class DemoWorld:
    """Files of the built-in model, and the size in pixels of the frames it was trained on."""

    generator: Path
    vae: Path
    vision: Path
    height: int
    width: int


def demo_world(folder: Path = FOLDER) -> DemoWorld:
    """The built-in model; raises CheckpointError where a file is missing or is not what was shipped."""
    manifest = folder / MANIFEST
    try:
        record = json.loads(manifest.read_text(encoding="utf-8"))
        height, width, hashes = int(record["height"]), int(record["width"]), record["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(manifest) from error
    for name in FILES:
        try:
            digest = _sha256(folder / name)
        except OSError as error:
            raise _damaged(folder / name) from error
        if digest != hashes.get(name):
            raise _damaged(folder / name)
    generator, vae, vision = (folder / name for name in FILES)
    return DemoWorld(generator, vae, vision, height, width)


def write_manifest(folder: Path, height: int, width: int) -> None:
    """Describe the files that lie in `folder`."""
    record = {"height": height, "width": width, "sha256": {name: _sha256(folder / name) for name in FILES}}
    (folder / MANIFEST).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def start_images(folder: Path = FOLDER) -> list[Path]:
    """Pictures of the demo world's game to start from."""
    return sorted((folder / "start_images").glob("*.png"))


def is_start_image(image: str | Path | bytes) -> bool:
    """Whether `image`, a file or its bytes, is one of the pictures that come with the package."""
    try:
        data = image if isinstance(image, bytes) else read_bytes(image, LARGEST_START_IMAGE)
        return hashlib.sha256(data).hexdigest() in {_sha256(path) for path in start_images()}
    except OSError:
        return False


def _damaged(path: Path) -> CheckpointError:
    what = "damaged" if path.exists() else "missing"
    return CheckpointError(
        f"The built-in demo world is not whole: {path.name} is {what}; install the node pack again, or get the file "
        "back with `git checkout -- comfyui_matrixgame/checkpoints/builtin`."
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
