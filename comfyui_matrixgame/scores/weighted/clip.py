"""CLIP from a folder in transformers' format: frames become vectors, resized as the published benchmark does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...checkpoints.reader import WeightsFile, open_weights
from ...errors import CheckpointError
from ...networks.vision import CLIP_MEAN, CLIP_STD
from ...system.files import read_bytes, readable_name
from .filled import HeldWeights, fill_with_weights

B32 = {"patch_size": 32, "hidden_size": 768, "num_hidden_layers": 12, "hidden_act": "quick_gelu"}
L14 = {"patch_size": 14, "hidden_size": 1024, "num_hidden_layers": 24, "hidden_act": "quick_gelu"}
PROMPTS = ("Good photo.", "Bad photo.")
MOST_CONFIG = 1 << 20  # bytes
MOST = {"num_hidden_layers": 200, "hidden_size": 16384, "intermediate_size": 65536, "vocab_size": 1 << 20}
_SIZES = (*B32, "intermediate_size", "num_attention_heads", "image_size", "layer_norm_eps", "projection_dim")
_TOKENIZERS = ("tokenizer.json", "vocab.json")


@dataclass(frozen=True)
class Clip:
    """A CLIP. path: its weights file, if it is from one. size: pixels of a side that it sees. sizes: of its image
    tower. prompts: [2, D] vectors of PROMPTS and the scale of their likeness, where it has its tokenizer."""

    path: Path | None
    network: nn.Module
    size: int
    sizes: Mapping[str, Any]
    prompts: Tensor | None
    scale: float

    @property
    def dim(self) -> int:
        """Numbers of a vector."""
        return int(self.network.get_parameter("visual_projection.weight").shape[0])

    def is_like(self, published: Mapping[str, Any]) -> bool:
        """Whether its image tower is built as a published one."""
        return all(self.sizes.get(name) == value for name, value in published.items())

    @torch.no_grad()
    def embed(self, frames: Tensor) -> Tensor:
        """Frames [N, H, W, 3] of 8 bits -> vectors [N, D] of length 1, on the CPU."""
        weight = self.network.get_parameter("visual_projection.weight")
        pixels = benchmark_pixels(frames.to(weight.device), self.size)
        return F.normalize(self.network(pixel_values=pixels).image_embeds.float(), dim=-1).cpu()


def benchmark_pixels(frames: Tensor, size: int) -> Tensor:
    """Frames [N, H, W, 3] of 8 bits -> CLIP's pixels [N, 3, size, size]: the shorter side bicubic to `size` without
    antialiasing and rounded to 8 bits again, then the middle, as torchvision's Resize and CenterCrop do of bytes."""
    height, width = frames.shape[1:3]
    short = min(height, width)
    high, wide = int(size * height / short), int(size * width / short)
    x = F.interpolate(frames.permute(0, 3, 1, 2).float(), (high, wide), mode="bicubic", align_corners=False)
    x = x.round().clamp(0, 255)
    top, left = round((high - size) / 2), round((wide - size) / 2)
    x = x[:, :, top : top + size, left : left + size] / 255
    mean, std = (torch.tensor(values, device=x.device).view(1, 3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    return (x - mean) / std


def load_clip(folder: str | Path, device: torch.device) -> Clip:
    """The CLIP of a folder with config.json and weights, and its tokenizer if it has one. Raises CheckpointError."""
    from transformers import CLIPConfig, CLIPVisionModelWithProjection

    folder = Path(folder)
    config = _config(folder, CLIPConfig)
    with open_weights(folder, part="") as file:
        network = _filled(CLIPVisionModelWithProjection, config.vision_config, file, device)
        prompts, scale = _prompts(folder, config, file, device)
        sizes = {name: getattr(config.vision_config, name) for name in B32}
        return Clip(file.path, network, config.vision_config.image_size, sizes, prompts, scale)


def held_clip(weights: HeldWeights, sizes: Mapping[str, Any], device: torch.device) -> Clip:
    """The CLIP whose image tower another program holds, in float32 and without prompts. sizes: of that tower, as a
    config.json has them. Raises CheckpointError where they are not those of its tensors."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(**{name: sizes[name] for name in _SIZES if name in sizes})
    wrong, fix = "is no whole CLIP", "load the image tower of a CLIP with its projection"
    network = _filled(CLIPVisionModelWithProjection, config, weights, device, wrong, fix)
    return Clip(None, network, int(sizes["image_size"]), {name: getattr(config, name) for name in B32}, None, 0.0)


def _config(folder: Path, kind: type) -> Any:
    path, name = folder / "config.json", readable_name(folder)
    if not path.is_file():
        raise CheckpointError(f"{name} has no config.json; name a folder of a CLIP in transformers' format.")
    try:
        found = json.loads(read_bytes(path, MOST_CONFIG))
        if found.get("model_type") != "clip":
            raise CheckpointError(f"{name} is a {found.get('model_type')} model, not a CLIP.")
        config = kind(
            **{part: found[part] for part in ("text_config", "vision_config", "projection_dim") if part in found}
        )
        for part in (config.vision_config, config.text_config):
            part.projection_dim = config.projection_dim
            for size, most in MOST.items():
                if not 0 < int(getattr(part, size, 1)) <= most:
                    raise CheckpointError(f"The config.json of {name} has a {size} that no CLIP has.")
    except CheckpointError:
        raise
    except Exception as error:  # of JSON, and of transformers, whatever is wrong with its values
        raise CheckpointError(f"The config.json of {name} cannot be read ({str(error).splitlines()[0]}).") from None
    return config


def _filled(
    kind: type,
    config: Any,
    file: WeightsFile | HeldWeights,
    device: torch.device,
    wrong: str = "does not fit its config.json",
    fix: str = "get the whole folder again",
) -> Any:
    """A network of transformers' with the weights of a file, in float32; wrong, fix: see `fill_with_weights`."""
    with torch.device("meta"):
        network = kind(config)
    fill_with_weights(network, file, device, wrong, fix)
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if name == "position_ids":  # made on the meta device, and in no file
                ids = torch.arange(buffer.shape[-1], device=device).expand(1, -1)
                module.register_buffer(name, ids, persistent=False)
    return network


@torch.no_grad()
def _prompts(folder: Path, config: Any, file: WeightsFile, device: torch.device) -> tuple[Tensor | None, float]:
    """Vectors [2, D] of PROMPTS, and the scale of a likeness; None without a tokenizer."""
    if not any((folder / name).is_file() for name in _TOKENIZERS) or "logit_scale" not in file.tensors:
        return None, 0.0
    from transformers import AutoTokenizer, CLIPTextModelWithProjection

    try:
        words = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        tokens = words(list(PROMPTS), padding=True, return_tensors="pt")
    except Exception as error:  # of a damaged tokenizer, in any way
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"The tokenizer of {readable_name(folder)} cannot be read ({reason}).") from None
    network = _filled(CLIPTextModelWithProjection, config.text_config, file, device)
    if int(tokens["input_ids"].max()) >= config.text_config.vocab_size:
        raise CheckpointError(f"The tokenizer of {readable_name(folder)} is not that of its weights.")
    vectors = network(**{name: value.to(device) for name, value in tokens.items()}).text_embeds
    return F.normalize(vectors.float(), dim=-1).cpu(), float(file.tensor("logit_scale").float().exp())
