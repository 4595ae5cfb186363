"""A report on a dataset as a text for a terminal."""

from __future__ import annotations

from ...system.words import counted
from .check import ClipCheck
from .report import Report

NAME = 32  # characters of a clip's name


def text_of(report: Report, worst: int) -> str:
    """The report; of the clips that have faults, the `worst` first ones."""
    clips = report.clips
    broken = sum(bool(clip.error) for clip in clips)
    frames = sum(clip.frames for clip in clips)
    lines = [f"{report.layout}: {counted(len(clips), 'clip')}, {counted(frames, 'frame', form=',')}"]
    if broken:
        lines[0] += f"; {broken} cannot be read"
    lag = "not to be told" if report.lag is None else counted(report.lag, "frame")
    turn = "not to be told" if report.turn is None else f"{report.turn:.2f} of what the inputs ask for"
    menus = sum(clip.menus for clip in clips)
    lines += [
        f"  lag      {lag}",
        f"  turn     {turn}",
        f"  menus    {counted(menus, 'row')} with an open menu, in which nothing turns",
        f"  cursor   {counted(sum(len(clip.cursor) for clip in clips), 'row')} that turn a picture which stands still",
        f"  dropped  {counted(sum(len(clip.dropped) for clip in clips), 'frame')}",
        f"  doubled  {counted(sum(len(clip.doubled) for clip in clips), 'frame')}",
    ]
    lines += [f"! {fault}" for fault in report.faults]
    bad = [clip for clip in clips if clip.error or clip.faults]
    if bad:
        lines.append("")
        lines += [_line(clip) for clip in bad[:worst]]
        if len(bad) > worst:
            lines.append(f"and {counted(len(bad) - worst, 'more clip')} with faults (--worst shows more)")
    if report.good:
        lines.append("nothing is wrong with it")
    return "\n".join(lines)


def _line(clip: ClipCheck) -> str:
    name = clip.name if len(clip.name) <= NAME else f"...{clip.name[3 - NAME :]}"
    return f"  {name:<{NAME}} {clip.error or '; '.join(clip.faults)}"
