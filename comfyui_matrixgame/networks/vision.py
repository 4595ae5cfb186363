"""Image features for the generator: CLIP's ViT-H/14 through transformers, output of the last block but one.

The network saw images that were resized without antialiasing and without a crop; any other preprocessing gives
other features (measured: golden/clip).
"""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class ImageEncoder(nn.Module):
    """The image tower of a file with these sizes; its last block is never run, so it is not even made.

    layers: blocks in the file. hidden, mlp: widths. image_size, patch_size: in pixels.
    """

    def __init__(self, hidden: int, mlp: int, layers: int, heads: int, image_size: int, patch_size: int) -> None:
        super().__init__()
        from transformers import CLIPVisionConfig, CLIPVisionModel

        config = CLIPVisionConfig(
            hidden_size=hidden,
            intermediate_size=mlp,
            num_hidden_layers=layers - 1,
            num_attention_heads=heads,
            image_size=image_size,
            patch_size=patch_size,
            hidden_act="gelu",
        )
        self.image_size = image_size
        self.model = CLIPVisionModel(config)

    def forward(self, image: Tensor) -> Tensor:
        """Image [B, 3, H, W] in [-1, 1] -> features [B, 1 + patches, hidden], in the model's dtype."""
        weight = next(self.model.parameters())
        pixels = preprocess(image, self.image_size).to(weight.device, weight.dtype)
        return self.model(pixel_values=pixels).last_hidden_state


def preprocess(image: Tensor, size: int) -> Tensor:
    """Image [B, 3, H, W] in [-1, 1] -> CLIP's pixels [B, 3, size, size], float32."""
    image = F.interpolate(image.float(), size=(size, size), mode="bicubic", align_corners=False)
    mean = torch.tensor(CLIP_MEAN, device=image.device).reshape(1, 3, 1, 1)
    std = torch.tensor(CLIP_STD, device=image.device).reshape(1, 3, 1, 1)
    return (image * 0.5 + 0.5 - mean) / std
