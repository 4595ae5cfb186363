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
from ..scores.films.scoring import put_accuracies
from ..scores.measures.signs import calibration
from ..scores.results.picture import picture_of
from ..scores.results.shown import text_table
from ..scores.weighted import registry
from ..scores.weighted.weights import Weights
from ..variants import FPS
from .choices import NO_FILE
from .models.score_weights import score_weights
from .running.folders import SCORES, model_path, states_of


def score_weights_state(*files: str) -> list[str]:
    """When files of weights were changed last."""
    return [states_of(path) for path in map(_weights_path, files) if path is not None]


def score_video(
    film: Any, actions: ActionTrack | None, reference: Any, weights: tuple[Any, str, str], node_id: str
) -> tuple[str, str, Tensor]:
    """Scores of a VIDEO, or of an IMAGE batch at 25 frames a second, as text and as JSON, and the curves as an IMAGE.

    reference: of either kind, to compare with, or None. weights: a CLIP_VISION or None, and files in models/scores, or
    NO_FILE: LAION's head and inverse dynamics. Raises ImageError where there are no frames, VideoError, and
    CheckpointError for weights that are others.
    """
    clip_vision, head, watching = weights
    found = score_weights(clip_vision, _weights_path(head), _weights_path(watching))
    with tempfile.TemporaryDirectory() as folder:
        facts, chunks = _frames_of(film, Path(folder) / "film")
        if not facts.frames:
            raise ImageError("There are no frames to score; connect a video or images.")
        others = None if reference is None else _frames_of(reference, Path(folder) / "reference")[1]
        notes: list[str] = []
        track = None if actions is None else rows_for(actions, facts, notes.append)
        done = {"measured": 0, "seen": 0}
        seen_too = 0 if found.inverse_dynamics is None else facts.frames - 1  # all but the last
        bar = comfy.utils.ProgressBar(facts.frames + seen_too, node_id)

        def show(what: str, frames: int) -> None:
            memory.throw_exception_if_processing_interrupted()
            done[what] = frames
            bar.update_absolute(sum(done.values()))

        weighted = found.of_film(lambda frames: show("seen", frames))
        score = score_frames(
            chunks, track, frames=facts.frames, rate=facts.rate, reference=others, weighted=weighted,
            on_frames=lambda frames: show("measured", frames),
        )  # fmt: skip
        seen = weighted.seen()
        if seen is not None:
            put_accuracies(score, seen, track)
    score.notes = [*notes, *score.notes]
    return _text(score, found), _json(score, found), _image(score, track)


def _weights_path(name: str) -> Path | None:
    return None if name == NO_FILE else model_path(SCORES, name)


def _text(score: FilmScore, weights: Weights) -> str:
    return text_table([asdict(score) | {"name": "video", "error": ""}], weights.files)


def _json(score: FilmScore, weights: Weights) -> str:
    weighted = registry.about_weights([name for name in registry.NAMES if name in score.values], weights.files)
    about = protocol.about_protocol() | {"estimator": calibration(), "weighted": weighted}
    return json.dumps(about | {"score": asdict(score)}, indent=1)


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
