"""Worlds as they travel between nodes: starting them, and rolling them out."""

# pyright: reportMissingImports=false

from __future__ import annotations

import logging
import math
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import comfy.model_management as memory
import comfy.model_patcher
import comfy.utils
import folder_paths
import numpy as np
import torch
from comfy_api.latest import InputImpl
from comfy_execution.utils import get_executing_context
from PIL import Image
from server import PromptServer
from torch import Tensor

from nodes import NODE_CLASS_MAPPINGS  # pyright: ignore[reportAttributeAccessIssue] (core's)

from .. import world as engine
from ..actions.resample import nearest
from ..actions.track import ActionTrack, blocks_of_rows, rows_of_blocks
from ..errors import ActionError, CheckpointError, ImageError, WorldError
from ..media.clips import Clip
from ..media.images import fit_image
from ..media.video import VideoWriter
from ..networks.vae.base import denormalise, to_uint8
from ..system.words import counted
from ..variants import FPS, blocks_of_frames, frames_of_blocks
from ..world import PassProgress, World
from ..world.world import next_name
from .models import HostModels, HostVae, MatrixGameModel, ready, tensors_of
from .vision import demo_features, demo_image, image_features

log = logging.getLogger(__name__)

IMAGE_CHOICES = ("when connected", "always", "never")
WORLD_FOLDER = "matrixgame"  # below the output and the temporary folder
WORLD_SLOT, LATENT_SLOT = 2, 3  # of Roll Out
PREVIEW_SIZE = 512


class Finished:
    """What was made from a world last: names and latents of the blocks, and the world after them. A run that was
    cancelled goes on from here, and one that only wants other outputs does not denoise again.

    The latents are in temporary files, which go when this does.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin again with no blocks."""
        self.names: list[str] = []
        self.world: World | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def add(self, name: str, latents: Tensor) -> None:
        """Keep a block's latents [1, 16, 3, h, w]; raises WorldError where they cannot be written."""
        try:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="latents_", dir=temporary_folder())
            np.save(self._file(len(self.names)), latents.numpy())
        except OSError as error:
            raise WorldError(
                f"Roll Out cannot keep a block in ComfyUI's temporary folder ({error.strerror or error}); make room "
                "on that disk, and run again."
            ) from error
        self.names.append(name)

    def latents(self, block: int) -> Tensor:
        """The latents of a kept block, counted from the first kept one."""
        return torch.from_numpy(np.load(self._file(block)))

    def is_whole(self) -> bool:
        """Whether no block is missing: the temporary folder may have been emptied under a running ComfyUI."""
        return all(self._file(block).is_file() for block in range(len(self.names)))

    def _file(self, block: int) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / f"{block}.npy"


class LiveWorld(NamedTuple):
    """What travels as MATRIXGAME_WORLD: a world in main memory and the models it goes on with.

    tensors: those of the world, in the open, so that core's cache sees how much memory it holds.
    """

    world: World
    model: comfy.model_patcher.ModelPatcher
    vae: HostVae
    finished: Finished
    tensors: list[Tensor]


def live(world: World, model: comfy.model_patcher.ModelPatcher, vae: HostVae) -> LiveWorld:
    """A world as it travels between nodes: in main memory, so that an idle graph holds nothing on the device."""
    world = world.to(memory.intermediate_device())
    return LiveWorld(world, model, vae, Finished(), list(tensors_of(world)))


