"""What the figures mean, and how they differ from the published benchmark: printed with every result."""

from __future__ import annotations

from typing import Any

NAME, VERSION = "matrixgame weight-free scores", 1
MEASURES = {
    "yaw": "share of judged blocks whose picture turned the way the inputs ask for, in %",
    "pitch": "the same, up and down",
    "forward": "the same, on and back",
    "right": "the same, to the sides",
    "lag": "frames by which the picture comes after its inputs; 0 is right",
    "scenario_consistency": "of films whose inputs undo themselves: frame i against n-1-i at 256x256, 1 is the same",
    "standing_still": "mean change of a frame in grey levels while nothing is asked for",
    "flicker": "mean distance of a frame's brightness from its neighbours' mean, in grey levels",
    "black_percent": "frames that are black, in %",
    "white_percent": "frames that are white, in %",
    "frozen_percent": "frames that are the one before them, in %",
    "brightness_drift": "last second against the first, in %",
    "saturation_drift": "last second against the first, in %",
    "sharpness_drift": "last second against the first, in %",
    "psnr": "against the reference film, in dB",
    "ssim": "against the reference film, FFmpeg's (windows of 8x8)",
}
DEVIATIONS = (
    "Signs come from image motion, not from the inverse dynamics model of Video PreTraining that the benchmark uses "
    "for keyboard and mouse accuracy: other numbers, and blocks that cannot be judged are left out and counted.",
    "Scenario consistency has the published formula; the published action sequences of it are not public, so those of "
    "the films are used.",
    "Imaging and aesthetic quality, temporal and object consistency and motion smoothness need weights and are not "
    "computed here.",
    "None of these figures can be set beside a table of the published benchmark.",
)
BY_WEIGHTS = ("imaging_quality", "aesthetic_quality", "temporal_consistency", "motion_smoothness", "object_consistency")


def about() -> dict[str, Any]:
    """For a report."""
    return {"protocol": NAME, "version": VERSION, "deviations": list(DEVIATIONS), "measures": MEASURES}
