"""Sizes of the model and of its training, in one place."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from comfyui_matrixgame.errors import MatrixGameError


@dataclass(frozen=True)
class Preset:
    """One size of demo model and a training that fits a kind of machine.

    height, width: frames in pixels, multiples of 16. vae_dim: base width of the VAE. vae_crop: side of the
    squares the VAE is trained on (0: whole frames). dim ... action_layers: of the generator. clip_blocks:
    blocks of a training clip. clips: clips whose latents are kept. *_steps: steps of each stage, unless
    --minutes ends it earlier. dmd: weight of distribution matching in the student's loss. world: seed of the one
    world it learns (None: all that seeds give). muon_lr: step of matrices under Muon (0: AdamW for everything).
    average: share that the moving average of the weights keeps in a step. clean_share: share of the teacher's blocks
    that later ones see finished. step_share: share of its noise levels that are those of a rollout's steps.
    given_share: share of the student's blocks that later ones see as in the game. ahead: most blocks that it makes
    before those it learns from, so that it meets its own drift. contrast: weight in the student's loss of how
    differently latents vary over a frame. replay: steps that the student learns from rollouts made together (0: a
    rollout with a gradient in every step). pool: clips that the VAE learns from, drawn at once (0: a few at first, more
    as it goes on). decoder_clips: rollouts that the decoder learns from at last. decoder_share: how much of the way it
    went is kept.
    """

    name: str
    height: int
    width: int
    vae_dim: int
    vae_crop: int
    image_batch: int
    image_steps: int
    vae_batch: int
    vae_steps: int
    dim: int
    ffn_dim: int
    layers: int
    action_layers: int
    action_heads: int
    clip_blocks: int
    clips: int
    batch: int
    teacher_steps: int
    student_batch: int
    student_steps: int
    vision_dim: int
    vision_patch: int
    vae_lr: float = 2e-3
    lr: float = 1e-3
    student_lr: float = 1e-4
    dmd: float = 0.0
    world: int | None = None
    muon_lr: float = 0.0
    average: float = 0.995
    clean_share: float = 0.7
    step_share: float = 0.5
    given_share: float = 0.0
    ahead: int = 0
    contrast: float = 0.0
    replay: int = 0
    pool: int = 0
    decoder_clips: int = 240
    decoder_share: float = 0.5
    decoder_steps: int = 1500

    @property
    def clip_frames(self) -> int:
        """Pixel frames of a training clip: 9, then 12 for each further block."""
        return 12 * self.clip_blocks - 3

    def record(self) -> dict[str, object]:
        """For the log and the model card."""
        return asdict(self)


CPU = Preset(
    name="cpu",
    height=48,
    width=80,
    vae_dim=16,
    vae_crop=0,
    image_batch=8,
    image_steps=600,
    vae_batch=1,
    vae_steps=1500,
    dim=256,
    ffn_dim=512,
    layers=4,
    action_layers=4,
    action_heads=2,
    clip_blocks=5,
    clips=1600,
    batch=8,
    teacher_steps=2000,
    student_batch=8,
    student_steps=2000,
    vision_dim=32,
    vision_patch=112,
    lr=3e-3,
    student_lr=1.5e-3,
    world=7,
    muon_lr=0.02,
    average=0.98,
    clean_share=1.0,
    step_share=1.0,
    given_share=0.5,
)
MINUTES = replace(  # the same world, in a few minutes of a large GPU: large batches, every stage ended by the clock
    CPU,
    name="gpu-minutes",
    image_batch=96,
    image_steps=100_000,
    vae_batch=32,
    vae_steps=100_000,
    ffn_dim=768,
    layers=6,
    clip_blocks=12,
    clips=3500,
    batch=48,
    teacher_steps=100_000,
    student_batch=48,
    student_steps=100_000,
    decoder_steps=100_000,
    step_share=0.8,
    given_share=0.1,
    contrast=1.5,
    replay=16,
    pool=2400,
)
TINY = Preset(  # for tests: everything runs, nothing is learnt
    name="tiny",
    height=32,
    width=48,
    vae_dim=4,
    vae_crop=32,
    image_batch=2,
    image_steps=2,
    vae_batch=1,
    vae_steps=2,
    dim=128,
    ffn_dim=64,
    layers=2,
    action_layers=1,
    action_heads=1,
    clip_blocks=2,
    clips=2,
    batch=1,
    teacher_steps=2,
    student_batch=1,
    student_steps=2,
    decoder_clips=2,
    decoder_steps=2,
    vision_dim=16,
    vision_patch=112,
    muon_lr=0.02,
)
PRESETS = {p.name: p for p in (CPU, MINUTES, TINY)}


def get_preset(name: str) -> Preset:
    """The preset called `name`; raises MatrixGameError that lists the known ones."""
    try:
        return PRESETS[name]
    except KeyError:
        raise MatrixGameError(f"There is no preset '{name}'; use one of {', '.join(PRESETS)}.") from None
