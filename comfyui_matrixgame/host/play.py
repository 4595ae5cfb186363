"""Live Play: the session is the node running. The page's player finds it over a route of its own."""

# pyright: reportMissingImports=false

from __future__ import annotations

import hmac
import logging
import uuid
from typing import Any, NamedTuple

import comfy.model_management as memory
import torch
from comfy_api.latest import InputImpl
from server import PromptServer
from torch import Tensor

from ..actions.track import ActionTrack
from ..errors import WorldError
from ..play.engine import WorldEngine
from ..play.hub import Hub
from ..play.server import ROUTE, Sockets
from ..play.session import Limits, Session
from ..video import VideoWriter
from .models import ready
from .worlds import LiveWorld, live, temporary_folder

log = logging.getLogger(__name__)

BEGUN, TAKEN = "matrixgame.play", "matrixgame.take"  # events for the page
LOST_SECONDS = 15.0  # without a player, after which the node ends
_hubs: list[Hub] = []  # of the sessions that run: core runs one node at a time


class Played(NamedTuple):
    """The outputs of Live Play, in their order; images only where they were wanted."""

    images: Tensor | None
    video: Any
    world: LiveWorld
    actions: ActionTrack


def add_routes() -> None:
    """Offer the player's socket; once, before the server starts."""
    PromptServer.instance.routes.get(ROUTE)(Sockets(_find).handle)


def play(start: LiveWorld, mode: str, limits: Limits, images: bool, node_id: str) -> Played:
    """Let somebody play until they stop, leave, or do nothing for too long; raises WorldError where nobody did."""
    server = PromptServer.instance
    hub = Hub(server.loop)
    page = server.client_id
    height, width = start.world.size
    with ready(start.model, start.vae, height, width) as models:
        engine = WorldEngine(models, start.world.to(models.device), keep_frames=True)
        on_wait = memory.throw_exception_if_processing_interrupted
        session = Session(engine, hub.listen, mode=mode, limits=limits, on_wait=on_wait)
        hub.session = session
        _hubs.append(hub)
        try:
            if page is not None:
                server.send_sync(BEGUN, {"node": node_id, "token": hub.token}, page)
            session.run()
        finally:
            _hubs.remove(hub)
            _keep_take(session, node_id, page)
    actions = session.take.track()
    if actions is None:
        raise WorldError("Live Play ended before anything was played; click into its picture, and play.")
    return Played(*_frames_of(engine, images), live(engine.world, start.model, start.vae), actions)


def _find(token: str) -> Hub | None:
    return next((hub for hub in _hubs if hmac.compare_digest(hub.token.encode(), token.encode())), None)


def _keep_take(session: Session, node_id: str, page: str | None) -> None:
    """Send the take to the page, whatever ended the session: cancelling loses the frames, not the inputs."""
    if page is not None and (session.take.blocks or session.take.branches):
        message = {"node": node_id, "timeline": session.take.timeline().to_json()}
        PromptServer.instance.send_sync(TAKEN, message, page)


def _frames_of(engine: WorldEngine, images: bool) -> tuple[Tensor | None, Any]:
    """The frames on the way to the end, as a batch where it is wanted, and as a video."""
    path = temporary_folder() / f"play_{uuid.uuid4().hex[:12]}.mp4"
    with VideoWriter(path, *engine.size) as video:
        for frames in engine.frames:
            video.write(torch.from_numpy(frames))
    batch = None
    if images:
        batch = torch.empty(sum(len(frames) for frames in engine.frames), *engine.size, 3)
        filled = 0
        for frames in engine.frames:
            batch[filled : filled + len(frames)] = torch.from_numpy(frames).float() / 255
            filled += len(frames)
    return batch, InputImpl.VideoFromFile(str(path))
