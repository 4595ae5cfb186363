"""The weights that were named for measures, loaded once for all films; and the measures of one film by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...checkpoints.download import sha256_of
from ...checkpoints.load import load_vision, tower_sizes
from ...checkpoints.reader import open_weights
from ...errors import CheckpointError
from ...networks.inverse_dynamics import InverseDynamics
from ...networks.vision import ImageEncoder
from ...system.files import readable_name, readable_path
from .clip import B32, L14, Clip, load_clip
from .fetched import LICENCE_OF_INVERSE_DYNAMICS, licence_of
from .inverse_dynamics import FILE, WatchedFilm, load_inverse_dynamics
from .measures import Mean, Temporal, aesthetic, good_photo
from .predicted import MEASURES, Predicted
from .registry import MEANS

OWN_TOWER = (1280, 32, 14)  # width, blocks, pixels of a patch: CLIP ViT-H/14, which Matrix-Game uses
OTHER_TOWERS = {
    (768, 12, 32): "ViT-B/32", (768, 12, 16): "ViT-B/16", (1024, 24, 14): "ViT-L/14", (1408, 40, 14): "ViT-g/14",
    (1664, 48, 14): "ViT-bigG/14",
}  # fmt: skip
WIDEST_UNTRAINED = 256  # of towers that are this program's own: the demo world's and those for trials


@dataclass(frozen=True)
class Weights:
    """What measures are computed with. temporal, own, quality, beauty: the CLIP of temporal consistency, of the same by
    another tower, of CLIP-IQA, and of the aesthetic head. tower: an image tower as the model uses it. head: weight
    [1, D] and bias [1]. inverse_dynamics: what sees keys and turns. files: measure -> what it was computed with, for a
    report."""

    temporal: Clip | None = None
    own: Clip | None = None
    quality: Clip | None = None
    beauty: Clip | None = None
    tower: ImageEncoder | None = None
    head: tuple[Tensor, Tensor] | None = None
    inverse_dynamics: InverseDynamics | None = None
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def signature(self) -> str:
        """Changes when a score by them may."""
        return "\n".join(f"{name} {file['sha256']}" for name, files in self.files.items() for file in files)

    def of_film(self, on_watched: Callable[[int], object] = lambda seen: None) -> WeightedFilm:
        """The measures of one film, empty. on_watched: called with how many frames inverse dynamics have seen."""
        return WeightedFilm(self, on_watched)


class WeightedFilm:
    """Feed it frames with `add`; `about` then has the measures whose weights are at hand, but for those that `seen`
    is compared with the film's inputs for."""

    def __init__(self, weights: Weights, on_watched: Callable[[int], object]) -> None:
        self._weights = weights
        network = weights.inverse_dynamics
        self._watched = WatchedFilm(network, on_watched) if network is not None else None
        self._temporal, self._own, self._beauty, self._quality = Temporal(), Temporal(), Mean(), Mean()

    def add(self, frames: Tensor) -> None:
        """Frames [N, H, W, 3] of 8 bits."""
        w, vectors = self._weights, {}
        for clip in (w.temporal, w.own, w.quality, w.beauty):
            if clip is not None and id(clip) not in vectors:
                vectors[id(clip)] = clip.embed(frames)
        if w.temporal is not None:
            self._temporal.add(vectors[id(w.temporal)])
        if w.tower is not None:
            self._own.add(_tower_vectors(w.tower, frames))
        elif w.own is not None:
            self._own.add(vectors[id(w.own)])
        if w.beauty is not None and w.head is not None:
            self._beauty.add(aesthetic(vectors[id(w.beauty)], *w.head))
        if w.quality is not None and w.quality.prompts is not None:
            self._quality.add(good_photo(vectors[id(w.quality)], w.quality.prompts, w.quality.scale))
        if self._watched is not None:
            self._watched.add(frames)

    def about(self) -> dict[str, float | None]:
        """Measure -> number; None where the film is too short. Without those whose weights are not at hand."""
        found = {
            "temporal_consistency": self._temporal, "temporal_consistency_tower": self._own,
            "aesthetic_quality": self._beauty, "clip_iqa": self._quality,
        }  # fmt: skip
        return {name: found[name].score for name in MEANS if name in found and name in self._weights.files}

    def seen(self) -> Predicted | None:
        """Keys and turns that inverse dynamics saw, when all frames came; None without their weights."""
        return self._watched.end() if self._watched is not None else None


