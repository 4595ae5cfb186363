"""Core's dynamic VRAM, its default on NVIDIA, on a pretended GPU: weights, their pins, and CUDA graphs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..models import LORA, UNIVERSAL, VAE
from ..on_gpu import run_on_gpu

PRELUDE = """
import logging
import torch
import comfy.model_management as memory
from comfyui_matrixgame.actions.track import ActionTrack, rows_of_blocks
from comfyui_matrixgame.host.loaders.load_generator import load_generator
from comfyui_matrixgame.host.loaders.load_vae import load_vae
from comfyui_matrixgame.host.models.ready import ready
from comfyui_matrixgame.networks.vae import doubling
from comfyui_matrixgame.networks.vae.base import normalise
from comfyui_matrixgame.world import rollout, start_world

def load(decoder="full"):
    return load_generator(file, "float32", "sdpa"), load_vae(vae, decoder, "float32")

@torch.inference_mode()
def blocks_of(model, parts, on_pass=None):
    with ready(model, parts, 64, 96) as models:
        features = torch.zeros(1, 257, models.generator.config.visual_dim)
        world = start_world(models, torch.zeros(3, 64, 96), 3, features=features)
        track = ActionTrack.idle(models.variant, rows_of_blocks(4))
        run = rollout(models, world, track, 4, on_pass=on_pass)
        return torch.cat([block.frames.clone() for block in run], dim=1)

def small_constants():
    # what stays on a device for good: the latents' scale, and the sums of a doubled convolution; 704 bytes
    normalise(torch.zeros(1, 16, 1, 1, 1, device="cuda"))
    doubling._sums(torch.device("cuda", 0))

def pins():
    return sum(vbar.pins() for vbar in VBar.all)
"""

PINS = """
from comfyui_matrixgame.networks.vae import wan_layers
model, parts = load()
first = blocks_of(model, parts)
print("dynamic:", model.is_dynamic(), "staged:", sum(vbar.loaded_size() for vbar in VBar.all) > 5e6)
print("pins:", pins())
wan_layers.triton_for = lambda x: object()  # as with Triton: a convolution's weights are taken without its call
wan_layers.narrow_convolution = lambda *_: None
wan_layers.add_into = lambda *_: False
second = blocks_of(model, parts)
print("pins:", pins())
memory.unload_all_models()
print("left:", sum(vbar.loaded_size() for vbar in VBar.all), "after:", bool((second == blocks_of(model, parts)).all()))
print("near:", float((first.int() - second.int()).abs().max()))
"""


@pytest.mark.slow
def test_no_weight_stays_pinned_after_its_use(base: Path) -> None:
    """Layers whose weights are used without their call too. A page with a pin is never given back."""
    printed = run_on_gpu(PRELUDE + PINS, base, card=2e9, file=UNIVERSAL, vae=VAE)
    assert "dynamic: True staged: True" in printed
    assert printed.count("pins: 0") == 2, printed
    assert "left: 0 after: True" in printed
    assert "near: 0.0" in printed or "near: 1.0" in printed


STAYS = """
import comfy.sd
from safetensors.torch import load_file

def where(model):
    return sorted({str(parameter.device) for parameter in model.model.parameters()})

live = lambda: gpus.bytes_of(0, "live")
small_constants()
before = live()
model, parts = load()
print("dynamic:", model.is_dynamic(), [patcher.is_dynamic() for patcher in parts.patchers])
first, graphs = blocks_of(model, parts), gpus.captures
print("graphs:", graphs > 0, where(model), where(parts.patchers[0]))

patched, _ = comfy.sd.load_lora_for_models(model, None, load_file(lora), 1.0, 0.0)
other = blocks_of(patched, parts)
print("LoRA:", bool((other != first).any()), where(patched), patched.is_clone(model))
print("without it:", bool((blocks_of(model, parts) == first).all()))

memory.free_memory(1e12, model.load_device)  # as for another model
print("unloaded:", where(model), where(parts.patchers[0]), len(memory.current_loaded_models))
print("left:", live() - before)
print("again:", bool((blocks_of(model, parts) == first).all()))

memory.unload_all_models()
del patched
torch.cuda.empty_cache()
room = memory.minimum_inference_memory() + parts.patchers[0].model_size() + model.model_size() * 0.9
gpus.taken[0] = int(gpus.total - live() - room)
with ready(model, parts, 64, 96) as models:
    print("partly:", where(model), "layer by layer" in models.plan)
print("the same:", bool((blocks_of(model, parts) == first).all()))
gpus.taken[0] = 0
with ready(model, parts, 64, 96) as models:
    print("whole:", where(model), "layer by layer" in models.plan)
memory.unload_all_models()
print("left:", live() - before)