def start_world(
    model: comfy.model_patcher.ModelPatcher,
    vae: HostVae,
    seed: int,
    size: tuple[int, int],
    clip_vision: Any,
    image: Tensor | None,
    clip: Any,
    clip_actions: ActionTrack | None,
) -> LiveWorld:
    """A new world from an image, or from a clip with its inputs; raises MatrixGameError for what does not fit.

    size: height and width of the frames, multiples of 16; 0 for what the generator was trained at.
    """
    check_generator(model)
    demo = model.model.is_demo  # type: ignore[union-attr]
    if demo != vae.is_demo:
        raise CheckpointError(
            "The demo world's generator and VAE belong together; choose the demo world in both loaders, or in none."
        )
    size = (size[0] or model.model.size[0], size[1] or model.model.size[1])  # type: ignore[index, union-attr]
    if image is None and clip is None and demo:
        image = demo_image(seed)
    if (image is None) == (clip is None):
        raise ImageError("Connect either an image or a clip to Start World, to say what the world begins with.")
    if clip is not None and clip_actions is None:
        raise ActionError("A clip needs clip_actions: what the player did in it, one input row per frame.")
    frames, rate = _clip_frames(clip) if image is None else (image, float(FPS))
    if image is not None and len(frames) != 1:
        raise ImageError(f"Start World takes one image, got {len(frames)}; pick one, or connect them as clip.")
    own, exact = len(frames), True
    if image is None:
        exact = abs(rate - FPS) * own / FPS < 0.5  # no frame is shown at another one's time
        frames = _whole_blocks(frames if exact else frames[nearest(np.arange(own), rate)])
    pixels = fit_image(_pixels(frames), *size)  # [N, 3, H, W]
    features = demo_features(pixels[:1]) if demo else image_features(clip_vision, pixels[:1])
    with ready(model, vae, *size) as models:
        if image is not None:
            world = engine.start_world(models, pixels[0], seed, features=features)
        else:
            assert clip_actions is not None
            footage = Clip(pixels.transpose(0, 1), "the clip", own, rate, exact)
            rows = footage.rows(clip_actions, lambda text: log.info("%s", text))
            world = engine.start_world_from_clip(models, footage.pixels, rows, seed, features=features)
    return live(world, model, vae)


def check_generator(model: Any) -> None:
    if not isinstance(getattr(model, "model", None), MatrixGameModel):
        raise CheckpointError("The model is not a Matrix-Game generator; connect Load Matrix-Game Generator.")


def _whole_blocks(frames: Tensor) -> Tensor:
    kept = frames_of_blocks(blocks_of_frames(len(frames)))
    if not kept:
        raise ImageError(
            f"The clip has {counted(len(frames), 'frame')}; Start World needs 9 frames at least, and 12 for every "
            "block more."
        )
    return frames[:kept]


def _clip_frames(clip: Any) -> tuple[Tensor, float]:
    """Frames [N, H, W, C] of an IMAGE or VIDEO, and how many there are in a second."""
    if isinstance(clip, Tensor):
        return clip, float(FPS)
    components = clip.get_components()
    return components.images, float(components.frame_rate)


def _pixels(images: Tensor) -> Tensor:
    """IMAGE [N, H, W, C] in [0, 1] -> [N, 3, H, W] in [-1, 1], to the last bit what the engine reads from a file;
    raises ImageError."""
    if images.shape[-1] not in (1, 3, 4):
        raise ImageError(
            f"The image has {images.shape[-1]} channels; connect one with 1 (grey), 3 (RGB) or 4 (RGB and alpha)."
        )
    bytes_ = images[..., :3].expand(*images.shape[:3], 3).cpu().float().mul(255)
    if (bytes_ - bytes_.round()).abs().max() < 1e-3:  # pictures of 8 bits, and nearly all are
        return (bytes_.round() / 127.5 - 1).permute(0, 3, 1, 2)
    return (bytes_ / 127.5 - 1).permute(0, 3, 1, 2)


class Result(NamedTuple):
    """The outputs of Roll Out, in their order; None where they were not wanted."""

    images: Tensor | None
    video: Any
    world: LiveWorld | None
    latent: dict[str, Tensor] | None


class Wanted(NamedTuple):
    """Which of the outputs of Roll Out that take much memory are asked for."""

    images: bool
    latent: bool
    world: bool


