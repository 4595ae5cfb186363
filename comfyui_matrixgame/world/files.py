"""A World in one safetensors file.

The encoder's state is left out: it can be made again from the image, and before the first block it is larger than
all the rest.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..actions.track import ActionTrack, rows_of_blocks
from ..checkpoints.containers.mapped import open_mapped
from ..checkpoints.containers.tensors import Damaged, WeightsFile, first_line, printable_name
from ..errors import MatrixGameError, WorldError
from ..networks.generator.kv_cache import Caches, LayerCache, Ring
from ..networks.vae.base import State
from ..system.files import readable_name, readable_path, written_whole
from ..variants import LATENTS_PER_BLOCK, Variant
from .check import RECENT, TRIED, VIEWS, Fields, NoWorld, check_tensors, check_values, checked_fields
from .recent import Recent, RecentBlock
from .world import World

FORMAT = "matrixgame.world"
VERSION = 1
VERSION_TRIED = 2  # of worlds that a program of before would go on with in its own steps
CHECKSUM = "checksum"


def save_world(world: World, path: str | Path) -> Path:
    """Write a world; the file appears under its name only when it is whole. Raises WorldError."""
    path = Path(path)
    tensors: dict[str, Tensor] = {
        "image": world.image,
        "features": world.features,
        "condition": world.condition,
    }
    caches = world.caches if world.block else []  # those of a rollout are there before they hold anything
    tensors |= state_tensors(caches, world.decoder_state, world.views)
    for i, track in enumerate(world.tail or ()):
        tensors |= _track_tensors(f"tail.{i}", track)
    tensors |= _recent_tensors(world.recent)
    fields = Fields(
        variant=world.variant,
        block=world.block,
        seeds=world.seeds,
        names=world.names,
        models_id=world.models_id,
        decoder_id=world.decoder_id,
        tokens=caches[0].video.tokens if caches else 0,
        loras=world.loras,
    )
    version = VERSION if world.variant.described_as is None else VERSION_TRIED
    about = {"version": version, **fields.written()}
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    about[CHECKSUM] = _checksum(about, kept)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as part:
            save_file(kept, part, metadata={FORMAT: json.dumps(about)})
    except (OSError, SafetensorError, UnicodeError) as error:
        raise WorldError(
            f"The world could not be saved to {readable_path(path)} ({error}); check free space and rights."
        ) from None
    return path


def load_world(path: str | Path, device: torch.device | str = "cpu") -> World:
    """Read a world, and check it whole. Raises WorldError where the file is missing, damaged, of another version, or no
    world."""
    path = Path(path)
    name = readable_name(path)
    if not path.exists():
        raise WorldError(f"There is no world file {readable_path(path)}; check the path.")
    try:
        file = open_mapped(path)
        about = _about(file, name)
        fields = checked_fields(about)
        check_tensors(fields, file.tensors)
        # copies: as long as a file is mapped, Windows lets nobody write or delete it, nor `--world` of the same name
        tensors = {key: file.read(key).clone() for key in file.tensors}
        if CHECKSUM in about and about[CHECKSUM] != _checksum(about, tensors):  # files of before have none
            raise NoWorld("its checksum is another one")
        check_values(tensors)
        return _build(fields, {key: tensor.to(device) for key, tensor in tensors.items()})
    except (Damaged, NoWorld) as error:
        raise WorldError(f"{name} is damaged ({error}); start a new world or use another copy.") from None
    except OSError as error:
        raise WorldError(f"{name} cannot be read: {error.strerror or error}.") from None
    except (ValueError, MemoryError) as error:
        raise WorldError(f"{name} cannot be read ({first_line(error)}); use another copy.") from None
    except WorldError:
        raise
    except MatrixGameError as error:
        raise WorldError(f"{name} is damaged: {error}") from None


def _about(file: WeightsFile, name: str) -> dict[str, Any]:
    """What a world's file says beside its tensors."""
    try:
        about = json.loads(file.metadata.get(FORMAT, "null"))
    except (ValueError, RecursionError):
        raise NoWorld("what it says of its world is not JSON") from None
    if not isinstance(about, dict):
        raise WorldError(f"{name} is not a world; use a file that Save World or `render --world` wrote.")
    if "version" not in about:
        raise NoWorld("it does not say its version")
    if about["version"] != (VERSION_TRIED if TRIED in about else VERSION):
        raise WorldError(
            f"{name} was written by another version of this program (format "
            f"{printable_name(str(about['version']), 20)}, this one reads {VERSION} and {VERSION_TRIED}); "
            "update, or start a new world."
        )
    return about


