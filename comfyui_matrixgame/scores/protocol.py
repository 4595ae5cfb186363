"""What the figures mean, and how they differ from the published benchmark: printed with every result."""

from __future__ import annotations

from typing import Any

NAME, VERSION = "matrixgame weight-free scores", 4
MEASURES = {
    "yaw": "share of judged blocks whose picture turned the way the inputs ask for, in %",
    "pitch": "the same, up and down",
    "forward": "the same, on and back",
    "right": "the same, to the sides",
    "lag": "frames by which the picture comes after its inputs; 0 is right",
    "scenario_consistency": "of films whose inputs undo themselves: frame i against n-1-i at 256x256, 1 is the same",
    "standing_still": "mean change of a frame in grey levels while nothing is asked for",
    "flicker": "mean distance of a frame's brightness from its neighbours' mean, in grey levels",
    "motion_smoothness_flow": "every second frame made again from its neighbours by this program's flow; 1 is the same",
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
    "Motion smoothness has the published formula, by this program's flow at 160 pixels across instead of AMT's "
    "network: a measure of its own.",
    "Measures that need weights are computed only where those are named, under a protocol of their own.",
    "None of these figures can be set beside a table of the published benchmark.",
)
PUBLISHED = {
    "label": "published, another protocol",
    "why": "From the model card of Matrix-Game 2.0; its films and part of its protocol are not public. Not to be set "
    "beside the figures of this page.",
    "tables": {
        "GameWorld Score, Minecraft": {
            "Oasis": {
                "imaging_quality": 0.27, "aesthetic_quality": 0.27, "temporal_consistency": 0.82,
                "motion_smoothness": 0.99, "keyboard_accuracy": 0.73, "mouse_accuracy": 0.56,
                "object_consistency": 0.18, "scenario_consistency": 0.84,
            },
            "Matrix-Game 2.0": {
                "imaging_quality": 0.61, "aesthetic_quality": 0.50, "temporal_consistency": 0.94,
                "motion_smoothness": 0.98, "keyboard_accuracy": 0.91, "mouse_accuracy": 0.95,
                "object_consistency": 0.64, "scenario_consistency": 0.80,
            },
        },
    },
}  # fmt: skip


def about_protocol() -> dict[str, Any]:
    """For a report."""
    return {"protocol": NAME, "version": VERSION, "deviations": list(DEVIATIONS), "measures": MEASURES}
