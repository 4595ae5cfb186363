"""Datasets of played frames, one row of inputs per frame, as the demo world's recorder and bulk rendering write them:
LeRobot's datasets of version 2.1, one mp4 and one Parquet table per episode.

    meta/info.json, episodes.jsonl, episodes_stats.jsonl, tasks.jsonl
    data/chunk-000/episode_000000.parquet
    videos/chunk-000/observation.images.view/episode_000000.mp4

An episode counts as recorded once its table is there: it is written last, and moved into place.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from ...actions.track import ActionTrack
from ...errors import MatrixGameError, VideoError
from ...system.files import write_whole, written_whole
from ...variants import FPS, Variant, default_variant
from ..video_reader import ffmpeg_url, open_video, read_video

VIDEO_KEY = "observation.images.view"
STATE_NAMES = ("x", "y", "yaw", "pitch")
CHUNK = 1000  # episodes in a folder
# crf 14: hardly to be told from the original; without mbtree: with AVX-512 x264's macroblock tree reads past small
# frames, and gives other bytes each time
ENCODER = {"crf": "14", "preset": "veryfast", "mbtree": "0"}
STATISTICS_EVERY = 10  # frames

Statistics = dict[str, dict[str, list]]


@dataclass(frozen=True)
class Episode:
    """What a table says of its episode. first: index of its first frame in the whole recording."""

    number: int
    track: ActionTrack
    state: NDArray[np.float32] | None  # [N, 4] x, y, yaw, pitch where the game knows them
    task: int
    rate: float
    first: int


def action_names(variant: Variant) -> tuple[str, ...]:
    """The columns of an episode's inputs: the variant's keys, then the camera where it has one."""
    return (*variant.keys, "pitch", "yaw") if variant.mouse else variant.keys


def table_path(root: Path, number: int) -> Path:
    """Where an episode's table is."""
    return root / "data" / f"chunk-{number // CHUNK:03d}" / f"episode_{number:06d}.parquet"


def video_path(root: Path, number: int) -> Path:
    """Where an episode's video is."""
    return root / "videos" / f"chunk-{number // CHUNK:03d}" / VIDEO_KEY / f"episode_{number:06d}.mp4"


def rate_and_length(path: Path) -> tuple[float, int]:
    """Frames a second and frames of a video file, without decoding it. Raises VideoError for another file."""
    with open_video(path) as container:
        stream = container.streams.video[0]
        return float(stream.average_rate or FPS), sum(packet.size > 0 for packet in container.demux(stream))


def write_video(path: Path, frames: Iterator[NDArray[np.uint8]], rate: float) -> tuple[int, dict[str, list]]:
    """Write frames [H, W, 3]; returns how many, and the statistics of their colours in 0..1 (odd sides lose a row)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, seen = 0, []
    with written_whole(path) as part, av.open(ffmpeg_url(part), "w", format="mp4") as container:
        stream = None
        for pixels in frames:
            if stream is None:
                speed = Fraction(rate).limit_denominator(1001)
                stream = container.add_stream("libx264", rate=speed, options=ENCODER)
                stream.height, stream.width = pixels.shape[0] // 2 * 2, pixels.shape[1] // 2 * 2
                stream.pix_fmt = "yuv420p"
            cut = np.ascontiguousarray(pixels[: stream.height, : stream.width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(cut, format="rgb24")))
            if count % STATISTICS_EVERY == 0:
                seen.append(cut[::4, ::4].reshape(-1, 3) / 255)
            count += 1
        if stream is None:
            raise VideoError(f"There are no frames to write to {path.name}.")
        container.mux(stream.encode())
    return count, _colours(seen)


def write_table(root: Path, episode: Episode, colours: dict[str, list], path: Path | None = None) -> None:
    """Write an episode's rows, one per frame, with the statistics of all its columns inside. path: instead of the one
    that version 2.1 has."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    track = episode.track
    n = len(track)
    frame = np.arange(n, dtype=np.int64)
    values: dict[str, NDArray] = {
        "action": track.keyboard if track.mouse is None else np.concatenate([track.keyboard, track.mouse], axis=1),
        "timestamp": (frame / episode.rate).astype(np.float32),
        "frame_index": frame,
        "episode_index": np.full(n, episode.number, np.int64),
        "index": episode.first + frame,
        "task_index": np.full(n, episode.task, np.int64),
    }
    if episode.state is not None:
        values["observation.state"] = episode.state
    statistics: Statistics = {VIDEO_KEY: colours}
    for name, column in values.items():
        statistics[name] = statistics_of(column.reshape(n, -1)) | {"count": [n]}
    columns = {
        name: pa.array(v) if v.ndim == 1 else pa.FixedSizeListArray.from_arrays(pa.array(v.reshape(-1)), v.shape[1])
        for name, v in values.items()
    }
    path = path or table_path(root, episode.number)
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns).replace_schema_metadata({"statistics": json.dumps(statistics)})
    with written_whole(path) as part:
        pq.write_table(table, part)