def roll_out(start: LiveWorld, actions: ActionTrack, wanted: Wanted, node_id: str) -> Result:
    """Play `actions` from `start`, writing the video while it is made.

    A cancelled run keeps its finished blocks with `start`, and the next one goes on from them.
    """
    height, width = start.world.size
    path = temporary_folder() / f"rollout_{uuid.uuid4().hex[:12]}.mp4"
    images = empty_images(start, actions) if wanted.images else None
    filled = 0
    latents: list[Tensor] = []
    progress = Progress(node_id)
    with ready(start.model, start.vae, height, width) as models, VideoWriter(path, height, width) as video:
        progress.tell(models.plan)
        for frames, block_latents in play(models, start, actions, progress):
            video.write(frames)
            if wanted.latent:
                latents.append(denormalise(block_latents))
            if images is not None:
                images[filled : filled + len(frames)] = frames.float() / 255
                filled += len(frames)
            progress.show(frames[-1])
    world = start.finished.world
    assert world is not None
    return Result(
        images,
        InputImpl.VideoFromFile(str(path)),
        live(world, start.model, start.vae) if wanted.world else None,
        {"samples": torch.cat(latents, dim=2)} if latents else None,
    )


def temporary_folder() -> Path:
    """Where files live until ComfyUI is started again."""
    folder = Path(folder_paths.get_temp_directory()) / WORLD_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def empty_images(start: LiveWorld, actions: ActionTrack) -> Tensor:
    """Room for all frames of a rollout, [N, H, W, 3]; warns where it takes much of what is free."""
    first = start.world.block
    count = frames_of_blocks(first + blocks_of_rows(len(actions), first)) - frames_of_blocks(first)
    shape = (count, *start.world.size, 3)
    needed, free = 4 * math.prod(shape), memory.get_free_memory(torch.device("cpu"))
    if needed > free / 3:
        message = "Roll Out: %d frames for the images output take %.1f of %.1f GB free memory; the video needs none."
        log.warning(message, count, needed / 1e9, free / 1e9)
    return torch.empty(shape)


class Progress:
    """One bar in blocks x passes, with the newest frame as its preview; ends the run when the user cancels."""

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._done = 0

    def tell(self, text: str) -> None:
        """Show a sentence on the node while it runs, and until it says something else."""
        PromptServer.instance.send_progress_text(text, self._node_id, PromptServer.instance.client_id)

    def begin(self, blocks: int, passes: int, done: int) -> None:
        """Before the first block: how many there will be, and how many of them are only decoded again."""
        self._bar, self._passes, self._before = comfy.utils.ProgressBar(blocks * passes, self._node_id), passes, done

    def on_pass(self, at: PassProgress) -> None:
        """Before a pass of the network; raises core's interruption where the user cancelled."""
        memory.throw_exception_if_processing_interrupted()
        self._bar.update_absolute((self._before + at.done) * self._passes + at.step)

    def skip(self, blocks: int) -> None:
        """Blocks at the start that need not even be shown."""
        self._done += blocks
        self._bar.update_absolute(self._done * self._passes)

    def show(self, frame: Tensor) -> None:
        """After a block: its last frame, uint8 [H, W, 3]."""
        memory.throw_exception_if_processing_interrupted()
        self._done += 1
        picture = Image.fromarray(frame.numpy())
        self._bar.update_absolute(self._done * self._passes, preview=("JPEG", picture, PREVIEW_SIZE))


def play(
    models: HostModels, start: LiveWorld, actions: ActionTrack, progress: Progress
) -> Iterator[tuple[Tensor, Tensor]]:
    """The blocks of a rollout as frames [N, H, W, 3] of 8 bits and latents [1, 16, 3, h, w], both in main memory.

    Blocks that were finished before come first and are only decoded; `start.finished` is kept up to date.
    """
    first = start.world.block
    blocks = blocks_of_rows(len(actions), first)
    finished = start.finished
    done = _finished_blocks(start, actions, blocks)
    if not done:
        finished.forget()
    progress.begin(blocks, start.world.variant.passes, done)
    state = start.world.decoder_state
    state = None if state is None else tuple(tensor.to(models.device) for tensor in state)
    for index in range(done):
        latents = finished.latents(index)
        pixels, state = models.decoder.decode(latents.to(models.device), state)
        yield to_uint8(pixels).cpu()[0], latents
    if done == blocks:
        return
    rest = actions.slice(rows_of_blocks(done, first))
    run = engine.rollout(models, finished.world or start.world, rest, blocks - done, on_pass=progress.on_pass)
    try:
        for block in run:
            latents = block.latents.cpu()
            finished.add(block.names[0], latents)
            yield block.frames[0], latents
    finally:
        if run.done:
            world = run.world.to(memory.intermediate_device())
            if finished.names[-1:] == [world.names[0]]:
                finished.world = world
            else:  # the last block could not be kept, and a world after it would leave it out
                finished.forget()


