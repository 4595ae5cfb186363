"""A film scored, whatever is wrong with it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from ...actions.read import Loaded
from ...actions.track import ActionTrack
from ...errors import ActionError, MatrixGameError
from ..film import NO_INPUTS, FilmScore, score_frames
from ..weighted.predicted import MEASURES, Predicted, accuracies, read_predictions
from ..weighted.weights import Weights
from .found import Film
from .reading import chunks_of, facts_of, frames_at, rows_for

THUMBNAIL = (192, 128)
MOST_THUMBNAILS = 8


@dataclass(frozen=True)
class Scored:
    """A film's score, or why there is none. pictures: frame -> JPEG, of the worst moments."""

    name: str
    key: str
    score: FilmScore | None
    error: str = ""
    pictures: dict[int, bytes] = field(default_factory=dict)

    def about(self) -> dict[str, Any]:
        """As JSON."""
        found = {"name": self.name, "key": self.key, "error": self.error}
        return found | (asdict(self.score) if self.score else {})


def score_film(
    film: Film,
    reference: Path | None = None,
    weights: Weights | None = None,
    predictions: Path | None = None,
    on_frames: Callable[[int, int], object] = lambda done, of: None,
    on_watched: Callable[[int, int], object] = lambda done, of: None,
) -> Scored:
    """Score a film. weights: of measures that need some. predictions: of the inverse dynamics model, a file, instead
    of its weights. on_frames, on_watched: called with how many frames of how many are measured, and seen by inverse
    dynamics. A film that cannot be read, or whose reference cannot, is a score with an error and never an exception of
    this package."""
    notes: list[str] = []
    try:
        with film.place() as place:
            facts = facts_of(place)
            loaded = _inputs(film, facts.frames, notes)
            track = None
            if loaded is not None:
                notes += loaded.notes
                track = rows_for(loaded.track, facts, notes.append)
            if not facts.even:
                notes.append("The film has a variable frame rate; seconds are those of its mean.")
            others: Iterator[Tensor] | None = chunks_of(reference) if reference else None
            weighted = weights.of_film(lambda done: on_watched(done, facts.frames - 1)) if weights else None
            score = score_frames(
                chunks_of(place, lambda text: notes.append(f"{text}.")), track, frames=facts.frames, rate=facts.rate,
                reference=others, weighted=weighted,
                on_frames=lambda done: on_frames(done, facts.frames),
            )  # fmt: skip
            seen = predictions or (weighted.seen() if weighted else None)
            if score.frames and seen is not None:
                put_accuracies(score, seen, track)
            score.notes = [*notes, *score.notes]
            if not score.frames:
                return Scored(film.name, film.key, None, "It has no frames that can be decoded; is the file complete?")
            wanted = [frame for frame, _ in score.worst[:MOST_THUMBNAILS]]
            pictures = {frame: _thumbnail(pixels) for frame, pixels in frames_at(place, wanted)}
    except MatrixGameError as error:
        return Scored(film.name, film.key, None, str(error))
    except OSError as error:
        return Scored(film.name, film.key, None, f"It cannot be read: {error.strerror or error}.")
    return Scored(film.name, film.key, score, "", pictures)


def _inputs(film: Film, frames: int, notes: list[str]) -> Loaded | None:
    """The inputs of a film; a film whose inputs cannot be used is scored without them."""
    try:
        return film.inputs(frames)
    except ActionError as error:
        notes.append(f"Its inputs cannot be used: {error}")
        return None


def put_accuracies(score: FilmScore, seen: Predicted | Path, track: ActionTrack | None) -> None:
    """Put keyboard and mouse accuracy by what inverse dynamics saw, or by a file of it, or why not, into a score.
    track: the film's inputs, if they are known."""
    found: dict[str, tuple[float | None, str]] = dict.fromkeys(MEASURES, (None, NO_INPUTS))
    try:
        predicted = read_predictions(seen) if isinstance(seen, Path) else seen
        if track is not None:
            found = accuracies(predicted, track, score.frames)
    except ActionError as error:
        found = dict.fromkeys(MEASURES, (None, str(error).rstrip(".")))
    for name, (value, why) in found.items():
        score.without.pop(name, None)
        score.put(name, value, why)


def _thumbnail(pixels: Any) -> bytes:
    picture = Image.fromarray(pixels)
    picture.thumbnail(THUMBNAIL)
    data = io.BytesIO()
    picture.save(data, format="JPEG", quality=80)
    return data.getvalue()