def _checksum(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """BLAKE2b of all fields and tensors."""
    digest = hashlib.blake2b(digest_size=32)
    fields = {name: value for name, value in about.items() if name != CHECKSUM}
    digest.update(json.dumps(fields, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}{tensor.dtype}{list(tensor.shape)}".encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def state_tensors(caches: Caches, decoder_state: State | None, views: Tensor | None = None) -> dict[str, Tensor]:
    """What changes from block to block, by name."""
    tensors = {f"decoder.{i}": tensor for i, tensor in enumerate(decoder_state or ())}
    if views is not None:
        tensors[VIEWS] = views
    for i, layer in enumerate(caches):
        for name, ring in layer.rings().items():
            tensors[f"cache.{i}.{name}.k"], tensors[f"cache.{i}.{name}.v"] = ring.k, ring.v
    return tensors


def caches_of_tensors(tensors: Mapping[str, Tensor], tokens: int, sink: int) -> tuple[Caches, State | None]:
    """Caches and decoder state of `state_tensors`; tokens: of a latent frame; sink: of the variant. Raises KeyError."""

    def ring(layer: int, name: str, per_frame: int) -> Ring | None:
        key = f"cache.{layer}.{name}."
        return Ring(tensors[key + "k"], tensors[key + "v"], per_frame, sink) if key + "k" in tensors else None

    layers = 1 + max((int(name.split(".")[1]) for name in tensors if name.startswith("cache.")), default=-1)
    caches = []
    for i in range(layers):
        video = ring(i, "video", tokens)
        if video is None:
            raise KeyError(f"cache.{i}.video")
        caches.append(LayerCache(video, ring(i, "mouse", 1), ring(i, "keyboard", 1)))
    decoder = tuple(tensors[f"decoder.{i}"] for i in range(sum(name.startswith("decoder.") for name in tensors)))
    return caches, decoder or None


def _recent_tensors(recent: Recent) -> dict[str, Tensor]:
    """The last blocks as one piece: their latents, and the inputs of each world."""
    if not recent:
        return {}
    tensors = {RECENT: torch.cat([block.latents for block in recent], dim=2)}
    for i in range(len(recent[0].rows)):
        tracks = [block.rows[i] for block in recent]
        tensors |= _track_tensors(f"recent.{i}", functools.reduce(ActionTrack.concat, tracks))
    return tensors


def _recent_of(fields: Fields, tensors: Mapping[str, Tensor]) -> Recent:
    """The last blocks of a file, in main memory; none in files of before."""
    if RECENT not in tensors:
        return ()
    latents = tensors[RECENT].cpu().split(LATENTS_PER_BLOCK, dim=2)
    tracks = [_track(fields.variant, f"recent.{i}", tensors) for i in range(len(fields.seeds))]
    blocks, row = [], 0
    for index, part in enumerate(latents, fields.block - len(latents)):
        count = rows_of_blocks(1, index)
        rows = tuple(track.slice(row, row + count) for track in tracks)
        blocks.append(RecentBlock(part.contiguous(), rows))
        row += count
    return tuple(blocks)


def _track_tensors(name: str, track: ActionTrack) -> dict[str, Tensor]:
    tensors = {f"{name}.keyboard": torch.from_numpy(track.keyboard.copy())}
    if track.mouse is not None:
        tensors[f"{name}.mouse"] = torch.from_numpy(track.mouse.copy())
    return tensors


def _track(variant: Variant, name: str, tensors: Mapping[str, Tensor]) -> ActionTrack:
    return ActionTrack(variant, tensors[f"{name}.keyboard"].cpu().numpy(), _numpy(tensors.get(f"{name}.mouse")))


def _build(fields: Fields, tensors: dict[str, Tensor]) -> World:
    caches, decoder_state = caches_of_tensors(tensors, fields.tokens, fields.variant.sink)
    tail = tuple(_track(fields.variant, f"tail.{i}", tensors) for i in range(len(fields.seeds) if fields.block else 0))
    return World(
        variant=fields.variant,
        block=fields.block,
        seeds=fields.seeds,
        names=fields.names,
        models_id=fields.models_id,
        decoder_id=fields.decoder_id,
        image=tensors["image"],
        features=tensors["features"],
        condition=tensors["condition"],
        encoder_state=None,
        decoder_state=decoder_state,
        caches=caches,
        tail=tail or None,
        loras=fields.loras,
        views=tensors.get(VIEWS),
        recent=_recent_of(fields, tensors),
    )


def _numpy(tensor: Tensor | None) -> np.ndarray | None:
    return None if tensor is None else tensor.cpu().numpy()