def _finished_blocks(start: LiveWorld, actions: ActionTrack, blocks: int) -> int:
    """How many of the blocks asked for were finished in an earlier run; all that are kept, or none."""
    kept, first = start.finished, start.world.block
    variant = start.world.variant
    if kept.world is None or len(kept.names) > blocks or not variant.takes(actions.variant):
        return 0
    if kept.world.block != first + len(kept.names) or not kept.is_whole():
        return 0
    track = actions.of_variant(variant).padded(rows_of_blocks(blocks, first))
    name, row = start.world.names[0], 0
    for index, expected in enumerate(kept.names):
        count = rows_of_blocks(1, first + index)
        name = next_name(name, track.slice(row, row + count))
        row += count
        if name != expected:
            return 0
    return len(kept.names)


def wanted_outputs(images: str, node_id: str, graph: Any = None) -> Wanted:
    """What Roll Out must build.

    images: one of IMAGE_CHOICES. graph: core's DynamicPrompt; without it, the prompt that runs is asked. The world
    is kept for what may be connected later, but not where Roll Out runs many times: each takes a gigabyte. With a
    World Cache it can be had later, so it is only built where it is connected.
    """
    nodes = _running_prompt() if graph is None else _nodes_of(graph)
    connected = {slot for node in nodes.values() for name, slot in _links(node) if name == node_id}
    shown = images == "always" or (images == IMAGE_CHOICES[0] and 0 in connected)
    cached = "cache" in nodes[node_id]["inputs"] if node_id in nodes else False
    keep = not cached and not _runs_many_times(node_id, nodes, set())
    return Wanted(shown, LATENT_SLOT in connected, WORLD_SLOT in connected or keep)


def runs_many_times(node_id: str, graph: Any) -> bool:
    """Whether a list comes into a node, from the node before it or from further up. graph: core's DynamicPrompt."""
    return _runs_many_times(node_id, _nodes_of(graph), set())


def _nodes_of(graph: Any) -> dict[str, Any]:
    return {name: graph.get_node(name) for name in graph.all_node_ids()}


def _links(node: dict[str, Any]) -> list[tuple[str, int]]:
    """(node, output) of every link into a node."""
    values = [value for value in node["inputs"].values() if isinstance(value, list) and len(value) == 2]
    return [(str(name), slot) for name, slot in values if isinstance(slot, int)]


def _runs_many_times(node_id: str, nodes: dict[str, Any], seen: set[str]) -> bool:
    seen.add(node_id)
    for name, slot in _links(nodes[node_id]) if node_id in nodes else []:
        kind = NODE_CLASS_MAPPINGS.get(nodes[name]["class_type"]) if name in nodes else None
        lists = getattr(kind, "OUTPUT_IS_LIST", None) or ()
        if any(lists[slot : slot + 1]) or (name not in seen and _runs_many_times(name, nodes, seen)):
            return True
    return False


def _running_prompt() -> dict[str, Any]:
    # core computes fingerprints without the graph, so that an output that is connected later would be taken from the
    # cache, where it is not; the queue knows the graph
    context = get_executing_context()
    running, _ = PromptServer.instance.prompt_queue.get_current_queue_volatile()
    return next((item[2] for item in running if context is not None and item[1] == context.prompt_id), {})
