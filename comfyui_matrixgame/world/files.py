"""A World in one safetensors file.

The encoder's state is left out: it can be made again from the image, and it is larger than all the rest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..actions.track import ActionTrack
from ..errors import MatrixGameError, WorldError
from ..generator.kv_cache import Caches, LayerCache, Ring
from ..vae.base import State
from ..variants import get_variant
from .world import World

FORMAT = "matrixgame.world"
VERSION = 1


def save_world(world: World, path: str | Path) -> Path:
    """Write a world; the file appears under its name only when it is whole. Raises WorldError."""
    path = Path(path)
    tensors: dict[str, Tensor] = {
        "image": world.image,
        "features": world.features,
        "condition": world.condition,
    }
    tensors |= state_tensors(world.caches, world.decoder_state)
    for i, track in enumerate(world.tail or ()):
        tensors[f"tail.{i}.keyboard"] = torch.from_numpy(track.keyboard.copy())
        if track.mouse is not None:
            tensors[f"tail.{i}.mouse"] = torch.from_numpy(track.mouse.copy())
    about = {
        "version": VERSION,
        "variant": world.variant.name,
        "block": world.block,
        "seeds": world.seeds,
        "names": world.names,
        "models_id": world.models_id,
        "decoder_id": world.decoder_id,
        "tokens": world.caches[0].video.tokens if world.caches else 0,
    }
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({k: v.cpu().contiguous() for k, v in tensors.items()}, part, metadata={FORMAT: json.dumps(about)})
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        raise WorldError(f"The world could not be saved to {path} ({error}); check free space and rights.") from None
    return path


def load_world(path: str | Path, device: torch.device | str = "cpu") -> World:
    """Read a world. Raises WorldError where the file is missing, damaged, of another version, or no world."""
    path = Path(path)
    if not path.is_file():
        raise WorldError(f"There is no world file {path}; check the path.")
    try:
        with safe_open(str(path), framework="pt") as file:
            about = json.loads((file.metadata() or {}).get(FORMAT, "null"))
            if not isinstance(about, dict):
                raise WorldError(f"{path.name} is not a world; use a file that Save World or `render --world` wrote.")
            if about["version"] != VERSION:
                raise WorldError(
                    f"{path.name} was written by another version of this program (format {about['version']}, this one "
                    f"reads {VERSION}); update, or start a new world."
                )
            tensors = {name: file.get_tensor(name).to(device) for name in file.keys()}  # noqa: SIM118
        return _build(about, tensors)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise WorldError(f"{path.name} is damaged ({error}); start a new world or use another copy.") from None
    except WorldError:
        raise
    except MatrixGameError as error:
        raise WorldError(f"{path.name} is damaged: {error}") from None


def state_tensors(caches: Caches, decoder_state: State | None) -> dict[str, Tensor]:
    """What changes from block to block, by name."""
    tensors = {f"decoder.{i}": tensor for i, tensor in enumerate(decoder_state or ())}
    for i, layer in enumerate(caches):
        for name, ring in layer.rings().items():
            tensors[f"cache.{i}.{name}.k"], tensors[f"cache.{i}.{name}.v"] = ring.k, ring.v
    return tensors


def state_of_tensors(tensors: Mapping[str, Tensor], tokens: int) -> tuple[Caches, State | None]:
    """Caches and decoder state of `state_tensors`; tokens: of a latent frame. Raises KeyError."""

    def ring(layer: int, name: str, per_frame: int) -> Ring | None:
        key = f"cache.{layer}.{name}."
        return Ring(tensors[key + "k"], tensors[key + "v"], per_frame) if key + "k" in tensors else None

    layers = 1 + max((int(name.split(".")[1]) for name in tensors if name.startswith("cache.")), default=-1)
    caches = []
    for i in range(layers):
        video = ring(i, "video", tokens)
        if video is None:
            raise KeyError(f"cache.{i}.video")
        caches.append(LayerCache(video, ring(i, "mouse", 1), ring(i, "keyboard", 1)))
    decoder = tuple(tensors[f"decoder.{i}"] for i in range(sum(name.startswith("decoder.") for name in tensors)))
    return caches, decoder or None


def _build(about: dict, tensors: dict[str, Tensor]) -> World:
    variant = get_variant(about["variant"])
    caches, decoder_state = state_of_tensors(tensors, about["tokens"])
    tail = tuple(
        ActionTrack(variant, tensors[f"tail.{i}.keyboard"].cpu().numpy(), _numpy(tensors.get(f"tail.{i}.mouse")))
        for i in range(sum(name.startswith("tail.") and name.endswith("keyboard") for name in tensors))
    )
    return World(
        variant=variant,
        block=int(about["block"]),
        seeds=tuple(about["seeds"]),
        names=tuple(about["names"]),
        models_id=about["models_id"],
        decoder_id=about["decoder_id"],
        image=tensors["image"],
        features=tensors["features"],
        condition=tensors["condition"],
        encoder_state=None,
        decoder_state=decoder_state,
        caches=caches,
        tail=tail or None,
    )


def _numpy(tensor: Tensor | None) -> np.ndarray | None:
    return None if tensor is None else tensor.cpu().numpy()