def load_weights(
    clips: Sequence[Path],
    tower: Path | None,
    head: Path | None,
    device: torch.device,
    inverse_dynamics: Path | None = None,
) -> Weights:
    """Load what was named: folders of CLIPs, which are told apart by their sizes, an image tower, LAION's linear head,
    and inverse dynamics, a file or its folder. Raises CheckpointError where one cannot be used."""
    loaded = [load_clip(path, device) for path in clips]
    b32, l14 = (next((clip for clip in loaded if clip.is_like(kind)), None) for kind in (B32, L14))
    others = [clip for clip in loaded if not clip.is_like(B32)]
    quality = next((clip for clip in (l14, *loaded) if clip is not None and clip.prompts is not None), None)
    beauty = linear = None
    if head is not None:
        linear = load_head(head)
        beauty = next((c for c in (l14, *others) if c is not None and c.dim == linear[0].shape[1]), None)
        if beauty is None:
            raise CheckpointError(
                f"{readable_name(head)} takes vectors of {linear[0].shape[1]} numbers, and no --clip gives those; name "
                "the folder of CLIP ViT-L/14 too."
            )
    own = None if tower is not None or not others else others[0]
    sums: dict[Path, dict[str, Any]] = {}

    def about(path: Path, licence: str = "") -> dict[str, Any]:
        if path not in sums:
            sums[path] = about_file(path, licence)
        return sums[path]

    files: dict[str, list[dict[str, Any]]] = {}
    for name, clip in (("temporal_consistency", b32), ("temporal_consistency_tower", own), ("clip_iqa", quality)):
        if clip is not None and clip.path is not None:
            files[name] = [about(clip.path)]
    encoder = None
    if tower is not None:
        check_tower(tower)
        encoder = load_vision(tower, device=device)
        with open_weights(tower) as file:
            files["temporal_consistency_tower"] = [about(file.path)]
    if beauty is not None and beauty.path is not None and head is not None:
        files["aesthetic_quality"] = [about(beauty.path), about(head)]
    watching = None
    if inverse_dynamics is not None:
        place = inverse_dynamics / FILE if inverse_dynamics.is_dir() else inverse_dynamics
        watching = load_inverse_dynamics(place, device)
        files |= {name: [about(place, LICENCE_OF_INVERSE_DYNAMICS)] for name in MEASURES}
    return Weights(b32, own, quality, beauty, encoder, linear, watching, files)


def check_tower(path: Path) -> None:
    """Refuse image towers that are not built as the model's: how many heads another CLIP has, and which activation, its
    file does not say. Raises CheckpointError, also where the file has no tower."""
    sizes = tower_sizes(path)
    found = sizes["hidden"], sizes["layers"], sizes["patch_size"]
    if found == OWN_TOWER or found[0] <= WIDEST_UNTRAINED:
        return
    name = OTHER_TOWERS.get(found)
    kind = f"the image tower of CLIP {name}" if name else "an image tower of another kind"
    width, blocks, patch = OWN_TOWER
    raise CheckpointError(
        f"{readable_name(path)} holds {kind} ({found[1]} blocks of {found[0]}, patches of {found[2]} pixels), and "
        f"--tower takes the one that Matrix-Game uses, CLIP ViT-H/14 ({blocks} blocks of {width}, patches of {patch}): "
        "clip_vision_h.safetensors. Another CLIP is used with --clip and its folder."
    )


def about_file(path: Path, licence: str = "") -> dict[str, Any]:
    """A file of weights, for a report. licence: where its checksum does not tell it."""
    found = sha256_of(path)
    name = readable_path(f"{path.absolute().parent.name}/{path.name}")
    return {"file": name, "sha256": found, "licence": licence or licence_of(found)}


def load_head(path: Path) -> tuple[Tensor, Tensor]:
    """LAION's linear head: weight [1, D] and bias [1]. Raises CheckpointError where the file is another."""
    with open_weights(path) as file:
        weight, bias = (file.tensors.get(name) for name in ("weight", "bias"))
        if (
            weight is None
            or bias is None
            or len(weight.shape) != 2
            or weight.shape[0] != 1
            or tuple(bias.shape) != (1,)
        ):
            raise CheckpointError(
                f"{file.name} is no linear aesthetic head; use sa_0_4_vit_l_14_linear.pth of "
                "github.com/LAION-AI/aesthetic-predictor."
            )
        found = file.tensor("weight").float(), file.tensor("bias").float()
    if not all(torch.isfinite(tensor).all() for tensor in found):
        raise CheckpointError(f"{path.name} holds values that are not numbers; the file is damaged.")
    return found


@torch.no_grad()
def _tower_vectors(tower: ImageEncoder, frames: Tensor) -> Tensor:
    """Frames [N, H, W, 3] of 8 bits -> the class token before the tower's last block, [N, D] of length 1."""
    device = next(tower.parameters()).device
    pictures = frames.to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    return F.normalize(tower(pictures)[:, 0].float(), dim=-1).cpu()
