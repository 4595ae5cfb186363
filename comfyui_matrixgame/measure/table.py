"""A measured configuration as lines for people."""

from __future__ import annotations

from typing import Any

from .rollouts import ENOUGH


def table(report: dict[str, Any]) -> str:
    """What `measure` or `measure_pieces` found, with `date`, `machine` and `limits` where given."""
    rows: list[tuple[str, str]] = []
    if "machine" in report:
        about = ", ".join(f"{key} {value}" for key, value in report["machine"].items())
        rows.append(("measured", f"{report['date']}; {about}"))
        rows += limit_rows(report["limits"])
    rows += [
        ("what", f"{report['variant']}, {report['size']}, {report['layers']} layers, decoder {report['decoder']}"),
        ("dtype", f"stored {report['stored']}, computed {report['computed']}, attention {report['attention']}"),
        *([("precision", report["precision"])] if "precision" in report else []),
    ]
    seconds = {
        "first_ever_frames_s": "image to first block, first time",
        "first_frames_s": "image to first block",
        "first_frame_s": "image to first frame",
        "first_start_s": "of this, start of the world",
        "decode_piece_s": f"decode, {report.get('decode_piece')}",
        "block_while_encoding_s": "one of blocks 1 to 9, which encode the condition (median)",
    }
    rows += [(text, f"{1e3 * report[name]:,.1f} ms") for name, text in seconds.items() if report.get(name)]
    spreads = {
        "pass": "one pass",
        "block": "one block",
        "inputs_to_first_frame": "inputs to their first frame",
        "inputs_to_last_frame": "inputs to their last frame",
    }
    rows += [(text, spread_text(report[name])) for name, text in spreads.items() if name in report]
    rates = {"transformer_only_fps": ("transformer only", "pass"), "end_to_end_fps": ("end to end", "block")}
    rows += [
        (text, f"{report[name]:.2f} frames/s{_too_few(report[times])}")
        for name, (text, times) in rates.items()
        if name in report
    ]
    if report.get("last_over_first_quarter"):
        rows.append(("late blocks over early ones", f"{report['last_over_first_quarter']:.3f}"))
    rows += [(name.replace("_", " "), f"{count / 1e9:.2f} GB") for name, count in report["memory"].items()]
    rows += [(f"  {part['part']}", part_text(part)) for part in report["parts"]]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def spread_text(spread: dict[str, float]) -> str:
    """Mean, median and slowest of several times, in milliseconds."""
    mean, median, slowest = (1e3 * spread[name] for name in ("mean", "median", "slowest"))
    return f"{mean:,.1f} ms (mean of {spread['count']}; median {median:,.1f}, slowest {slowest:,.1f})"


def _too_few(spread: dict[str, float]) -> str:
    return "" if spread["count"] >= ENOUGH else f" (of {spread['count']}: too few to quote)"


def part_text(part: dict[str, Any]) -> str:
    """Milliseconds a block, and the share of the machine's limit."""
    share = "" if part["of_limit"] is None else f"  {100 * part['of_limit']:.0f}% of the machine's limit"
    return f"{part['ms']:,.1f} ms a block{share}"


def limit_rows(limits: dict[str, float]) -> list[tuple[str, str]]:
    """The machine's limits."""
    unit = {"copy": "GB/s", "to_host": "GB/s"}
    return [(f"limit: {name}", f"{value:,.1f} {unit.get(name, 'GFLOP/s')}") for name, value in limits.items()]
