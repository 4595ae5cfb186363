"""Score Video."""

# pyright: reportMissingImports=false

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import comfy.model_management as memory
import comfy.utils
import numpy as np
import torch
from torch import Tensor

from ..actions.track import ActionTrack
from ..errors import ImageError
from ..scores import protocol
from ..scores.film import CHUNK, FilmScore, score_frames
from ..scores.films.reading import Facts, chunks_of, facts_of, rows_for
from ..scores.measures.signs import calibration
from ..scores.results.picture import picture_of
from ..scores.results.shown import text_table
from ..variants import FPS


def score_video(film: Any, actions: ActionTrack | None, reference: Any, node_id: str) -> tuple[str, str, Tensor]:
    """Scores of a VIDEO, or of an IMAGE batch at 25 frames a second, as text and as JSON, and the curves as an IMAGE.

    reference: of either kind, to compare with, or None. Raises ImageError where there are no frames, and VideoError.
    """
    with tempfile.TemporaryDirectory() as folder:
        facts, chunks = _frames_of(film, Path(folder) / "film")
        if not facts.frames:
            raise ImageError("There are no frames to score; connect a video or images.")
        others = None if reference is None else _frames_of(reference, Path(folder) / "reference")[1]
        notes: list[str] = []
        track = None if actions is None else rows_for(actions, facts, notes.append)
        bar = comfy.utils.ProgressBar(facts.frames, node_id)

        def show(done: int) -> None:
            memory.throw_exception_if_processing_interrupted()
            bar.update_absolute(done)

        score = score_frames(chunks, track, frames=facts.frames, rate=facts.rate, reference=others, on_frames=show)
    score.notes = [*notes, *score.notes]
    return _text(score), _json(score), _image(score, track)


def _text(score: FilmScore) -> str:
    return text_table([asdict(score) | {"name": "video", "error": ""}])


def _json(score: FilmScore) -> str:
    return json.dumps(protocol.about() | {"estimator": calibration(), "score": asdict(score)}, indent=1)


def _image(score: FilmScore, track: ActionTrack | None) -> Tensor:
    return torch.from_numpy(np.asarray(picture_of(score, track)).copy()).float()[None] / 255


def _frames_of(film: Any, place: Path) -> tuple[Facts, Iterator[Tensor]]:
    """Facts and chunks of frames. place: where a video that lies in memory is put meanwhile."""
    if isinstance(film, Tensor):
        count = len(film)
        return Facts(count, FPS, np.arange(count) / FPS, True), map(_bytes, film.split(CHUNK))
    source = _source_of(film)
    if source is None:
        components = film.get_components()
        rate, count = float(components.frame_rate), len(components.images)
        return Facts(count, rate, np.arange(count) / rate, True), map(_bytes, components.images.split(CHUNK))
    if isinstance(source, io.BytesIO):
        place.write_bytes(source.getvalue())
        source = str(place)
    return facts_of(Path(source)), chunks_of(Path(source))


def _source_of(film: Any) -> Any:
    """The whole file of a VIDEO; None where it is only a part of one, or made from frames."""
    if type(film).__name__ != "VideoFromFile":
        return None
    length = film.get_duration()
    source = film.get_stream_source()
    whole = facts_of(Path(source)) if isinstance(source, str) else None
    return source if whole is None or abs(whole.frames / whole.rate - length) < 2 / FPS else None


def _bytes(images: Tensor) -> Tensor:
    """IMAGE [N, H, W, C] as frames of 8 bits."""
    if images.shape[-1] not in (1, 3, 4):
        raise ImageError(f"The frames have {images.shape[-1]} channels; connect some with 1 (grey), 3 (RGB) or 4.")
    colours = images[..., :3].expand(*images.shape[:3], 3)
    return colours.cpu().float().mul(255).round().clamp(0, 255).to(torch.uint8)
