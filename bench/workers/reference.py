"""The published code's own modules as a worker, for a comparison in the same run.

PATH is the Matrix-Game-2 folder of the published repository. Where its imports are missing, stand-ins take their place:
torch's attention for flash-attn, empty classes for diffusers' mix-ins. Weights are random. A block is its
passes, its decoder on each latent frame and the copy of the frames; the formulas between passes are left out, in its
favour. On a GPU the decoder is compiled as published.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import types
from pathlib import Path
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from worker import serve

from comfyui_matrixgame.compute.attention import sdpa
from comfyui_matrixgame.measure.clock import Seconds, now, since

LATENT = (44, 80)
DECODED = (22, 40)
TOKENS = 880
FEW_KEYS = 64


def main() -> None:
    """Load, then time what is asked for."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("path", type=Path)
    arguments.add_argument("--variant", default="universal")
    arguments.add_argument("--layers", type=int, default=30)
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--threads", type=int)
    arguments.add_argument("--eager-decoder", action="store_true", help="do not compile the decoder")
    args = arguments.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    compile_module = torch.compile
    attention = stand_in()
    sys.path.insert(0, str(args.path.resolve()))
    config = json.loads((args.path / "configs/distilled_model" / args.variant / "config.json").read_text())
    device = torch.device(args.device)
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    network = PublishedNetwork(config, args.layers, device, dtype)
    small = PublishedDecoder(device, DECODED)
    works = {"pass": network.one_pass, "decode": lambda: small.timed(1)}
    compiled = device.type != "cpu" and not args.eager_decoder
    if device.type != "cpu":
        torch.compile = compile_module  # type: ignore[assignment]
        large = PublishedDecoder(device, LATENT, compiled)
        steps = 4 if args.variant == "templerun" else 3
        works["block"] = lambda: block(network, large, steps)
    about = {
        "computed": str(dtype).removeprefix("torch."),
        "attention": attention,
        "decoder": "compiled" if compiled else "eager",
    }
    serve(about, works)


def block(network: PublishedNetwork, decoder: PublishedDecoder, steps: int) -> Seconds:
    """Seconds of a block: every pass, every latent frame, the frames on the host."""
    network.index += 1
    began = now(network.device)
    for _ in range(steps + 1):
        network.run()
    decoder.run(3).cpu()
    return since(began, network.device)


def stand_in() -> str:
    """Put stand-ins for missing imports of the published code in place; returns what its attention is."""

    def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        if k.shape[1] > FEW_KEYS:
            return sdpa(q, k, v)  # on Hopper cuDNN's kernel, in the place of flash-attn 3
        return F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)

    def varlen(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return attention(q[None], k[None], v[None])[0]

    stands_in = module("flash_attn", flash_attn_func=attention, flash_attn_varlen_func=varlen)
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
    return "torch" if stands_in else "flash-attn"


def empty(name: str) -> type:
    """A mix-in with nothing in it."""
    return type(name, (), {})


def module(name: str, **members: Any) -> bool:
    """A module with these members in sys.modules, unless the real one can be imported; whether it was put there."""
    try:
        importlib.import_module(name)
        return False
    except ImportError:
        pass
    made = types.ModuleType(name)
    made.__dict__.update(members)
    made.__path__ = []  # type: ignore[attr-defined]
    made.__spec__ = None
    sys.modules[name] = made
    return True


class PublishedNetwork:
    """The published transformer with its caches, after two blocks."""

    def __init__(self, config: dict, layers: int, device: torch.device, dtype: torch.dtype) -> None:
        package("wan")
        package("wan.modules")
        published = importlib.import_module("wan.modules.attention")
        if "flash_attn" in sys.modules and sys.modules["flash_attn"].__spec__ is None:
            function = sys.modules["flash_attn"].flash_attn_func
            published.flash_attention = published.attention = function  # type: ignore[attr-defined]
        from wan.modules.causal_model import CausalWanModel  # type: ignore[import-not-found]

        names = ("model_type", "in_dim", "dim", "ffn_dim", "freq_dim", "out_dim", "num_heads", "eps", "local_attn_size")
        settings = {name: config[name] for name in names if name in config}
        actions = {**config["action_config"], "blocks": list(range((layers + 1) // 2 if layers < 30 else 15))}
        model = CausalWanModel(**settings, num_layers=layers, action_config=actions).to(device, dtype).eval()
        model.num_frame_per_block = 3
        self.model, self.device, self.dtype = model, device, dtype
        self.mouse, self.keys = actions["enable_mouse"], actions["keyboard_dim_in"]
        window = config["local_attn_size"]

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

        self.kwargs = {
            "kv_cache": cache(1, window * TOKENS, 12, 128),
            "kv_cache_mouse": cache(TOKENS, window, 16, 64) if self.mouse else [None] * layers,
            "kv_cache_keyboard": cache(1, window, 16, 64),
            "crossattn_cache": cache(1, 257, 12, 128),
            "visual_context": torch.randn(1, 257, 1280, device=device, dtype=dtype),
            "cond_concat": torch.randn(1, 20, 3, *LATENT, device=device, dtype=dtype),
        }
        self.latents = torch.randn(1, 16, 3, *LATENT, device=device, dtype=dtype)
        for self.index in range(3):
            self.run()

    def run(self) -> torch.Tensor:
        """A pass of block `index`."""
        rows = 9 + 12 * self.index
        like = {"device": self.device, "dtype": self.dtype}
        mouse = torch.zeros(1, rows, 2, **like) if self.mouse else None
        keyboard = torch.zeros(1, rows, self.keys, **like)
        timestep = torch.full((1, 3), 700.0, device=self.device)
        start = 3 * self.index * TOKENS
        return self.model(
            self.latents, t=timestep, current_start=start, mouse_cond=mouse, keyboard_cond=keyboard, **self.kwargs
        )

    def one_pass(self) -> Seconds:
        """Seconds of a pass with a full window."""
        began = now(self.device)
        self.run()
        return since(began, self.device)


class PublishedDecoder:
    """The published decoder of the VAE with its caches, after a latent frame."""

    def __init__(self, device: torch.device, size: tuple[int, int], compiled: bool = False) -> None:
        from demo_utils.vae_block3 import VAEDecoderWrapper  # type: ignore[import-not-found]

        self.device, self.size = device, size
        self.dtype = torch.float32 if device.type == "cpu" else torch.float16
        self.decoder = VAEDecoderWrapper().to(device, self.dtype).eval()
        if compiled:
            self.decoder.compile(mode="max-autotune-no-cudagraphs")
        self.caches: list[Any] = [None] * 32
        for _ in range(2 if device.type == "cpu" else 4):
            self.run(1 if not compiled else 3)

    def run(self, latents: int) -> torch.Tensor:
        """Frames of the next latent frames."""
        given = torch.randn(1, latents, 16, *self.size, device=self.device, dtype=self.dtype)
        frames, self.caches = self.decoder(given, *self.caches)
        return frames

    def timed(self, latents: int) -> Seconds:
        """Seconds of that."""
        began = now(self.device)
        self.run(latents)
        return since(began, self.device)


def package(name: str) -> None:
    """Import a package of the published code without running its __init__, which imports everything."""
    folder = next(
        Path(entry) / name.replace(".", "/") for entry in sys.path if (Path(entry) / name.replace(".", "/")).is_dir()
    )
    made = types.ModuleType(name)
    made.__path__ = [str(folder)]  # type: ignore[attr-defined]
    sys.modules[name] = made


if __name__ == "__main__":
    main()
