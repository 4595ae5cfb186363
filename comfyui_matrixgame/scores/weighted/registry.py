"""Measures that need weights: what each needs and under which licence, how it differs from the published benchmark, and
why it is not computed where it is not. Printed with every result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

NAME, VERSION = "matrixgame weighted scores", 1
HALF = "Computed in float32; the benchmark's own CLIP runs in half precision on a GPU."
FETCH = "`matrixgame score --clip`; `matrixgame download scores` fetches it"
PREDICTED = (
    "it needs 4x_idm.weights of Video PreTraining (MIT), which `matrixgame score --inverse-dynamics` or "
    "inverse_dynamics of Score Video names; or `--predictions`, what OpenAI's own program made of the films"
)
CHUNKS = (
    "Seen by this program's network in float32, in chunks of 128 frames that know nothing of each other, of which the "
    "last reaches back, or read from files of --predictions; the benchmark shows the model a whole film, of at most 64 "
    "frames, at once."
)
LEARNED = "The model learned Minecraft at 20 frames a second; other games and rates are read as if they were that."


@dataclass(frozen=True)
class Weighted:
    """A measure. means: what its number is. weights: what it needs, with the licence. published: whether the benchmark
    has a measure of this name. differs: sentences on how ours is another. missing: why there is no number where no
    weights are named. instead: measures that stand in its place where it is never computed."""

    name: str
    means: str
    weights: str
    missing: str
    published: bool = True
    differs: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()


ALL = (
    Weighted(
        "temporal_consistency",
        "mean likeness of a frame to the one before it and to the first, by CLIP ViT-B/32; 1 is the same",
        "CLIP ViT-B/32, MIT",
        f"it needs CLIP ViT-B/32 (MIT): {FETCH}",
        differs=(HALF, "Mean of the films' means; the benchmark takes the mean of all frames of all films."),
    ),
    Weighted(
        "temporal_consistency_tower",
        "the same formula by another image tower than the benchmark's; a measure of this program",
        "the model's own image tower (clip_vision_h, MIT) or another CLIP",
        "it needs an image tower, such as the clip_vision_h that the model uses: `matrixgame score --tower`, or "
        "clip_vision of Score Video",
        published=False,
        differs=("Another tower gives other numbers; of clip_vision_h the class token before the last block is used.",),
    ),
    Weighted(
        "aesthetic_quality",
        "mean of LAION's aesthetic predictor over CLIP ViT-L/14, divided by 10",
        "CLIP ViT-L/14, MIT; LAION's linear head sa_0_4_vit_l_14, MIT",
        f"it needs CLIP ViT-L/14 (MIT) and LAION's linear head (MIT): {FETCH}, and `--aesthetic` names the head; or "
        "clip_vision and aesthetic_head of Score Video",
        differs=(HALF,),
    ),
    Weighted(
        "clip_iqa",
        "share that CLIP gives to 'Good photo.' against 'Bad photo.'; a measure of this program",
        "a CLIP with its tokenizer, MIT",
        f"it needs a CLIP with its tokenizer (MIT): {FETCH}",
        published=False,
        differs=("As torchmetrics' CLIP-IQA with a transformers CLIP, but resized as the benchmark does.",),
    ),
    Weighted(
        "imaging_quality",
        "MUSIQ of each frame",
        "MUSIQ-SPAQ as pyiqa has it, PolyForm Noncommercial",
        "its MUSIQ comes with pyiqa, under PolyForm Noncommercial: not free for all, so not used",
        instead=("clip_iqa", "sharpness_drift"),
    ),
    Weighted(
        "motion_smoothness",
        "frames left out, interpolated and compared",
        "AMT-S, CC BY-NC 4.0",
        "its AMT-S is under CC BY-NC 4.0: not free for all, so not used",
        instead=("motion_smoothness_flow",),
    ),
    Weighted(
        "keyboard_accuracy",
        "keys that the inverse dynamics model of Video PreTraining sees in a film",
        "4x_idm, MIT",
        PREDICTED,
        differs=(
            CHUNKS,
            "Mean of the tasks that the variant has keys for; the benchmark's four also have attack and jump, and are "
            "of all frames of all films together.",
            LEARNED,
        ),
        instead=("forward", "right"),
    ),
    Weighted(
        "mouse_accuracy",
        "turns that the inverse dynamics model of Video PreTraining sees in a film",
        "4x_idm, MIT",
        PREDICTED,
        differs=(CHUNKS, "As published, only directions count, of nine.", LEARNED),
        instead=("yaw", "pitch"),
    ),
    Weighted(
        "object_consistency",
        "error of the scene that DROID-SLAM finds",
        "DROID-SLAM, BSD-3-Clause",
        "DROID-SLAM has to be compiled with CUDA, and no library has it",
    ),
)
NAMES = tuple(measure.name for measure in ALL)
MEANS = {measure.name: measure.means for measure in ALL}


def why_missing(measure: Weighted) -> str:
    """Why there is no number of a measure whose weights are not at hand, and what stands in its place."""
    words = " and ".join(name.replace("_", " ") for name in measure.instead)
    return f"{measure.missing}; in its place: {words}" if words else measure.missing


def deviations(computed: Iterable[str]) -> list[str]:
    """How those that were computed differ from the published benchmark, in sentences."""
    wanted = set(computed)
    return [f"{m.name}: {text}" for m in ALL if m.name in wanted for text in m.differs]


def about_weights(computed: Iterable[str], weights: Mapping[str, Any]) -> dict[str, Any]:
    """For a report. weights: of each file that was loaded, its name, sha256 and licence."""
    computed = list(computed)
    return {
        "protocol": NAME, "version": VERSION, "weights": dict(weights), "deviations": deviations(computed),
        "measures": {
            m.name: {
                "means": m.means, "weights": m.weights, "published": m.published,
                "missing": None if m.name in computed else why_missing(m),
            }
            for m in ALL
        },
    }  # fmt: skip
