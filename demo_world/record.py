"""`python -m demo_world.record`: clips of the game, or of a user's own play, as a dataset to train on.

The dataset is laid out as LeRobot lays out version 2.1: one mp4 and one Parquet table per episode, one row of
inputs per frame. Row t holds what is pressed while frame t is on screen; it first acts on frame t + 1.

    meta/info.json, episodes.jsonl, tasks.jsonl
    data/chunk-000/episode_000000.parquet
    videos/chunk-000/observation.images.view/episode_000000.mp4

An episode counts as recorded once its Parquet file is there; it is written last and moved into place, so a
recording that was stopped goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import av.error
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.errors import MatrixGameError, VideoError
from comfyui_matrixgame.variants import FPS, UNIVERSAL

from .inputs import SCRIPTS, random_track, script_track

VIDEO_KEY = "observation.images.view"
ACTION_NAMES = (*UNIVERSAL.keys, "pitch", "yaw")
STATE_NAMES = ("x", "y", "yaw", "pitch")
TASKS = ("random", *sorted(SCRIPTS))  # what an episode's player does
CHUNK = 1000  # episodes in a folder
QUALITY = "14"  # x264's crf: hardly to be told from the original


@dataclass(frozen=True)
class Plan:
    """What to record from the game. frames: length of an episode; scripted: share that follows a script."""

    episodes: int
    frames: int = 250
    height: int = 176
    width: int = 320
    seed: int = 0
    scripted: float = 0.25


def episode_track(plan: Plan, number: int) -> tuple[ActionTrack, str]:
    """The inputs of an episode, one row per frame, and a word for what the player does."""
    rng = np.random.default_rng([plan.seed, number, 0xE9])
    if rng.random() < plan.scripted:
        name = sorted(SCRIPTS)[int(rng.integers(len(SCRIPTS)))]
        return script_track(name, plan.frames), name
    return random_track(rng, plan.frames), TASKS[0]


def record(root: Path, plan: Plan, workers: int = 1) -> int:
    """Record what is still missing of the plan under `root`; returns how many episodes were made now.

    Raises MatrixGameError where `root` holds a recording made with another plan.
    """
    _check_plan(root, {"source": "game", **asdict(plan)})
    missing = [n for n in range(plan.episodes) if not table_path(root, n).exists()]
    _in_parallel(partial(_record_episode, root, plan), missing, plan.episodes, workers)
    _write_meta(root, plan.episodes, TASKS)
    return len(missing)


def record_folder(root: Path, source: Path, workers: int = 1) -> int:
    """Make episodes of every NAME.mp4 beside NAME.jsonl in `source`; returns how many were made now.

    The lines are in the style of VPT: one JSON object per frame with `keyboard.keys` (names such as
    "key.keyboard.w") and `mouse.dx`, `mouse.dy` in pixels, or the plain keys w, s, a, d, pitch and yaw.
    Raises MatrixGameError where there is nothing, or where a file cannot be used.
    """
    pairs = [(v, v.with_suffix(".jsonl")) for v in sorted(source.glob("*.mp4"))]
    if not pairs:
        raise MatrixGameError(f"There is no .mp4 in {source}; put NAME.mp4 and NAME.jsonl side by side.")
    for _, lines in pairs:
        if not lines.exists():
            raise MatrixGameError(f"{lines.name} is missing: every video needs its inputs, one JSON object per frame.")
    _check_plan(root, {"source": "folder", "files": [v.name for v, _ in pairs]})
    missing = [n for n in range(len(pairs)) if not table_path(root, n).exists()]
    _in_parallel(partial(_import_episode, root, pairs), missing, len(pairs), workers)
    _write_meta(root, len(pairs), [video.stem for video, _ in pairs])
    return len(missing)


def read_lines(path: Path) -> ActionTrack:
    """The inputs of a JSON-lines file, one row per line. Raises MatrixGameError that names file and line."""
    rows: list[dict[str, float]] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                rows.append(_row(json.loads(line)))
            except (ValueError, TypeError, AttributeError, KeyError) as error:
                raise MatrixGameError(f"{path.name}, line {number} cannot be read as inputs: {error}.") from error
    if not rows:
        raise MatrixGameError(f"{path.name} has no lines; it needs one JSON object per frame.")
    return ActionTrack.from_rows(UNIVERSAL, rows)


MOUSE_DEGREES = 0.15  # a VPT mouse pixel turns the camera by this much
CAMERA_DEGREES = 15.0  # one unit of pitch or yaw


def _row(line: dict) -> dict[str, float]:
    if "keyboard" in line or "mouse" in line:
        held = {str(k).lower().rsplit(".", 1)[-1] for k in line.get("keyboard", {}).get("keys", [])}
        mouse = line.get("mouse", {})
        scale = MOUSE_DEGREES / CAMERA_DEGREES
        camera = {"pitch": -scale * float(mouse.get("dy", 0.0)), "yaw": scale * float(mouse.get("dx", 0.0))}
        row = {key: 1.0 for key in UNIVERSAL.keys if key in held}
    else:
        row = {key: 1.0 for key in UNIVERSAL.keys if line.get(key)}
        camera = {name: float(line.get(name, 0.0)) for name in ("pitch", "yaw")}
    return row | {name: float(np.clip(value, -1.0, 1.0)) for name, value in camera.items()}


def table_path(root: Path, number: int) -> Path:
    """Where an episode's table is."""
    return root / "data" / f"chunk-{number // CHUNK:03d}" / f"episode_{number:06d}.parquet"


