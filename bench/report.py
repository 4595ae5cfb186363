"""A report as a page and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from comfyui_matrixgame.measure.table import limit_rows

SPREADS = {
    "a later block, ms": "block",
    "inputs to their first frame, ms": "inputs_to_first_frame",
    "to their last, ms": "inputs_to_last_frame",
}
RUN_COLUMNS = {
    "transformer only, frames/s": ("transformer_only_fps", 1, "{:.1f}"),
    "end to end, frames/s": ("end_to_end_fps", 1, "{:.1f}"),
    "image to first frame, ms": ("first_frame_s", 1e3, "{:.0f}"),
    "image to first block, ms": ("first_frames_s", 1e3, "{:.0f}"),
    "the same, first time": ("first_ever_frames_s", 1e3, "{:.0f}"),
    "one of blocks 1 to 9, ms": ("block_while_encoding_s", 1e3, "{:.0f}"),
    "late blocks over early": ("last_over_first_quarter", 1, "{:.3f}"),
}


def markdown(report: dict[str, Any], picture: str | None) -> str:
    """The page. picture: name of the .png beside it, where there is one."""
    about = "; ".join(f"{name} {value}" for name, value in report["machine"].items())
    lines = [f"# Measured {report['date']}", "", about, "", "Weights are random."]
    if report["machine"]["clock"] == "processor":
        lines.append("Times are the processor's, on one thread; latencies are the wall's, and of a busy machine.")
    if "corrected" in report:
        lines += ["", report["corrected"]]
    if report["limits"]:
        lines += ["", "| limit of this machine | |", "|---|---|"]
    lines += [f"| {name.removeprefix('limit: ')} | {value} |" for name, value in limit_rows(report["limits"])]
    if report["beside"]:
        lines += ["", *beside_lines(report["beside"])]
    lines += ["", *run_lines(report["runs"])]
    lines += ["", *batch_lines(report["batches"] or {})]
    for run in [*report["pieces"], *report["runs"]]:
        if "parts" in run:
            lines += ["", *part_lines(run)]
    if picture:
        lines += ["", f"![Parts and cost over length]({Path(picture).with_suffix('.png').name})"]
    return "\n".join(lines) + "\n"


def beside_lines(beside: dict[str, Any]) -> list[str]:
    """The published code, FastVideo's classes and ours, side by side."""
    if "works" not in beside:
        return [f"Beside the published code: {beside['failed']}"]
    works = beside["works"]
    others = [name for name in ("published", "FastVideo") if name in beside["programs"]]
    title = " and ".join(
        {"published": "the published code", "FastVideo": "FastVideo's classes"}[name] for name in others
    )
    heads = "".join(f" {work} |" + " times as fast |" * len(others) for work in works)
    lines = [
        f"## Beside {title}: {beside['variant']}, {beside['layers']} layers, {beside['rounds']} turns each",
        "",
        "A pass at 640x352 with a full window; decode is one latent frame of 320x176 (4 frames) with the Wan VAE; "
        "times are the least. Times as fast: the median of the turns (their range); by the least times, which a busy "
        "machine changes less." + (" First as the published code, then as FastVideo." if len(others) > 1 else ""),
        "",
        f"| program |{heads}",
        "|---" * (1 + (1 + len(others)) * len(works)) + "|",
    ]
    for name, about in beside["programs"].items():
        if "failed" in about:
            lines.append(f"| {name}: {about['failed']} |" + " |" * (1 + len(others)) * len(works))
            continue
        cells = [f"{name} ({', '.join(f'{key} {value}' for key, value in about.items())})"]
        for table in works.values():
            row = table.get(name, {})
            failed = next((answer["failed"] for answer in row.get("answers", []) if "failed" in answer), "")
            cells.append(f"{row['s']:.3f} s" if row.get("s") else failed)
            if alone := row.get("blocks_a_second_of_passes_alone"):
                cells[-1] += f" ({alone:.2f} blocks a second of passes alone)"
            for other in others:
                ratios = row if other == "published" else row.get("beside_fastvideo", {})
                cells.append(_times_as_fast(ratios, table[other]["s"] / row["s"]) if "ratios" in ratios else "")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _times_as_fast(found: dict[str, Any], of_least: float) -> str:
    ratios = found["ratios"]
    return f"{found['times_as_fast']:.2f} ({min(ratios):.2f} to {max(ratios):.2f}); {of_least:.2f}"


