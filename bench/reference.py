"""Times the published code's own modules, for a comparison in the same run.

    python bench/reference.py PATH --layers 4 --variant universal

PATH is the Matrix-Game-2 folder of the published repository. Its imports that need a GPU are stood in for:
flash-attn by torch's attention, diffusers' mix-ins by empty classes. Weights are random. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
import types
from pathlib import Path
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F

LATENT = (44, 80)
DECODED = (22, 40)
TOKENS = 880


def main() -> None:
    """Time a pass and the decoding of a latent frame."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("path", type=Path)
    arguments.add_argument("--variant", default="universal")
    arguments.add_argument("--layers", type=int, default=30)
    arguments.add_argument("--repeats", type=int, default=2)
    arguments.add_argument("--device", default="cpu")
    args = arguments.parse_args()
    torch.set_grad_enabled(False)
    stand_in()
    sys.path.insert(0, str(args.path.resolve()))
    config = json.loads((args.path / "configs/distilled_model" / args.variant / "config.json").read_text())
    device = torch.device(args.device)
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    result = {
        "layers": args.layers,
        "dtype": str(dtype).removeprefix("torch."),
        "pass_s": time_pass(config, args.layers, args.repeats, device, dtype),
        "decode_s_per_frame": time_decode(args.repeats, device) / 4,
    }
    print(json.dumps(result))


def stand_in() -> None:
    """Put modules in place that the published code imports and a CPU does not have."""

    def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)

    def varlen(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return attention(q[None], k[None], v[None])[0]

    module("flash_attn", flash_attn_func=attention, flash_attn_varlen_func=varlen)
    module("diffusers")
    module("diffusers.loaders", FromOriginalModelMixin=empty("A"), PeftAdapterMixin=empty("B"))
    module("diffusers.configuration_utils", ConfigMixin=empty("C"), register_to_config=lambda function: function)
    module("diffusers.models")
    module("diffusers.models.modeling_utils", ModelMixin=nn.Module)
    for name in ("ftfy", "easydict"):
        module(name, EasyDict=dict)
    if not torch.cuda.is_available():
        torch.cuda.current_device = lambda: "cpu"  # type: ignore[assignment]
    torch.compile = lambda function=None, **_: function if function else (lambda f: f)  # type: ignore[assignment]


def empty(name: str) -> type:
    """A mix-in with nothing in it."""
    return type(name, (), {})


def module(name: str, **members: Any) -> None:
    """A module with these members in sys.modules, unless the real one can be imported."""
    if name in sys.modules:
        return
    made = types.ModuleType(name)
    made.__dict__.update(members)
    made.__path__ = []  # type: ignore[attr-defined]
    made.__spec__ = None
    sys.modules[name] = made


def time_pass(config: dict, layers: int, repeats: int, device: torch.device, dtype: torch.dtype) -> float:
    """Seconds of one pass with a full window."""
    package("wan")
    package("wan.modules")
    published = importlib.import_module("wan.modules.attention")
    published.flash_attention = published.attention = sys.modules["flash_attn"].flash_attn_func  # type: ignore[attr-defined]
    from wan.modules.causal_model import CausalWanModel  # type: ignore[import-not-found]

    names = ("model_type", "in_dim", "dim", "ffn_dim", "freq_dim", "out_dim", "num_heads", "eps", "local_attn_size")
    settings = {name: config[name] for name in names if name in config}
    actions = {**config["action_config"], "blocks": list(range((layers + 1) // 2 if layers < 30 else 15))}
    model = CausalWanModel(**settings, num_layers=layers, action_config=actions).to(device, dtype).eval()
    model.num_frame_per_block = 3
    window, mouse = config["local_attn_size"], actions["enable_mouse"]
    keys = actions["keyboard_dim_in"]

    def cache(batch: int, entries: int, heads: int, dim: int) -> list[dict]:
        return [
            {
                "k": torch.zeros(batch, entries, heads, dim, device=device, dtype=dtype),
                "v": torch.zeros(batch, entries, heads, dim, device=device, dtype=dtype),
                "global_end_index": torch.tensor([0], device=device),
                "local_end_index": torch.tensor([0], device=device),
                "is_init": False,
            }
            for _ in range(layers)
        ]

    kwargs = {
        "kv_cache": cache(1, window * TOKENS, 12, 128),
        "kv_cache_mouse": cache(TOKENS, window, 16, 64) if mouse else [None] * layers,
        "kv_cache_keyboard": cache(1, window, 16, 64),
        "crossattn_cache": cache(1, 257, 12, 128),
        "visual_context": torch.randn(1, 257, 1280, device=device, dtype=dtype),
        "cond_concat": torch.randn(1, 20, 3, *LATENT, device=device, dtype=dtype),
    }
    seconds = []
    for index in [0, 1, 2] + [2] * (repeats - 1):
        rows = 9 + 12 * index
        kwargs["mouse_cond"] = torch.zeros(1, rows, 2, device=device, dtype=dtype) if mouse else None
        kwargs["keyboard_cond"] = torch.zeros(1, rows, keys, device=device, dtype=dtype)
        x = torch.randn(1, 16, 3, *LATENT, device=device, dtype=dtype)
        synchronise(device)
        began = time.perf_counter()
        model(x, t=torch.full((1, 3), 700.0, device=device), current_start=3 * index * TOKENS, **kwargs)
        synchronise(device)
        seconds.append(time.perf_counter() - began)
    return min(seconds[2:])


def time_decode(repeats: int, device: torch.device) -> float:
    """Seconds to decode 4 frames of 320x176 after the first: a quarter of the size, for machines that are slow."""
    from demo_utils.vae_block3 import VAEDecoderWrapper  # type: ignore[import-not-found]

    dtype = torch.float32 if device.type == "cpu" else torch.float16
    decoder = VAEDecoderWrapper().to(device, dtype).eval()
    latents = torch.randn(1, 1, 16, *DECODED, device=device, dtype=dtype)
    caches: list[Any] = [None] * 32
    seconds = []
    for _ in range(repeats + 1):
        synchronise(device)
        began = time.perf_counter()
        _, caches = decoder(latents, *caches)
        synchronise(device)
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def package(name: str) -> None:
    """Import a package of the published code without running its __init__, which imports everything."""
    folder = next(
        Path(entry) / name.replace(".", "/") for entry in sys.path if (Path(entry) / name.replace(".", "/")).is_dir()
    )
    made = types.ModuleType(name)
    made.__path__ = [str(folder)]  # type: ignore[attr-defined]
    sys.modules[name] = made


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