gpus.total = int(2e9)
model, parts = load()
print("dynamic:", model.is_dynamic(), [patcher.is_dynamic() for patcher in parts.patchers])
before = gpus.captures
print("the same:", bool((blocks_of(model, parts) == first).all()), "graphs:", gpus.captures > before)
with ready(model, parts, 64, 96) as models:
    print("told:", "layer by layer" in models.plan)
"""


BESIDE = """
from comfyui_matrixgame.host.models import vision
from comfyui_matrixgame.networks.vision import ImageEncoder

tower = ImageEncoder(hidden=64, mlp=64, layers=4, heads=1, image_size=28, patch_size=14).model.state_dict()
tower = {"vision_model." + name.removeprefix("vision_model."): tensor for name, tensor in tower.items()}
there, make = [], vision.vision_from_state
vision.vision_from_state = lambda state, device: there.append(device.type) or make(state, device)

class Loaded:
    get_sd = staticmethod(lambda: tower)

def where():
    return sorted({str(each.device) for one in (model, *parts.patchers) for each in one.model.parameters()})

def features(beside):
    return vision.image_features(Loaded(), torch.zeros(1, 3, 28, 28), beside)

model, parts = load()
with ready(model, parts, 64, 96):
    first = features(beside=True)
    gpus.taken[0] = int(memory.get_free_memory(model.load_device))
    again = features(beside=True)
    print("beside:", there, bool((first - again).abs().max() < 1e-5), where())
    features(beside=False)
    print("alone:", there[-1], where())
"""


@pytest.mark.slow
def test_the_image_tower_of_live_play_takes_no_weights_off_the_device(base: Path) -> None:
    """Without room beside what is played it runs in main memory; at a start the other models make room for it."""
    printed = run_on_gpu(PRELUDE + BESIDE, base, file=UNIVERSAL, vae=VAE)
    assert "beside: ['cuda', 'cpu'] True ['cuda:0']" in printed
    assert "alone: cuda ['cpu'" in printed


GIVEN_BACK = """
import gc
from comfyui_matrixgame.networks.generator.kept import forget_passes
from tests.pretend_gpu.tensors import is_pinned

def on_device():
    gc.collect()
    tensors = [one for one in gc.get_objects() if type(one) is torch.Tensor and one.device.type == "cpu"]
    return gpus.bytes_of(0, "live"), sum(one.nbytes for one in tensors if is_pinned(one))

small_constants()
before = on_device()
model, parts = load()
blocks_of(model, parts)
with ready(model, parts, 64, 96) as models:
    forget_passes(models.generator)  # what was recorded, and the rings, for the next rollout
del models
loaded = on_device()
weights = model.model_size() + parts.patchers[0].model_size()
print("loaded:", loaded[0] - before[0] < 1.01 * weights, loaded[1] - before[1])
whole = blocks_of(model, parts)
loaded = on_device()

for kind in (memory.InterruptProcessingException, ValueError, torch.OutOfMemoryError):
    passes = iter(range(7))
    def stop(at):
        if next(passes, None) is None:
            raise kind("a fault")
    try:
        blocks_of(model, parts, on_pass=stop)
    except kind:
        pass
    print("after:", kind.__name__, on_device() == loaded)
print("again:", bool((blocks_of(model, parts) == whole).all()))
memory.unload_all_models()
after = on_device()
print("unloaded:", after[0] - before[0], after[1] - before[1])
"""


@pytest.mark.slow
def test_memory_is_given_back(base: Path) -> None:
    """After a run only the weights, and what one rollout works with, stay on the device, and nothing in page-locked
    memory; also after one that the user or an error ended. After Unload nothing stays."""
    printed = run_on_gpu(PRELUDE + GIVEN_BACK, base, file=UNIVERSAL, vae=VAE)
    assert [line for line in printed.splitlines() if ": " in line] == [
        "loaded: True 0",
        "after: InterruptProcessingException True",
        "after: ValueError True",
        "after: OutOfMemoryError True",
        "again: True",
        "unloaded: 0 0",
    ]


def test_weights_stay_on_a_card_that_has_room(base: Path) -> None:
    """Passes are recorded then, with a LoRA too; core takes the weights away for another model, and gives them back.
    Where there is room for a part, or the card is small, frames are the same, and the node says how it runs."""
    lora = str(base / "models" / "loras" / LORA)
    printed = run_on_gpu(PRELUDE + STAYS, base, file=UNIVERSAL, vae=VAE, lora=lora)
    print(printed)
    lines = [line for line in printed.splitlines() if ": " in line]
    assert lines == [
        "dynamic: False [False]",
        "graphs: True ['cuda:0'] ['cuda:0']",
        "LoRA: True ['cuda:0'] True",
        "without it: True",
        "unloaded: ['cpu'] ['cpu'] 0",
        "left: 0",
        "again: True",
        "partly: ['cpu', 'cuda:0'] True",
        "the same: True",
        "whole: ['cuda:0'] False",
        "left: 0",
        "dynamic: True [True]",
        "the same: True graphs: False",
        "told: True",
    ]
