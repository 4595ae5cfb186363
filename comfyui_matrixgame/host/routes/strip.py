"""What the timeline's strip asks: how each block of a timeline stands to the cache, also while a run goes on.

A run with a cache leaves behind which timeline it played and what its keys depend on. With these the state of any edit
of that timeline is found without a run: the keys are hashes of the inputs.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from weakref import ReferenceType, ref

from aiohttp import web
from server import PromptServer
from torch import Tensor

from ...actions.track import blocks_of_rows, rows_of_blocks
from ...cache import BlockCache, CachedRollout
from ...cache.keys import WorldKeys
from ...cache.projects import FRAMES, LATENTS, PINNED, SNAPSHOT
from ...cache.rollout.progress import MAKING
from ...errors import MatrixGameError
from ..inputs.action_timeline import read_inputs
from ..running.folders import cache_folder
from ..running.pace import kind_of_run, seconds_a_block
from .blocks import frames_of_block
from .requests import read_object

EVENT = "matrixgame.strip"
EMPTY, STALE, CACHED, RESUMABLE, FAILED = "empty", "stale", "cached", "resumable", "failed"
MOST_STRIPS = 200  # timelines whose last runs are remembered


@dataclass
class Strip:
    """A timeline node's last run. keys: of its blocks. made: how many blocks the node's runs had. at: the key of the
    block that is being made, or failed. kind_of_run: what decides how long a block takes."""

    node_id: str
    project: str
    world_keys: WorldKeys
    cache: ReferenceType[BlockCache]
    keys: list[str]
    made: int
    kind_of_run: str
    at: str | None = None
    failed: bool = False

    def tell(self, block: int, what: str) -> None:
        """What became of a block of the world's life, for everyone who looks."""
        index = block - self.world_keys.first
        key = self.keys[index] if index < len(self.keys) else ""
        self.at = key if what in (MAKING, FAILED) else None
        self.failed = what == FAILED
        about = {"node": self.node_id, "project": self.project, "first": self.world_keys.first}
        message = {**about, "block": index, "state": what, "key": key}
        PromptServer.instance.send_sync(EVENT, message)


_strips: dict[str, Strip] = {}  # by the timeline's node; the one that ran last stands last


def _begin_strip(timeline: str, run: CachedRollout, cache: BlockCache) -> Strip:
    """The strip of the timeline that a Roll Out gets its actions from."""
    keys = run.block_keys
    last = _strips.pop(timeline, None)
    made = max(run.blocks, last.made if last is not None and last.world_keys == keys.world_keys else 0)
    of_blocks = [keys.frames_key(block) for block in range(keys.first, keys.last)]
    strip = _strips[timeline] = Strip(
        timeline, cache.project, keys.world_keys, ref(cache), of_blocks, made, kind_of_run(keys.world)
    )
    while len(_strips) > MOST_STRIPS:
        del _strips[next(iter(_strips))]
    return strip


class StripOfRun:
    """Tells the strip of a run with a cache what becomes of its blocks; says nothing where there is none."""

    def __init__(self) -> None:
        self._strip: Strip | None = None

    def begin(self, timeline: str, run: CachedRollout, cache: BlockCache) -> None:
        """Before the first block of a run whose actions come from this node."""
        self._strip = _begin_strip(timeline, run, cache)

    def tell(self, block: int, what: str) -> None:
        """What became of a block of the world's life."""
        if self._strip is not None:
            self._strip.tell(block, what)

    def fail(self, block: int) -> None:
        """A block cannot be made."""
        self.tell(block, FAILED)

    def cancel(self) -> None:
        """No block is being made any more."""
        if self._strip is not None:
            self._strip.at = None


async def states(request: web.Request) -> web.Response:
    """{node, script, variant} -> {project, first, blocks: [{state, key}], seconds}; no blocks where nothing is known of
    the node. first: block of the world's life. seconds: that making one block takes, null where nobody knows."""
    asked = await read_object(request)
    strip = _strips.get(str(asked.get("node")))
    if strip is None:
        return web.json_response({"blocks": []})
    try:
        blocks = await asyncio.to_thread(_look, strip, str(asked.get("script")), str(asked.get("variant")))
    except MatrixGameError as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    except OSError as error:
        raise web.HTTPBadRequest(text=f"The cache cannot be read: {error.strerror or error}.") from None
    about = {"project": strip.project, "first": strip.world_keys.first, "seconds": seconds_a_block(strip.kind_of_run)}
    return web.json_response({**about, "blocks": blocks})


def stored_frames(node: str, script: str, variant: str) -> Iterator[Tensor]:
    """The frames [N, H, W, 3] of the blocks of a timeline that its cache has, up to the first that it has not. Raises
    MatrixGameError."""
    strip = _strips.get(node)
    if strip is None:
        return
    for block in _look(strip, script, variant):
        frames = frames_of_block(strip.project, block["key"])
        if frames is None:
            return
        yield frames


def _look(strip: Strip, script: str, variant: str) -> list[dict[str, str]]:
    track, world_keys = read_inputs(script, variant), strip.world_keys
    count = blocks_of_rows(len(track), world_keys.first)
    names = world_keys.names(track.padded(rows_of_blocks(count, world_keys.first)), count)
    keys = [world_keys.key(name) for name in names]
    cache = strip.cache() or BlockCache(cache_folder(), strip.project)
    blocks = []
    for index, key in enumerate(keys[1:]):
        whole = world_keys.with_decoder(key)
        is_stored = cache.has(LATENTS, key) and cache.has(FRAMES, whole)
        state = CACHED if is_stored else STALE if index < strip.made else EMPTY
        if is_stored and cache.has(PINNED, whole):
            state = PINNED
        elif is_stored and cache.has(SNAPSHOT, whole):
            state = RESUMABLE
        if whole == strip.at and not is_stored:
            state = FAILED if strip.failed else MAKING
        blocks.append({"state": state, "key": whole})
    return blocks
