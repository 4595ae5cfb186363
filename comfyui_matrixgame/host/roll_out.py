"""Roll Out: the blocks of a world's next inputs, and what they become: frames, a video, latents, a world."""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import comfy.model_management as memory
import torch
from comfy_api.latest import InputImpl
from torch import Tensor

from ..actions.track import ActionTrack
from ..cache import BlockCache, CachedRollout
from ..networks.vae.base import denormalise
from ..system.words import joined
from ..variants import block_of_input
from ..world import Block
from .models.ready import HostModels, ready
from .routes.strip import StripOfRun
from .running.graph import Wanted, timeline_of
from .running.images import Images
from .running.live_world import LiveWorld, as_live_world
from .running.pace import PaceOfRun
from .running.progress import Progress
from .running.rollout_video import RolloutVideo


class Result(NamedTuple):
    """The outputs of Roll Out, in their order; None where they were not wanted."""

    images: Tensor | None
    video: Any
    world: LiveWorld | None
    latent: dict[str, Tensor] | None


def roll_out(
    start: LiveWorld, actions: ActionTrack, wanted: Wanted, node_id: str, cache: BlockCache | None, graph: Any
) -> tuple[Result, dict[str, Any] | None]:
    """Play `actions` from `start`, writing the video while it is made. Also returns what the node shows at its end.

    Blocks that were made before are not made again: those that the cache holds or, without one, those that were made
    from `start`, so that a cancelled run goes on where it was. The models are only loaded where something must be
    computed. With a cache the video lies with the blocks, and a run that was killed goes on with it. graph: core's
    DynamicPrompt.
    """
    progress, strip, latents = Progress(node_id), StripOfRun(), []
    timeline = timeline_of(node_id, graph)
    where = "until the world before is made anew" if cache is None else f"in the World Cache '{cache.project}'"
    pace = PaceOfRun(progress, timeline, where)

    def told(block: int, what: str) -> None:
        strip.tell(block, what)
        pace.becomes(block, what)

    pins = [] if cache is None else [block_of_input(start.world.first_input + row) for row in actions.pins]
    with ExitStack() as awake:
        run = CachedRollout(
            HostModels(start.model, start.vae),
            start.world,
            actions,
            None,
            start.recent if cache is None else cache,
            pins=pins,
            on_pass=progress.on_pass,
            on_block=told,
            wake=lambda: pace.woke(awake.enter_context(ready(start.model, start.vae, *start.world.size)).plan),
        )
        images = Images(run.block_keys.first, run.block_keys.last, start.world.size) if wanted.images else None
        if cache is not None and timeline is not None:
            strip.begin(timeline, run, cache)
        with run, RolloutVideo(cache, run) as video, pace:
            progress.begin(run.blocks, start.world.variant.passes)
            if not wanted.images and not wanted.latent:
                video.skip(progress)
            pace.begin(run)
            for block in _telling(run, strip):
                video.write(block)
                pace.after(block.frames.shape[1])
                if wanted.latent:
                    latents.append(denormalise(block.latents))
                if images is not None:
                    images.add(block.frames[0])
                progress.show(block.frames[0][-1])
            path = video.finish()
            world = run.rest(memory.intermediate_device()) if wanted.world else None
    result = Result(
        None if images is None else images.batch,
        InputImpl.VideoFromFile(str(path)),
        None if world is None else as_live_world(world, start.model, start.vae),
        {"samples": torch.cat(latents, dim=2)} if latents else None,
    )
    return result, None if cache is None else {"text": [joined([f"{run.counts}", *cache.take_notices()])]}


def _telling(run: CachedRollout, strip: StripOfRun) -> Iterator[Block]:
    """The blocks; where one cannot be made the strip says so, and where the run is cancelled it says nothing more."""
    try:
        yield from run
    except Exception:
        strip.fail(run.next_block)
        raise
    except BaseException:  # core's interruption
        strip.cancel()
        raise