def run_lines(runs: list[dict[str, Any]]) -> list[str]:
    """Whole rollouts, one a row."""
    if not runs:
        return []
    lines = [
        "## Whole rollouts",
        "",
        "Speeds are of the mean; beside a mean stand the median and the slowest, and of how many. Blocks 1 to 9 also "
        "encode three latent frames of the condition each.",
        "",
        "| what | " + " | ".join([*RUN_COLUMNS, *SPREADS]) + " | memory |",
    ]
    lines.append("|---" * (2 + len(RUN_COLUMNS) + len(SPREADS)) + "|")
    for run in runs:
        if "failed" in run:
            lines.append(f"| {run['name']} | {run['failed']} |" + " |" * (len(RUN_COLUMNS) + len(SPREADS)))
            continue
        cells = [
            "" if run.get(key) is None else text.format(factor * run[key]) for key, factor, text in RUN_COLUMNS.values()
        ]
        cells += [_spread(run.get(key)) for key in SPREADS.values()]
        used = ", ".join(f"{name.removeprefix('peak_')} {count / 1e9:.2f} GB" for name, count in run["memory"].items())
        what = f"{run['name']} (computed {run['computed']}, {run['size']}, {run['layers']} layers)"
        lines.append(f"| {what} | " + " | ".join(cells) + f" | {used} |")
    return lines


def _spread(spread: dict[str, float] | None) -> str:
    if spread is None:
        return ""
    mean, median, slowest = (1e3 * spread[name] for name in ("mean", "median", "slowest"))
    return f"{mean:.0f} ({median:.0f}, {slowest:.0f}; {spread['count']})"


def batch_lines(batches: dict[str, Any]) -> list[str]:
    """Several worlds at once."""
    if not batches:
        return []
    if "failed" in batches:
        return [f"Batches of worlds: {batches['failed']}"]
    what = ", ".join(str(batches[name]) for name in ("variant", "size", "stored", "decoder"))
    lines = [
        f"## Worlds at once: {what}",
        "",
        "| worlds | frames/s | one block, ms | caches and decoder state, a world | peak memory |",
        "|---" * 5 + "|",
    ]
    for row in batches["rows"]:
        if "failed" in row:
            lines.append(f"| {row['worlds']} | {row['failed']} | | | |")
            continue
        used = ", ".join(f"{key[5:]} {row[key] / 1e9:.2f} GB" for key in row if key.startswith("peak_"))
        state = f"{row['state_bytes_per_world'] / 1e9:.3f} GB"
        block = _spread(row["block"])
        lines.append(f"| {row['worlds']} | {row['frames_per_s']:.1f} | {block} | {state} | {used} |")
    return lines


def part_lines(run: dict[str, Any]) -> list[str]:
    """Where a block's time goes."""
    lines = [f"### Parts: {run['name']}, {run['layers']} layers, {run['size']}", ""]
    if "decode_piece_s" in run:
        share = run["decode_of_limit"]
        lines += [
            f"One pass {run['pass']['mean']:.3f} s. Decoding {run['decode_piece']}: {run['decode_piece_s']:.3f} s"
            + (f", {100 * share:.0f}% of the limit." if share else "."),
            "",
        ]
    lines += ["| part | ms a block | GFLOP | of the machine's limit |", "|---|---|---|---|"]
    for part in run["parts"]:
        share = "" if part["of_limit"] is None else f"{100 * part['of_limit']:.0f}%"
        operations = f"{part['gflop']:,.1f}" if part["gflop"] else ""
        lines.append(f"| {part['part']} | {part['ms']:,.2f} | {operations} | {share} |")
    return lines