def video_path(root: Path, number: int) -> Path:
    """Where an episode's video is."""
    return root / "videos" / f"chunk-{number // CHUNK:03d}" / VIDEO_KEY / f"episode_{number:06d}.mp4"


def _record_episode(root: Path, plan: Plan, number: int) -> None:
    import torch

    from .game import play

    torch.set_num_threads(1)  # the workers share the cores
    track, task = episode_track(plan, number)
    frames, poses = play(plan.seed * 100_003 + number, track, plan.frames, plan.height, plan.width)
    state = np.array([[p.x, p.y, p.yaw, p.pitch] for p in poses], np.float32)
    _write_video(video_path(root, number), iter(frames.numpy()), FPS)
    _write_table(root, number, track, state, TASKS.index(task), FPS)


def _import_episode(root: Path, pairs: list[tuple[Path, Path]], number: int) -> None:
    video, lines = pairs[number]
    track = read_lines(lines)
    rate = _rate(video)
    count = _write_video(video_path(root, number), _read_video(video), rate)
    if abs(count - len(track)) > 1:  # a row for the last frame may be there or not
        raise MatrixGameError(
            f"{video.name} has {count} frames but {lines.name} has {len(track)} lines; make them equal."
        )
    track = track.padded(count).slice(0, count)
    _write_table(root, number, track, None, number, rate)


def _read_video(path: Path) -> Iterator[NDArray[np.uint8]]:
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24")
    except av.error.FFmpegError as error:
        raise VideoError(f"{path.name} cannot be read as a video: {error}.") from error


def _rate(path: Path) -> float:
    """Frames a second of a video file."""
    try:
        with av.open(str(path)) as container:
            return float(container.streams.video[0].average_rate or FPS)
    except (av.error.FFmpegError, IndexError) as error:
        raise VideoError(f"{path.name} cannot be read as a video: {error}.") from error


def _write_video(path: Path, frames: Iterator[NDArray[np.uint8]], rate: float) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_suffix(".partial.mp4")
    count = 0
    with av.open(str(partial_path), "w") as container:
        stream = None
        for pixels in frames:
            if stream is None:
                stream = container.add_stream(
                    "libx264",
                    rate=Fraction(rate).limit_denominator(1001),
                    options={"crf": QUALITY, "preset": "veryfast"},
                )
                stream.height, stream.width = pixels.shape[0] // 2 * 2, pixels.shape[1] // 2 * 2
                stream.pix_fmt = "yuv420p"
            cut = np.ascontiguousarray(pixels[: stream.height, : stream.width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(cut, format="rgb24")))
            count += 1
        if stream is not None:
            container.mux(stream.encode())
    os.replace(partial_path, path)
    return count


