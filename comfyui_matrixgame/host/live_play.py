"""Live Play: the session is the node running. The page's player finds it over a route of its own."""

# pyright: reportMissingImports=false

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

import comfy.model_management as memory
import torch
from comfy_api.latest import InputImpl
from server import PromptServer
from torch import Tensor

from ..actions.track import ActionTrack
from ..cache import BlockCache
from ..errors import WorldError
from ..media.video import VideoWriter
from ..play.changes.made import See
from ..play.played_world import PlayedWorld
from ..play.saves import TakeSaves
from ..play.session import Limits, Session
from ..play.wire.hub import Hub
from ..system.words import counted, joined
from .models.ready import ready
from .models.vision import demo_features, image_features
from .routes import takes
from .routes.player import offered
from .running.folders import temporary_folder
from .running.images import Images
from .running.live_world import LiveWorld, as_live_world

LOST_SECONDS = 15.0  # without a player, after which the node ends


class Played(NamedTuple):
    """The outputs of Live Play, in their order; images only where they were wanted."""

    images: Tensor | None
    video: Any
    world: LiveWorld
    actions: ActionTrack


def play(
    start: LiveWorld,
    mode: str,
    idle: int,
    blocks: int,
    images: bool,
    node_id: str,
    cache: BlockCache | None,
    clip_vision: Any = None,
) -> tuple[Played, dict[str, Any]]:
    """Let somebody play until they stop, leave or do nothing for too long, or until the run is cancelled: each of
    these ends the node with what was played. Raises WorldError, or core's interruption, where nothing was.

    idle: seconds without input that are too long. blocks: the most there will be. cache: gets the blocks that are made,
    and those it knows are not made. clip_vision: the image tower, CLIP_VISION, through which the network sees a picture
    that is changed. Also returns what the node shows at its end.
    """
    server = PromptServer.instance
    hub = Hub(server.loop)
    page = server.client_id
    height, width = start.world.size
    limits = Limits(idle, LOST_SECONDS, finish=True, blocks=blocks)
    with ready(start.model, start.vae, height, width, played=True) as models:
        see = _sees_with(start, clip_vision)
        played = PlayedWorld(models, start.world, keep_frames=True, cache=cache, folder=temporary_folder(), see=see)

        def on_wait() -> None:
            saves.now_and_then()
            memory.throw_exception_if_processing_interrupted()

        session = Session(played, hub.listen, mode=mode, limits=limits, on_wait=on_wait)
        saves = TakeSaves(session.take, takes.free_file)
        hub.session = session
        try:
            with offered(hub, node_id, page):
                try:
                    _run(session)
                finally:
                    kept = takes.keep_take(session.take, saves, hub.token, node_id, page)
        except BaseException:
            played.close()
            raise
    try:
        actions = session.take.track()
        if actions is None:
            raise WorldError("Live Play ended before anything was played; click into its picture, and play.")
        outputs = Played(*_frames_of(played, images), as_live_world(played.world, start.model, start.vae), actions)
        return outputs, {"text": [_report(played, cache, kept, len(session.take.changes))]}
    finally:
        played.close()


def _run(session: Session) -> None:
    """Cancelling ends the session; once something was played it only ends the node, as the player's Stop does."""
    try:
        session.run()
    except memory.InterruptProcessingException:
        if not session.take.blocks:
            raise


def _sees_with(start: LiveWorld, clip_vision: Any) -> See | None:
    """How the network sees a changed picture [3, H, W]: by the demo world's own tower, or by the one that is connected;
    None without one."""
    if start.model.model.is_demo:  # type: ignore[union-attr]
        return lambda picture: demo_features(picture.unsqueeze(0))
    if clip_vision is None:
        return None
    return lambda picture: image_features(clip_vision, picture.unsqueeze(0), beside=True)


def _report(played: PlayedWorld, cache: BlockCache | None, kept: str, changes: int) -> str:
    parts = [str(played.counts), *(cache.take_notices() if cache is not None else [])]
    if changes:
        parts.append(
            f"The picture was changed {counted(changes, 'time')}: frames and world have that, and Roll Out from these "
            "actions has not"
        )
    return joined([*parts, kept] if kept else parts)


def _frames_of(played: PlayedWorld, images: bool) -> tuple[Tensor | None, Any]:
    """The frames on the way to the end, as a batch where it is wanted, and as a video."""
    path = temporary_folder() / f"play_{uuid.uuid4().hex[:12]}.mp4"
    batch = Images(played.start.block, played.block, played.size) if images else None
    with VideoWriter(path, *played.size) as video:
        for frames in played.frames():
            memory.throw_exception_if_processing_interrupted()
            video.write(frames)
            if batch is not None:
                batch.add(torch.from_numpy(frames))
    return None if batch is None else batch.batch, InputImpl.VideoFromFile(str(path))
