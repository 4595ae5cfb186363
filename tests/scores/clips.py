"""Small CLIPs with random weights, as folders in transformers' format."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel

from comfyui_matrixgame.checkpoints.sizes import vision_shapes

SIDE, DIM = 32, 16
MERGES = ["g o", "go o", "goo d</w>", "b a", "ba d</w>", "p h", "ph o", "pho t", "phot o</w>"]
WORDS = ["<|startoftext|>", "<|endoftext|>", *"abdghopt", "d</w>", "o</w>", ".</w>"]
WORDS += [merge.replace(" ", "") for merge in MERGES]


def small_clip(seed: int = 0) -> CLIPModel:
    """A CLIP that sees 32x32 pixels and knows WORDS."""
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = layers | {
        "vocab_size": len(WORDS),
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
        "projection_dim": DIM,
    }
    vision = layers | {"image_size": SIDE, "patch_size": 8, "projection_dim": DIM}
    torch.manual_seed(seed)
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=DIM)).eval()


def write_clip(folder: Path, model: CLIPModel, words: bool = True) -> Path:
    """The folder of a CLIP, with its tokenizer or without."""
    folder.mkdir(parents=True)
    model.config.save_pretrained(folder)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors")
    if words:
        (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(WORDS)}))
        (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n")
    return folder


def write_empty_tower(path: Path, width: int, blocks: int, patch: int) -> Path:
    """An image tower of these sizes for pictures of 224 pixels, whose values are a hole in the file."""
    sizes = {"hidden": width, "mlp": 4 * width, "layers": blocks + 1, "image_size": 224, "patch_size": patch}
    header, at = {}, 0
    for name, shape in vision_shapes(sizes).items():
        end = at + 2 * math.prod(shape)
        header[f"vision_model.{name}"] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)
    return path