def _write_table(
    root: Path, number: int, track: ActionTrack, state: NDArray[np.float32] | None, task: int, rate: float
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert track.mouse is not None
    n = len(track)
    columns = {
        "action": _vectors(np.concatenate([track.keyboard, track.mouse], axis=1)),
        "timestamp": pa.array(np.arange(n, dtype=np.float32) / np.float32(rate)),
        "frame_index": pa.array(np.arange(n, dtype=np.int64)),
        "episode_index": pa.array(np.full(n, number, np.int64)),
        "task_index": pa.array(np.full(n, task, np.int64)),
    }
    if state is not None:
        columns["observation.state"] = _vectors(state)
    path = table_path(root, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_suffix(".partial")
    pq.write_table(pa.table(columns), partial_path)
    os.replace(partial_path, path)


def _vectors(values: NDArray[np.float32]):
    import pyarrow as pa

    flat = pa.array(values.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _in_parallel(work, numbers: list[int], total: int, workers: int) -> None:
    with tqdm(total=total, initial=total - len(numbers), desc="episodes", dynamic_ncols=True) as bar:
        if workers <= 1:
            for number in numbers:
                work(number)
                bar.update()
            return
        with ProcessPoolExecutor(workers) as pool:
            try:
                for done in as_completed([pool.submit(work, number) for number in numbers]):
                    done.result()
                    bar.update()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _check_plan(root: Path, plan: dict[str, object]) -> None:
    """A folder is of one plan; only the number of episodes may grow."""
    path = root / "meta" / "plan.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        before = json.loads(path.read_text())
        changed = [k for k in plan if k not in ("episodes", "files") and before.get(k) != plan[k]]
        if changed:
            raise MatrixGameError(
                f"{root} was recorded with another {changed[0]} ({before.get(changed[0])}, not {plan[changed[0]]}); "
                "choose another folder, or the same settings."
            )
    path.write_text(json.dumps(plan, indent=2) + "\n")


def _write_meta(root: Path, episodes: int, tasks: Sequence[str]) -> None:
    import pyarrow.parquet as pq

    lines, total = [], 0
    for number in range(episodes):
        table = pq.read_table(table_path(root, number), columns=["task_index"])
        task = tasks[table["task_index"][0].as_py()]
        lines.append({"episode_index": number, "tasks": [task], "length": table.num_rows})
        total += table.num_rows
    has_state = "observation.state" in pq.read_schema(table_path(root, 0)).names
    info = _info(episodes, total, len(tasks), video_path(root, 0), has_state)
    _write(root / "meta" / "info.json", json.dumps(info, indent=2) + "\n")
    _write(root / "meta" / "episodes.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    rows = ({"task_index": index, "task": task} for index, task in enumerate(tasks))
    _write(root / "meta" / "tasks.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def _info(episodes: int, frames: int, tasks: int, first: Path, has_state: bool) -> dict[str, object]:
    with av.open(str(first)) as container:
        height, width = container.streams.video[0].height, container.streams.video[0].width
    rate = _rate(first)
    number = {"dtype": "int64", "shape": [1], "names": None}
    video = {"video.fps": rate, "video.codec": "h264", "video.pix_fmt": "yuv420p", "has_audio": False}
    features: dict[str, object] = {
        VIDEO_KEY: {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channel"],
            "info": video,
        },
        "action": {"dtype": "float32", "shape": [len(ACTION_NAMES)], "names": list(ACTION_NAMES)},
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        **{name: number for name in ("frame_index", "episode_index", "task_index")},
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
    partial_path = path.with_name(path.name + ".partial")
    partial_path.write_text(text, encoding="utf-8")
    os.replace(partial_path, path)


def count_episodes(root: Path) -> int:
    """Episodes of a recording; raises MatrixGameError where there is none."""
    path = root / "meta" / "info.json"
    if not path.exists():
        raise MatrixGameError(f"There is no recording in {root}; make one with python -m demo_world.record.")
    return int(json.loads(path.read_text())["total_episodes"])


def read_episode(root: Path, number: int) -> tuple[NDArray[np.uint8], ActionTrack]:
    """Frames [N, H, W, 3] and inputs [N rows] of a recorded episode."""
    import pyarrow.parquet as pq

    frames = np.stack(list(_read_video(video_path(root, number))))
    table = pq.read_table(table_path(root, number), columns=["action"])
    action = table["action"].combine_chunks().flatten().to_numpy().reshape(-1, len(ACTION_NAMES))
    return frames, ActionTrack(UNIVERSAL, action[:, :4], action[:, 4:])


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m demo_world.record", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path, help="folder of the dataset; what is there already is kept")
    parser.add_argument("--from", dest="source", type=Path, help="record NAME.mp4 + NAME.jsonl of this folder instead")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--frames", type=int, default=250, help="frames of an episode, 25 a second")
    parser.add_argument("--size", default="320x176", help="WIDTHxHEIGHT of the game's frames")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scripted", type=float, default=0.25, help="share of episodes that follow a script")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    if options.source is not None:
        made = record_folder(options.out, options.source, options.workers)
    else:
        width, height = (int(v) for v in options.size.lower().split("x"))
        plan = Plan(options.episodes, options.frames, height, width, options.seed, options.scripted)
        made = record(options.out, plan, options.workers)
    print(f"{made} episodes recorded into {options.out}")


if __name__ == "__main__":
    main()
