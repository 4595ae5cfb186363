"""FastVideo's Matrix-Game 2 transformer and VAE as a worker, for a comparison in the same run.

PATH is a checkout of FastVideo. Its packages import everything, so only the modules that these two need are loaded;
packages that are not installed become empty stand-ins, which nothing here calls. Attention is what FastVideo itself
chooses: flash-attn where it is installed, otherwise torch's. Weights are random. A block is its passes, its
decoder and the copy of the frames; the formulas between passes are left out, in its favour. --check compares numbers
instead.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.abc
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from worker import serve  # noqa: E402

from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks  # noqa: E402
from comfyui_matrixgame.checkpoints.names import to_layout  # noqa: E402
from comfyui_matrixgame.checkpoints.untrained import shapes_of, small_config, weights  # noqa: E402
from comfyui_matrixgame.measure.clock import Seconds, now, since  # noqa: E402
from comfyui_matrixgame.measure.networks import fill_randomly  # noqa: E402
from comfyui_matrixgame.networks.generator import Generator, GeneratorConfig  # noqa: E402
from comfyui_matrixgame.networks.generator.action_module import HEAD_DIM as ACTION_HEAD_DIM  # noqa: E402
from comfyui_matrixgame.variants import Variant, get_variant  # noqa: E402
from comfyui_matrixgame.world.block.inputs import block_windows, next_world_tail  # noqa: E402

LATENT, DECODED, SMALL_LATENT = (44, 80), (22, 40), (8, 12)
MODULES, VAES = "fastvideo.models.dits.matrixgame2", "fastvideo.models.vaes"


def main() -> None:
    """Load, then time what is asked for."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("path", type=Path)
    arguments.add_argument("--variant", default="universal")
    arguments.add_argument("--layers", type=int, default=30)
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--threads", type=int)
    arguments.add_argument("--check", action="store_true", help="print how far small networks' numbers are from ours")
    args = arguments.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    variant = get_variant(args.variant)
    layers = range((args.layers + 1) // 2)
    config = GeneratorConfig(
        layers=args.layers, action_layers=tuple(layers), keyboard_dim=len(variant.keys), mouse=variant.mouse,
        window=variant.window,
    )  # fmt: skip
    load_package(args.path)
    if args.check:
        print(largest_difference(small_config(variant), variant, device))
        return
    with torch.device("meta"):
        model = transformer(config)
    fill_randomly(model, dtype, device)
    passes = Passes(model.eval(), config, LATENT, device, dtype)
    passes.begin(torch.randn(1, 257, config.visual_dim, device=device, dtype=dtype))
    for index in range(config.window // 3 + 1):  # until the window is full
        passes.run(index)
    attention = model.blocks[0].action_model.keyboard_attn_layer.backend.name  # type: ignore[union-attr]
    about = {"computed": str(dtype).removeprefix("torch."), "attention": attention.lower()}
    full = config.window // 3
    piece = Decoder(DECODED, device, dtype)
    works = {"pass": lambda: passes.timed(full), "decode": lambda: piece.timed(1)}
    if device.type != "cpu":
        whole = Decoder(LATENT, device, dtype)
        works["block"] = lambda: block(passes, full, whole, len(variant.steps))
    serve(about, works)


def block(passes: Passes, index: int, decoder: Decoder, steps: int) -> Seconds:
    """Seconds of a block: every pass, every latent frame, the frames on the host."""
    began = now(decoder.device)
    for _ in range(steps + 1):
        passes.run(index)
    decoder.run(3).cpu()
    return since(began, decoder.device)


def load_package(checkout: Path) -> None:
    """Make FastVideo's modules importable from a checkout. Raises SystemExit where there is none."""
    root = checkout.resolve()
    if not (root / MODULES.replace(".", "/") / "causal_model.py").is_file():
        sys.exit(
            f"{checkout} is not a checkout of FastVideo with Matrix-Game 2: it has no {MODULES.replace('.', '/')}."
        )
    sys.meta_path.append(_Absent(root))
    names = MODULES.split(".")
    for name in (*(".".join(names[: i + 1]) for i in range(len(names))), VAES):
        package = types.ModuleType(name)
        package.__path__ = [str(root / name.replace(".", "/"))]  # type: ignore[attr-defined]
        sys.modules[name] = package
    parallel: Any = importlib.import_module("fastvideo.distributed.parallel_state")
    parallel._SP = types.SimpleNamespace(world_size=1, rank_in_group=0)  # one process
    platform: Any = importlib.import_module("fastvideo.platforms").current_platform
    if platform.is_cpu():  # for CPUs it names no attention
        platform.get_attn_backend_cls = lambda *_, **__: "fastvideo.attention.backends.sdpa.SDPABackend"


class _Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Empty modules for packages that FastVideo's files import and that are not installed."""

    def __init__(self, root: Path) -> None:
        self._root, self._names = str(root), set[str]()

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        top = fullname.partition(".")[0]
        if top not in self._names and not (top != "fastvideo" and _importing_file().startswith(self._root)):
            return None
        self._names.add(top)
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


class _Empty(types.ModuleType):
    """Every attribute is an empty class: to import, to subclass, in annotations."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def _importing_file() -> str:
    frame = sys._getframe(2)
    while frame.f_back is not None and "importlib" in frame.f_code.co_filename:
        frame = frame.f_back
    return frame.f_code.co_filename


def transformer(config: GeneratorConfig) -> Any:
    """FastVideo's network of these sizes; its names are those of the layout `fastvideo`."""
    causal: Any = importlib.import_module(f"{MODULES}.causal_model")
    configs: Any = importlib.import_module("fastvideo.configs.models.dits.matrixgame2")
    own = configs.MatrixGame2WanVideoConfig()
    actions = {
        **own.arch_config.action_config,
        "blocks": list(config.action_layers),
        "enable_mouse": config.mouse,
        "heads_num": config.action_dim // ACTION_HEAD_DIM,
        "hidden_size": config.keyboard_hidden,
        "img_hidden_size": config.dim,
        "keyboard_dim_in": config.keyboard_dim,
        "keyboard_hidden_dim": config.action_dim,
        "mouse_hidden_dim": config.action_dim,
    }
    sizes = {
        "num_attention_heads": config.heads, "in_channels": 36, "ffn_dim": config.ffn_dim, "num_layers": config.layers,
        "image_dim": config.visual_dim, "added_kv_proj_dim": config.dim, "local_attn_size": config.window,
        "action_config": actions, "text_dim": 0, "hidden_size": config.dim, "num_channels_latents": 16,
    }  # fmt: skip
    for name, value in sizes.items():
        setattr(own.arch_config, name, value)
    return causal.CausalMatrixGame2WanModel(own, hf_config={})


@torch.inference_mode()
def largest_difference(config: GeneratorConfig, variant: Variant, device: torch.device, blocks: int = 4) -> float:
    """Largest difference of velocities in some passes between FastVideo's network and ours, with the same weights in
    float32. The norms in its action modules are left at one: the published code does not use their weights, and
    FastVideo does."""
    ours = Generator(config).eval()
    ours.load_state_dict(weights("fastvideo", shapes_of(ours)))
    theirs = transformer(config).eval()
    theirs.load_state_dict({to_layout(name, "fastvideo"): value for name, value in ours.state_dict().items()})
    for name, norm in theirs.named_parameters():
        if name.endswith(("_attn_q_norm.weight", "_attn_k_norm.weight")):
            norm.fill_(1)
    ours.to(device)
    theirs.to(device)
    height, width = SMALL_LATENT
    passes = Passes(theirs, config, SMALL_LATENT, device, torch.float32)
    features = torch.randn(1, 257, config.visual_dim, device=device)
    passes.begin(features)
    timesteps = [1000.0, 700.0, 0.0]
    constants = ours.prepare_rollout(features, timesteps)
    caches = ours.empty_caches(1, height, width, device, torch.float32)
    track, tail, worst = _random_track(variant, 9 + 12 * blocks), None, 0.0
    for block in range(blocks):
        read = rows_of_blocks(block)
        rows = [track.slice(read, read + rows_of_blocks(1, block))]
        inputs = block_windows(tail, rows, device)
        tail = next_world_tail(tail, rows)
        own = ours.prepare_block(3 * block, 3, height, width, inputs, caches)
        so_far = track.slice(0, 9 + 12 * block)
        keys, mouse = (
            None if part is None else torch.from_numpy(part)[None].to(device)
            for part in (so_far.keyboard, so_far.mouse)
        )
        assert keys is not None
        for step, timestep in enumerate(timesteps):
            latents = torch.randn(1, 16, 3, height, width, device=device)
            condition = torch.randn(1, 20, 3, height, width, device=device)
            one = passes(block, latents, condition, timestep, keys, mouse)
            other = ours(latents, condition, step, constants, own, caches)
            worst = max(worst, float((one - other).abs().max()))
    return worst


def _random_track(variant: Variant, rows: int) -> ActionTrack:
    random = np.random.default_rng(0)
    held = random.integers(0, 2, (rows, len(variant.keys)))
    if variant.exclusive:
        held = np.eye(len(variant.keys))[random.integers(0, len(variant.keys), rows)]
    mouse = random.normal(0, 0.1, (rows, 2)).astype(np.float32) if variant.mouse else None
    return ActionTrack(variant, held.astype(np.float32), mouse)


class Passes:
    """Passes of FastVideo's network, with its caches, as its pipeline makes them for one world."""

    def __init__(
        self, model: nn.Module, config: GeneratorConfig, latent: tuple[int, int], device: torch.device,
        dtype: torch.dtype,
    ) -> None:  # fmt: skip
        self.model, self.config, self.latent = model, config, latent
        self.like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.tokens = latent[0] // 2 * (latent[1] // 2)
        self.caches: dict[str, Any] = {}
        self.features = torch.empty(0)

    def begin(self, features: Tensor) -> None:
        """Begin a new world from an image's features [1, 257, visual_dim]."""
        config, action_heads = self.config, self.config.action_dim // ACTION_HEAD_DIM
        self.features = features

        def cache(batch: int, entries: int, heads: int, dim: int) -> list[dict[str, Any]]:
            shape = batch, entries, heads, dim
            ends = {"global_end_index": 0, "local_end_index": 0}
            return [
                {"k": torch.zeros(shape, **self.like), "v": torch.zeros(shape, **self.like), **ends}
                for _ in range(config.layers)
            ]

        self.caches = {
            "kv_cache": cache(1, config.window * self.tokens, config.heads, config.dim // config.heads),
            "kv_cache_mouse": cache(self.tokens, config.window, action_heads, ACTION_HEAD_DIM),
            "kv_cache_keyboard": cache(1, config.window, action_heads, ACTION_HEAD_DIM),
            "crossattn_cache": [{"is_init": False} for _ in range(config.layers)],
        }

    def __call__(
        self, block: int, latents: Tensor, condition: Tensor, timestep: float, keys: Tensor, mouse: Tensor | None
    ) -> Tensor:
        """Velocity [1, 16, 3, h, w] of a block's latents; condition: [1, 20, 3, h, w]; keys and mouse: all input rows
        up to the block's end, [1, 9 + 12 block, ...]."""
        first = 3 * block
        with self._context():
            return self.model(
                torch.cat([latents, condition], dim=1), None,
                torch.full((1, 3), timestep, device=latents.device), [self.features], mouse_cond=mouse,
                keyboard_cond=keys, current_start=first * self.tokens, cache_start=0, start_frame=first,
                num_frame_per_block=3, **self.caches,
            )  # fmt: skip

    def _context(self) -> contextlib.AbstractContextManager[Any]:
        context: Any = importlib.import_module("fastvideo.forward_context")
        return context.set_forward_context(current_timestep=0, attn_metadata=None)

    def run(self, block: int) -> Tensor:
        """A pass of a block with random numbers."""
        rows = 9 + 12 * block
        latents = torch.randn(1, 16, 3, *self.latent, **self.like)
        condition = torch.randn(1, 20, 3, *self.latent, **self.like)
        keys = torch.zeros(1, rows, self.config.keyboard_dim, **self.like)
        mouse = torch.zeros(1, rows, 2, **self.like) if self.config.mouse else None
        return self(block, latents, condition, 700.0, keys, mouse)

    def timed(self, block: int) -> Seconds:
        """Seconds of that."""
        began = now(self.like["device"])
        self.run(block)
        return since(began, self.like["device"])


class Decoder:
    """FastVideo's Wan VAE with the state of its streaming decoding, after a few latent frames."""

    def __init__(self, size: tuple[int, int], device: torch.device, dtype: torch.dtype) -> None:
        module: Any = importlib.import_module(f"{VAES}.wanvae")
        configs: Any = importlib.import_module("fastvideo.configs.models.vaes")
        own = configs.WanVAEConfig()
        own.load_encoder = False
        with torch.device("meta"):
            self.vae = module.AutoencoderKLWan(own)
        fill_randomly(self.vae, dtype, device)
        self.device, self.size, self.dtype = device, size, dtype
        self.state: Any = self.vae.get_streaming_cache()
        self._first = True
        for _ in range(2):
            self.run(1)

    def run(self, latents: int) -> Tensor:
        """Frames of the next latent frames."""
        new = torch.randn(1, 16, latents, *self.size, device=self.device, dtype=self.dtype)
        frames, self.state = self.vae.streaming_decode(new, self.state, self._first)
        self._first = False
        return frames

    def timed(self, latents: int) -> Seconds:
        """Seconds of that."""
        began = now(self.device)
        self.run(latents)
        return since(began, self.device)


if __name__ == "__main__":
    main()
