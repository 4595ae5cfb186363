"""Live Play: the session is the node running. The page's player finds it over a route of its own."""

# pyright: reportMissingImports=false

from __future__ import annotations

import hmac
import inspect
import logging
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import comfy.model_management as memory
import torch
from aiohttp import web
from comfy_api.latest import InputImpl
from server import PromptServer
from torch import Tensor

from ..actions.track import ActionTrack
from ..cache import BlockCache
from ..errors import WorldError
from ..media.video import VideoWriter
from ..play.played_world import PlayedWorld
from ..play.saves import TakeSaves
from ..play.session import Limits, Session
from ..play.wire.hub import Hub
from ..play.wire.server import ROUTE, Sockets
from ..system.words import joined
from ..variants import frames_of_blocks
from .models import ready
from .routes import takes
from .worlds import LiveWorld, live, temporary_folder

log = logging.getLogger(__name__)

BEGUN = "matrixgame.play"  # the event that tells the page of a session
LOST_SECONDS = 15.0  # without a player, after which the node ends
_hubs: list[Hub] = []  # of the sessions that run: core runs one node at a time


class Played(NamedTuple):
    """The outputs of Live Play, in their order; images only where they were wanted."""

    images: Tensor | None
    video: Any
    world: LiveWorld
    actions: ActionTrack


def add_routes() -> None:
    """Offer the player's socket, and the takes; once, before the server starts."""
    _look_for_another_copy()
    PromptServer.instance.routes.get(ROUTE)(Sockets(_find).handle)
    takes.add_routes(lambda token: _find(token) is not None)


def _look_for_another_copy() -> None:
    """Say where this pack is installed twice: the page would reach the routes of one and the sessions of the other."""
    for route in PromptServer.instance.routes:
        if isinstance(route, web.RouteDef) and route.path == ROUTE:
            other = Path(inspect.getfile(type(getattr(route.handler, "__self__", route.handler)))).parents[2]
            here = Path(__file__).parents[2]
            log.error(
                "Matrix-Game is installed twice, in %s and in %s; Live Play and World Cache work in neither. Delete "
                "one of the two folders and start ComfyUI again.", other, here,
            )  # fmt: skip


def play(
    start: LiveWorld, mode: str, limits: Limits, images: bool, node_id: str, cache: BlockCache | None
) -> tuple[Played, str]:
    """Let somebody play until they stop, leave or do nothing for too long, or until the run is cancelled: each of
    these ends the node with what was played. Raises WorldError, or core's interruption, where nothing was.

    cache: gets the blocks that are made, and those it knows are not made. Also returns a sentence on what was done.
    """
    server = PromptServer.instance
    hub = Hub(server.loop)
    page = server.client_id
    height, width = start.world.size
    with ready(start.model, start.vae, height, width, played=True) as models:
        played = PlayedWorld(models, start.world, keep_frames=True, cache=cache, folder=temporary_folder())

        def on_wait() -> None:
            saves.now_and_then()
            memory.throw_exception_if_processing_interrupted()

        session = Session(played, hub.listen, mode=mode, limits=limits, on_wait=on_wait)
        saves = TakeSaves(session.take, takes.free_file)
        hub.session = session
        _hubs.append(hub)
        try:
            if page is not None:
                server.send_sync(BEGUN, {"node": node_id, "token": hub.token}, page)
            _run(session)
        except BaseException:
            played.close()
            raise
        finally:
            kept = takes.keep(session.take, saves, hub.token, node_id, page)
            _hubs.remove(hub)
    try:
        actions = session.take.track()
        if actions is None:
            raise WorldError("Live Play ended before anything was played; click into its picture, and play.")
        pictures = _frames_of(played, images)
        return Played(*pictures, live(played.world, start.model, start.vae), actions), _report(played, cache, kept)
    finally:
        played.close()


def _find(token: str) -> Hub | None:
    return next((hub for hub in _hubs if hmac.compare_digest(hub.token.encode(), token.encode())), None)


def _run(session: Session) -> None:
    """Cancelling ends the session; once something was played it only ends the node, as the player's Stop does."""
    try:
        session.run()
    except memory.InterruptProcessingException:
        if not session.take.blocks:
            raise


def _report(played: PlayedWorld, cache: BlockCache | None, kept: str) -> str:
    parts = [str(played.counts), *(cache.take_notices() if cache is not None else [])]
    return joined([*parts, kept] if kept else parts)


def _frames_of(played: PlayedWorld, images: bool) -> tuple[Tensor | None, Any]:
    """The frames on the way to the end, as a batch where it is wanted, and as a video."""
    path = temporary_folder() / f"play_{uuid.uuid4().hex[:12]}.mp4"
    count = frames_of_blocks(played.block) - frames_of_blocks(played.start.block)
    batch = torch.empty(count, *played.size, 3) if images else None
    filled = 0
    with VideoWriter(path, *played.size) as video:
        for frames in played.frames():
            memory.throw_exception_if_processing_interrupted()
            video.write(frames)
            if batch is not None:
                batch[filled : filled + len(frames)] = torch.from_numpy(frames).float() / 255
                filled += len(frames)
    return batch, InputImpl.VideoFromFile(str(path))