def plot(report: dict[str, Any], path: Path) -> bool:
    """Draw milliseconds by part, and cost over length; False without anything to draw, or without matplotlib."""
    runs = [run for run in report["runs"] if "parts" in run]
    pieces = [run for run in report["pieces"] if "parts" in run]
    if not (runs or pieces):
        return False
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    groups = [group for group in (runs, pieces) if group]
    rows = sum(len(group) for group in groups)
    figure, axes = pyplot.subplots(
        len(groups) + bool(runs), 1, figsize=(11, 3 + 0.45 * rows + 4 * bool(runs)), layout="constrained",
        height_ratios=[*(1 + 0.45 * len(group) for group in groups), *([4] if runs else [])], squeeze=False,
    )  # fmt: skip
    for axis, group in zip(axes[:, 0], groups, strict=False):
        _draw_parts(axis, group)
    if runs:
        _draw_length(axes[-1, 0], runs)
    figure.suptitle(f"{report['machine'].get('device', report['machine']['processor'])}, {report['date']}")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return True


def _draw_parts(axis: Any, runs: list[dict[str, Any]]) -> None:
    from matplotlib import colormaps

    names = list(dict.fromkeys(part["part"] for run in runs for part in run["parts"]))
    colours = colormaps["tab20"].colors  # type: ignore[attr-defined]
    for row, run in enumerate(runs):
        left = 0.0
        for part in run["parts"]:
            colour = colours[names.index(part["part"]) % len(colours)]
            axis.barh(row, part["ms"], left=left, color=colour, label=part["part"] if row == 0 else None)
            left += part["ms"]
        axis.text(left, row, f" {left:,.0f} ms", va="center", fontsize=8)
    axis.set_yticks(range(len(runs)), [f"{run['name']} ({run['layers']} layers)" for run in runs], fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.set_xlabel("ms a block, parts run one after the other")
    axis.legend(fontsize=7, ncol=6, loc="lower center", bbox_to_anchor=(0.4, 1.0), frameon=False)


def _draw_length(axis: Any, runs: list[dict[str, Any]]) -> None:
    for run in runs:
        axis.plot([1e3 * block["s"] for block in run["blocks"]], label=run["name"], marker=".", linewidth=1)
    axis.set_ylim(bottom=0)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_xlabel("block of the rollout")
    axis.set_ylabel("ms a block")
    axis.legend(fontsize=7)
    axis.grid(alpha=0.3)


def day_markdown(report: dict[str, Any]) -> str:
    """The page of device_day.py."""
    about = "; ".join(f"{name} {value}" for name, value in report["machine"].items())
    lines = [f"# A day with a device, {report['date']}", "", about, ""]
    if report["dry_run"]:
        lines += ["**A dry run with small networks: its figures mean nothing.**", ""]
    lines += ["Weights are random unless stated otherwise.", "", "| step | | took |", "|---|---|---|"]
    for name, step in report["steps"].items():
        state = step["state"] + (f": {step['why']}" if "why" in step else "")
        lines.append(f"| {name}: {step['what']} | {state} | {step.get('took_s', '')} s |")
    found = {name: step["found"] for name, step in report["steps"].items()}
    runs = [{"name": name, **step["run"]} for name, step in found.items() if "run" in step]
    attention = found.get("attention", {})
    runs += [{"name": f"attention {name}", **step["run"]} for name, step in attention.items() if "run" in step]
    lines += ["", *run_lines(runs)]
    for run in runs:
        lines += ["", *part_lines(run)]
    if "beside" in found.get("beside", {}):
        lines += ["", *beside_lines(found["beside"]["beside"])]
    if "rows" in found.get("batches", {}):
        batch = found["batches"]
        what = {"variant": "universal", "size": "640x352", "stored": batch["dtype"], "decoder": batch["decoder"]}
        lines += ["", *batch_lines({**what, "rows": batch["rows"]})]
    shown = {"beside", "batches", "attention"}
    for name, step in found.items():
        if step and name not in shown and "run" not in step:
            lines += ["", f"## {report['steps'][name]['what']}", "", *_found_lines(step)]
    return "\n".join(lines) + "\n"


def _found_lines(found: dict[str, Any], level: int = 0) -> list[str]:
    lines = []
    for name, value in found.items():
        head = f"{'  ' * level}- {name}:"
        if isinstance(value, dict):
            lines += [head, *_found_lines(value, level + 1)]
        elif isinstance(value, list):
            lines += [head, *(f"{'  ' * level}  - {entry}" for entry in value)]
        else:
            lines.append(f"{head} {value:.4g}" if isinstance(value, float) else f"{head} {value}")
    return lines
