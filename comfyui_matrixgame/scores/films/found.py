"""What there is to score: a film, a folder of films, bulk rendering's output, a dataset; and the inputs of each."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...actions.read import Loaded, read_file
from ...actions.track import ActionTrack
from ...batch.results.export import rows_of_frames
from ...batch.results.ledger import FILE, LedgerRow
from ...batch.results.store import Store, finished_jobs
from ...errors import MatrixGameError, VideoError
from ...media.datasets.lerobot import action_names, count_episodes, table_path, video_path
from ...media.datasets.pairs import VIDEOS, inputs_beside
from ...variants import VARIANTS, default_variant, get_variant
from .. import protocol
from ..benchmark import action_of, inputs_of_action
from .comfyui import inputs_in

ITEMS = ("mp4", "png", "jpeg")  # of a result: without the overlay, which would be seen to move


@dataclass(frozen=True)
class Film:
    """One film to score. name: unique among those that were found. place: a video, or a folder of pictures, while it is
    used. inputs: those of a film of so many frames, None where it has none. key: what it is kept under: the same film
    with the same inputs, scored the same way. video: what a page can play, where there is such a file."""

    name: str
    place: Callable[[], AbstractContextManager[Path]]
    inputs: Callable[[int], Loaded | None]
    key: str
    video: Path | None = None


def find_films(
    source: Path,
    actions: Callable[[], Loaded] | None = None,
    text: str = "",
    variant: str | None = None,
    named: bool = False,
) -> list[Film]:
    """The films of a file or folder; actions: the inputs of all of them, instead of their own. text: what else
    decides a score. variant: of inputs that do not say it. named: every film that ends in one of the benchmark's
    actions has those inputs, not only one whose name begins with a number. Raises MatrixGameError where there is
    none."""

    def film(path: Path, name: str) -> Film:
        beside = None if actions else inputs_beside(path)
        stamps = [_stamp(path), text, _stamp(beside) if beside else "from itself"]
        key = _key(name, *stamps)
        return Film(name, lambda: contextlib.nullcontext(path), partial(_inputs_of, path, beside), key, path)

    def _inputs_of(path: Path, beside: Path | None, frames: int) -> Loaded | None:
        if actions:
            return actions()
        if beside:
            return read_file(beside, variant)
        action = action_of(path.name, numbered=not named)
        stored = inputs_in(path, frames)
        if stored is None and action is not None:
            return inputs_of_action(action, get_variant(variant or default_variant().name), frames)
        return stored

    if source.is_file():
        return [film(source, source.name)]
    if not source.is_dir():
        raise VideoError(f"There is no film or folder {source}; check the path.")
    if (source / FILE).exists():
        found = _of_ledger(source, text)
    elif (source / "meta" / "info.json").exists():
        found = _of_dataset(source, text)
    else:
        paths = sorted(
            path for path in source.rglob("*") if path.suffix.lower() in VIDEOS and not _hidden(path, source)
        )
        found = [film(path, path.relative_to(source).as_posix()) for path in paths]
    if not found:
        raise VideoError(f"There are no films in {source}; name a film, or a folder with {', '.join(VIDEOS)} files.")
    return found


def _of_ledger(folder: Path, text: str) -> list[Film]:
    store, rows = finished_jobs(folder)
    found = []
    for row in rows:
        assert row.result is not None
        item = next((item for item in ITEMS if item in row.result.items), None)
        if item is not None:
            video = folder / row.result.place / row.result.items[item].file if item == "mp4" else None
            film = Film(
                row.name,
                partial(_here, store, row, item),
                partial(_of_result, row),
                _key(row.key, row.key, *_also(text)),
                video,
            )
            found.append(film)
    return found


@contextlib.contextmanager
def _here(store: Store, row: LedgerRow, item: str) -> Iterator[Path]:
    assert row.result is not None
    with store.here(row.result, item) as path:
        yield path


def _of_result(row: LedgerRow, _: int) -> Loaded:
    assert row.result is not None
    return Loaded(rows_of_frames(row.result), "ledger")


def _of_dataset(root: Path, text: str) -> list[Film]:
    found = []
    for number in range(count_episodes(root)):
        path = video_path(root, number)
        key = _key(path.name, _stamp(path), _stamp(table_path(root, number)), *_also(text))
        read = partial(_of_episode, root, number)
        found.append(Film(path.stem, partial(contextlib.nullcontext, path), read, key, path))
    return found


def _of_episode(root: Path, number: int, _: int) -> Loaded:
    """The inputs of an episode; which variant's they are follows from the names of its columns."""
    import pyarrow.parquet as pq

    try:
        info = json.loads((root / "meta" / "info.json").read_text(encoding="utf-8"))
        names = tuple(info["features"]["action"]["names"] or ())
        variant = next((each for each in map(get_variant, VARIANTS) if action_names(each) == names), None)
        if variant is None:
            raise VideoError(
                f"The columns of {root.name}'s actions ({', '.join(names)}) are those of no known variant."
            )
        table = pq.read_table(table_path(root, number), columns=["action"])
        action = table["action"].combine_chunks().flatten().to_numpy().reshape(-1, len(names))
        keys = len(variant.keys)
        return Loaded(ActionTrack(variant, action[:, :keys], action[:, keys:] if variant.mouse else None), "dataset")
    except MatrixGameError:
        raise
    except Exception as error:  # of Parquet and JSON, whatever is wrong with them
        raise VideoError(f"The inputs of episode {number} cannot be read ({error}).") from None


def _also(text: str) -> tuple[str, ...]:
    """What else a key is made of; nothing where there is nothing, so that what was kept is found."""
    return (text,) if text else ()


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _stamp(path: Path) -> str:
    """What changes when a file does."""
    with contextlib.suppress(OSError):
        about = path.stat()
        return f"{about.st_size}-{about.st_mtime_ns}"
    return "missing"


def _key(*parts: str) -> str:
    return hashlib.sha256(
        "\0".join((protocol.NAME, str(protocol.VERSION), *parts)).encode(errors="surrogatepass")
    ).hexdigest()[:32]