def write_meta(root: Path, episodes: int, tasks: Sequence[str], variant: Variant | None = None) -> None:
    """Write the files under meta/ from the tables of a finished recording. variant: None is the default one."""
    import pyarrow.parquet as pq

    variant = variant or default_variant()
    lines, statistics, total = [], [], 0
    for number in range(episodes):
        table = pq.read_table(table_path(root, number), columns=["task_index"])
        inside = json.loads(pq.read_schema(table_path(root, number)).metadata[b"statistics"])
        task = tasks[table["task_index"][0].as_py()]
        lines.append({"episode_index": number, "tasks": [task], "length": table.num_rows})
        statistics.append({"episode_index": number, "stats": inside})
        total += table.num_rows
    has_state = "observation.state" in pq.read_schema(table_path(root, 0)).names
    info = info_of(episodes, total, len(tasks), video_path(root, 0), has_state, action_names(variant))
    _write(root / "meta" / "info.json", json.dumps(info, indent=2) + "\n")
    rows = [{"task_index": index, "task": task} for index, task in enumerate(tasks)]
    for name, values in (("episodes", lines), ("episodes_stats", statistics), ("tasks", rows)):
        _write(root / "meta" / f"{name}.jsonl", "".join(json.dumps(value) + "\n" for value in values))


def count_episodes(root: Path) -> int:
    """Episodes of a recording; raises MatrixGameError where there is none."""
    path = root / "meta" / "info.json"
    if not path.exists():
        raise MatrixGameError(
            f"There is no recording in {root}; `python -m demo_world.record` and `matrixgame batch export` make them."
        )
    return int(json.loads(path.read_text(encoding="utf-8"))["total_episodes"])


def read_episode(root: Path, number: int, variant: Variant | None = None) -> tuple[NDArray[np.uint8], ActionTrack]:
    """Frames [N, H, W, 3] and inputs [N rows] of a recorded episode. variant: None is the default one."""
    import pyarrow.parquet as pq

    variant = variant or default_variant()
    frames = np.stack(list(read_video(video_path(root, number))))
    table = pq.read_table(table_path(root, number), columns=["action"])
    action = table["action"].combine_chunks().flatten().to_numpy().reshape(-1, len(action_names(variant)))
    keys = len(variant.keys)
    return frames, ActionTrack(variant, action[:, :keys], action[:, keys:] if variant.mouse else None)


def copy_video(path: Path, source: Path) -> tuple[int, dict[str, list]]:
    """Take over a video file as it is; returns its frames and the statistics of their colours, as `write_video`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, seen = 0, []
    for pixels in read_video(source):
        if count % STATISTICS_EVERY == 0:
            seen.append(pixels[::4, ::4].reshape(-1, 3) / 255)
        count += 1
    if not count:
        raise VideoError(f"There are no frames in {source.name}.")
    with written_whole(path) as part:
        shutil.copyfile(source, part)
    return count, _colours(seen)


def _colours(seen: Sequence[NDArray]) -> dict[str, list]:
    """Statistics of colours [n, 3] in 0..1, of as many frames as were seen."""
    colours = {name: [[[v]] for v in values] for name, values in statistics_of(np.concatenate(seen)).items()}
    return colours | {"count": [len(seen)]}


def statistics_of(values: NDArray) -> dict[str, list]:
    """Statistics of the columns of values [N, n]."""
    wide = values.astype(np.float64)
    functions = {"min": np.min, "max": np.max, "mean": np.mean, "std": np.std}
    return {name: function(wide, axis=0).tolist() for name, function in functions.items()}


def info_of(
    episodes: int, frames: int, tasks: int, first: Path, has_state: bool, actions: tuple[str, ...]
) -> dict[str, object]:
    """meta/info.json of version 2.1. first: the film of the first episode."""
    with open_video(first) as container:
        height, width = container.streams.video[0].height, container.streams.video[0].width
    rate: float = rate_and_length(first)[0]
    rate = int(rate) if rate.is_integer() else rate
    number = {"dtype": "int64", "shape": [1], "names": None}
    video = {"video.fps": rate, "video.codec": "h264", "video.pix_fmt": "yuv420p", "has_audio": False}
    features: dict[str, object] = {
        VIDEO_KEY: {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channel"],
            "info": video,
        },
        "action": {"dtype": "float32", "shape": [len(actions)], "names": list(actions)},
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        **{name: number for name in ("frame_index", "episode_index", "index", "task_index")},
    }
    if has_state:
        features["observation.state"] = {"dtype": "float32", "shape": [4], "names": list(STATE_NAMES)}
    return {
        "codebase_version": "v2.1",
        "robot_type": "first_person_player",
        "fps": rate,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "total_videos": episodes,
        "total_chunks": -(-episodes // CHUNK),
        "chunks_size": CHUNK,
        "splits": {"train": f"0:{episodes}"},
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        "features": features,
    }


def _write(path: Path, text: str) -> None:
    write_whole(path, text.encode())
