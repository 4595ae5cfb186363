"""Training: every stage runs, goes on where it stopped, and agrees with the engine that runs the result."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.checkpoints.formats import inspect_file
from comfyui_matrixgame.checkpoints.load import load_generator, load_vae, load_vision
from comfyui_matrixgame.errors import MatrixGameError
from comfyui_matrixgame.networks.generator.kv_cache import Ring
from comfyui_matrixgame.networks.generator.schedule import Schedule
from comfyui_matrixgame.variants import UNIVERSAL
from comfyui_matrixgame.world import Models, rollout, start_world
from comfyui_matrixgame.world.block.condition import encode_start
from demo_world.export import FILES, export_model, write_start_images
from demo_world.record import Plan, record
from demo_world.train import student
from demo_world.train.__main__ import STAGES, change_preset, main
from demo_world.train.config import CPU, PRESETS, TINY
from demo_world.train.data import (
    CLIPS_IN_FILE,
    TRAIN_WORLDS,
    GameSource,
    PlayedSource,
    RecordingSource,
    StackedPool,
    make_source,
    to_pixels,
)
from demo_world.train.decoder import CLIPS_FROM, clips_for
from demo_world.train.forcing import GradientRing, forced_velocities, guided_velocities, velocities_after
from demo_world.train.latents import LatentClips, LatentData, input_windows
from demo_world.train.network import (
    Conv3d,
    decode_clip,
    encode_clip,
    fold_statistics,
    make_generator,
    make_vae,
    make_vision,
    still_frames,
)
from demo_world.train.steps.loop import Run, load_average, train
from demo_world.train.steps.muon import orthogonal
from demo_world.train.steps.recorded import Recorded, Twin
from demo_world.train.student import contrast_gap, own_rollout, play_on, psnr_by_block
from demo_world.train.teacher import draw_sigmas, sample
from demo_world.train.vae import UNSEEN_FROM
from demo_world.train.vae import load_vae as trained_vae

SMALL = ["--preset", "tiny", "--device", "cpu"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("run")
    main(["all", "--out", str(out), *SMALL])
    return out


@pytest.fixture
def random_vae():
    torch.manual_seed(0)
    vae = make_vae(TINY)
    for parameter in vae.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return vae.eval().requires_grad_(False)


def test_every_stage_leaves_weights_a_log_and_pictures(trained):
    for stage in ("images", "vae", "teacher", "student", "decoder"):
        for name in (f"{stage}.pt", f"{stage}.csv", f"{stage}_curves.png", f"{stage}_last.png"):
            assert (trained / name).exists(), name
        assert torch.load(trained / f"{stage}.pt", weights_only=True)["step"] == 2
    strip = np.asarray(Image.open(trained / "student_last.png"))
    assert strip.shape[0] == 2 * 2 * (TINY.height + 2)  # two clips, each the game's row and the model's


@pytest.mark.slow
def test_every_stage_runs_in_bfloat16_and_with_distribution_matching(tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "autocast", lambda run: torch.autocast("cpu", torch.bfloat16))
    main(["all", "--out", str(tmp_path), "--dmd", "0.5", *SMALL])
    last = (tmp_path / "student.csv").read_text().splitlines()
    assert last[0].split(",")[1:] == ["loss", "game", "dmd", "last", "critic"]
    assert np.isfinite([float(v) for v in last[1].split(",")]).all()


def test_a_stage_goes_on_where_it_stopped(trained):
    before = torch.load(trained / "teacher.pt", weights_only=True)
    main(["teacher", "--out", str(trained), "--steps", "4", *SMALL])
    after = torch.load(trained / "teacher.pt", weights_only=True)
    assert (before["step"], after["step"]) == (2, 4)
    rows = (trained / "teacher.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in rows[1:]] == ["0", "1", "2", "3"]
    moved = [k for k in before["model"] if not torch.equal(before["model"][k], after["model"][k])]
    assert len(moved) > len(before["model"]) / 2


def test_a_later_stage_says_which_one_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="images"):
        main(["vae", "--out", str(tmp_path), *SMALL])


def test_all_stages_are_named_once():
    assert len(set(STAGES)) == len(STAGES)


def test_the_loop_minimises(tmp_path):
    model = torch.nn.Linear(4, 1)
    x = torch.randn(64, 4)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]])
    run = Run("fit", tmp_path, 400, 0.05, torch.device("cpu"))
    average = train(run, model, lambda step: ((model(x) - y).square().mean(), {}))
    assert run.rows[-1]["loss"] < 1e-2 * run.rows[0]["loss"]
    assert average.values["weight"][0, 1] == pytest.approx(-2.0, abs=0.1)


def test_a_run_that_goes_on_draws_other_clips(trained, tmp_path):
    fresh = Run("vae", tmp_path, 2, 1e-3, torch.device("cpu"))
    assert fresh.salted(5) == 5
    again = Run("vae", trained, 2, 1e-3, torch.device("cpu"))
    assert again.salted(5) == again.salted(5) != 5


@pytest.mark.slow
def test_the_critic_goes_on_too(tmp_path):
    main(["all", "--out", str(tmp_path), "--dmd", "0.5", *SMALL])
    main(["student", "--out", str(tmp_path), "--dmd", "0.5", "--steps", "3", *SMALL])
    extra = torch.load(tmp_path / "student.pt", weights_only=True)["extra"]
    assert {int(s["step"]) for s in extra["critic_optimiser"]["state"].values()} == {3}


def test_a_run_ends_when_its_time_is_over(tmp_path):
    model = torch.nn.Linear(2, 1)
    run = Run("fit", tmp_path, 10**9, 0.01, torch.device("cpu"), minutes=0.01)
    train(run, model, lambda step: (model(torch.ones(1, 2)).square().mean(), {}))
    assert 0 < torch.load(tmp_path / "fit.pt", weights_only=True)["step"] < 10**9


def test_two_pieces_are_the_same_as_many(random_vae):
    pixels = torch.rand(1, 3, 13, 32, 32) * 2 - 1
    latents = random_vae.encode(pixels)[0]
    assert torch.allclose(encode_clip(random_vae, pixels), latents, atol=1e-5)
    assert torch.allclose(decode_clip(random_vae, latents), random_vae.decode(latents)[0], atol=1e-5)


def test_still_frames_are_first_frames(random_vae):
    pixels = torch.rand(2, 3, 1, 32, 32) * 2 - 1
    latents = random_vae.encode(pixels)[0]
    with still_frames():
        assert torch.allclose(encode_clip(random_vae, pixels), latents, atol=1e-5)
        assert torch.allclose(decode_clip(random_vae, latents), random_vae.decode(latents)[0], atol=1e-5)


def test_folding_changes_latents_and_not_pixels(random_vae):
    pixels = torch.rand(1, 3, 9, 32, 32) * 2 - 1
    before = random_vae.encode(pixels)[0]
    shown = random_vae.decode(before)[0]
    fold_statistics(random_vae, before.mean(dim=(0, 2, 3, 4)), before.std(dim=(0, 2, 3, 4)))
    after = random_vae.encode(pixels)[0]
    assert torch.allclose(after.mean(dim=(0, 2, 3, 4)), torch.zeros(16), atol=1e-3)
    assert torch.allclose(after.std(dim=(0, 2, 3, 4)), torch.ones(16), atol=1e-3)
    assert torch.allclose(random_vae.decode(after)[0], shown, atol=1e-3)


def test_input_windows_are_the_last_twelve_rows():
    windows = input_windows(torch.arange(1, 22)[:, None].float(), 6)[..., 0]
    assert windows[0].tolist() == [1.0] * 12
    assert windows[1].tolist() == [1.0] * 8 + [1, 2, 3, 4]
    assert windows[5].tolist() == list(range(9, 21))


def test_the_gradient_ring_reads_what_the_ring_reads():
    torch.manual_seed(0)
    ring = Ring.empty(1, 6, 2, 1, 4, torch.float32, torch.device("cpu"))
    ours = GradientRing(6, 2)
    for first in (0, 3, 6, 3 * 3):
        for _ in range(2):  # a pass with noise, then one without
            k, v = torch.randn(1, 6, 1, 4), torch.randn(1, 6, 1, 4)
            ring.write(first, k, v)
            ours.write(first, k, v)
        theirs, own = ring.read(first + 3, torch.float32), ours.read(first + 3, torch.float32)
        for a, b in zip(theirs, own, strict=True):  # in another order, which attention does not see
            assert torch.equal(a.sort(dim=1).values, b.sort(dim=1).values)


def test_noise_levels_include_those_of_the_rollout():
    levels = [s for i in range(50) for s in draw_sigmas(np.random.default_rng(i), 3, 0.5)]
    assert max(levels) == 1.0
    assert min(levels) < 0.6
    assert all(0 <= s <= 1 for s in levels)


def clips_of(track: ActionTrack, latent_frames: int, condition: torch.Tensor, features: torch.Tensor) -> LatentClips:
    mask = torch.zeros_like(condition[:, :4])
    mask[:, :, 0] = 1
    return LatentClips(
        latents=torch.zeros_like(condition),
        condition=torch.cat([mask, condition], dim=1),
        features=features,
        keyboard=input_windows(torch.from_numpy(track.keyboard.copy()), latent_frames)[None],
        mouse=input_windows(torch.from_numpy(track.mouse.copy()), latent_frames).flatten(1)[None],
    )


def random_generator(seed: int = 1):
    torch.manual_seed(seed)
    model = make_generator(TINY)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model.eval()


def test_training_passes_are_the_rollout_of_the_engine(random_vae):
    model, vision = random_generator(), make_vision(TINY)
    track = ActionTrack.from_rows(UNIVERSAL, [{"w": t % 2, "yaw": 0.01 * t, "pitch": -0.005 * t} for t in range(33)])
    image = torch.rand(1, 3, TINY.height, TINY.width) * 2 - 1
    drawn: list[torch.Tensor] = []

    def noise(seed, block, step, shape):
        drawn.append(torch.randn(shape, generator=torch.Generator().manual_seed(100 * block + step)))
        return drawn[-1]

    models = Models(model, random_vae, vision=vision)
    blocks = list(rollout(models, start_world(models, image, 0), track, 3, noise=noise))
    theirs = torch.cat([b.latents for b in blocks], dim=2)
    condition, _ = encode_start(random_vae, image, 9)
    handed_out = iter(drawn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randn", lambda *a, **k: next(handed_out)[None])
        own = sample(model, clips_of(track, 9, condition, vision(image)))
    assert torch.allclose(own, theirs, atol=1e-4)


def test_the_students_rollout_has_a_gradient_everywhere():
    model = random_generator().train()
    condition = torch.randn(1, 16, 6, 4, 6)
    track = ActionTrack.from_rows(UNIVERSAL, [{"w": 1, "yaw": 0.1}] * 21)
    made = own_rollout(
        model, clips_of(track, 6, condition, torch.randn(1, 5, TINY.vision_dim)), np.random.default_rng(0)
    )
    made.square().mean().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # a single key's row of attention weights and the norms that the published network does not apply stay without
    assert all("attn_q_norm" in n or "attn_k_norm" in n for n in without), without


def test_the_exported_files_run_in_the_engine(trained, tmp_path):
    size = export_model(trained, tmp_path, clips=2)
    assert size < 25
    for name, kind in zip(FILES, ("generator", "vae", "vision"), strict=True):
        report = inspect_file(tmp_path / name)
        assert (report.kind, report.complete, report.dtype) == (kind, True, "float16"), report.problems()
    models = Models(
        load_generator(tmp_path / FILES[0]), load_vae(tmp_path / FILES[1]), vision=load_vision(tmp_path / FILES[2])
    )
    assert models.variant == UNIVERSAL
    image = to_pixels(GameSource(TINY.height, TINY.width).clip(0, 1).frames)[:, 0]
    blocks = list(rollout(models, start_world(models, image, 0), ActionTrack.idle(UNIVERSAL, 21), 2))
    assert [b.frames.shape[1] for b in blocks] == [9, 12]
    text = (tmp_path / "README.md").read_text()
    assert "random weights" in text
    assert "is **not** Matrix-Game 2.0" in text


def test_presets_fit_the_engine_and_the_size_limit():
    for preset in PRESETS.values():
        assert preset.height % 16 == preset.width % 16 == preset.dim % 128 == preset.vision_dim % 16 == 0
        assert 224 % preset.vision_patch == 0
        modules = (make_generator(preset), make_vae(preset), make_vision(preset))
        assert 2 * sum(p.numel() for m in modules for p in m.parameters()) < 24.8e6


def test_a_recording_is_a_source_too(tmp_path):
    record(tmp_path, Plan(episodes=2, frames=30, height=48, width=64))
    source = RecordingSource(tmp_path, 32, 48)
    clip = source.clip(3, 21)
    assert clip.frames.shape == (21, 32, 48, 3)
    assert clip.keyboard.shape == (21, 4)
    assert torch.equal(clip.frames, source.clip(3, 21).frames)
    assert source.stills(1, 5).shape == (5, 32, 48, 3)


def test_new_latents_are_taken_in_while_training(trained):
    data = LatentData(trained, torch.device("cpu"))
    count = len(data)
    values = torch.load(trained / "latents" / "00000.pt", weights_only=True)
    torch.save(values, trained / "latents" / "00007.pt")
    data.refresh()
    assert len(data) == 2 * count
    assert data.batch(3).latents.shape[0] == 3


def test_the_average_is_what_later_stages_load(trained):
    vae = make_vae(TINY)
    load_average(trained, "vae", vae)
    saved = torch.load(trained / "vae.pt", weights_only=True)["average"]
    assert torch.equal(vae.state_dict()["conv1.weight"], saved["conv1.weight"])


def test_start_images_have_the_shape_of_the_models_frames(tmp_path):
    for path in write_start_images(tmp_path, [3, 6]):
        width, height = Image.open(path).size
        assert width * CPU.height == height * CPU.width


def test_stored_clips_are_the_games_own(trained):
    stored = PlayedSource(trained / "frames")
    played = GameSource(TINY.height, TINY.width).clip(1, 9)
    assert len(stored) == CLIPS_IN_FILE
    assert torch.equal(stored.clip(1, 9).frames, played.frames)
    assert torch.equal(stored.clip(CLIPS_IN_FILE + 1, 9).keyboard, played.keyboard)


def test_one_world_is_played_from_many_places():
    source = GameSource(32, 48, world=7)
    first, second = (source.clip(n, 1).frames for n in (0, 1))
    assert not torch.equal(first, second)
    assert source._where(5) == (7, TRAIN_WORLDS + 5)


def test_muon_evens_out_what_a_matrix_does():
    torch.manual_seed(0)
    matrix = torch.randn(24, 16) * torch.logspace(-2, 0, 16)
    sizes = torch.linalg.svdvals(orthogonal(matrix))
    assert sizes.max() < 1.3
    assert sizes.min() > 0.3


def test_muon_minimises_and_goes_on(tmp_path):
    torch.manual_seed(0)
    x, y = torch.randn(128, 16), torch.randn(128, 16)
    y = x @ torch.linalg.qr(torch.randn(16, 16)).Q + 0.01 * y
    model = torch.nn.Linear(16, 16)

    def fit(steps):
        run = Run("fit", tmp_path, steps, 0.01, torch.device("cpu"), muon_lr=0.05, average=0.9)
        train(run, model, lambda step: ((model(x) - y).square().mean(), {}))
        return [row["loss"] for row in run.rows]

    first = fit(100)
    assert first[-1] < 0.1 * first[0]
    assert fit(150)[:100] == pytest.approx(first)


def test_an_untrained_generator_hands_on_the_noise_and_feels_inputs():
    torch.manual_seed(0)
    model = make_generator(CPU).eval()
    still, turning = ActionTrack.idle(UNIVERSAL, 33), ActionTrack.from_rows(UNIVERSAL, [{"yaw": 0.1}] * 33)
    condition, features = torch.randn(1, 16, 9, 4, 6), torch.randn(1, 5, CPU.vision_dim)
    noise = torch.randn(1, 16, 9, 4, 6)
    with torch.no_grad():
        a, b = (
            forced_velocities(model, clips_of(t, 9, condition, features), [1.0] * 3, noise, [True] * 3)
            for t in (still, turning)
        )
    assert torch.nn.functional.cosine_similarity(a.flatten(), noise.flatten(), dim=0) > 0.5
    assert (a - b)[:, :, 3:].std() > 0.02


def test_the_run_says_what_it_was(trained):
    assert json.loads((trained / "preset.json").read_text())["name"] == "tiny"


def random_clips(blocks: int, batch: int = 2) -> LatentClips:
    frames = 3 * blocks
    return LatentClips(
        latents=torch.randn(batch, 16, frames, 4, 6),
        condition=torch.randn(batch, 20, frames, 4, 6),
        features=torch.randn(batch, 5, TINY.vision_dim),
        keyboard=torch.randn(batch, frames, 12, 4),
        mouse=torch.randn(batch, frames, 24),
    )


def test_all_blocks_at_once_are_the_blocks_one_after_another(monkeypatch):
    monkeypatch.setattr("demo_world.train.forcing.CONTEXT_NOISE", 0.0)
    model, clips = random_generator(), random_clips(4)
    noises = [torch.randn_like(clips.latents) for _ in range(2)]
    at_once = guided_velocities(model, clips, [1.0, 0.7], noises)
    for velocities, sigma, noise in zip(at_once, (1.0, 0.7), noises, strict=True):
        in_turn = forced_velocities(model, clips, [sigma] * 4, noise, [True] * 4)
        assert torch.allclose(velocities, in_turn, atol=1e-4)
    wanted = [torch.autograd.grad(v.square().mean(), model.head.head.weight)[0] for v in (at_once[1], in_turn)]
    assert torch.allclose(*wanted, rtol=1e-3, atol=1e-6)


def test_blocks_made_ahead_have_no_gradient_and_leave_it_to_the_others():
    model, clips = random_generator().train(), random_clips(3)
    with torch.autocast("cpu", torch.bfloat16):  # which must not hand weights that were cast ahead to the later blocks
        made = own_rollout(model, clips, np.random.default_rng(0), ahead=2)
    early = torch.autograd.grad(made[:, :, :6].sum(), model.head.head.weight, retain_graph=True)[0]
    assert not early.any()
    made[:, :, 6:].square().mean().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert all("attn_q_norm" in n or "attn_k_norm" in n for n in without), without


def test_a_convolution_of_frames_as_channels_is_one_over_time():
    for kernel, stride in (((3, 3, 3), 1), ((3, 1, 1), (2, 1, 1)), ((1, 2, 2), (1, 2, 2))):
        layer = Conv3d(4, 6, kernel, stride=stride, padding=(0, kernel[1] // 2, kernel[2] // 2))
        x = torch.randn(2, 4, 7, 8, 10)
        wanted = torch.nn.Conv3d.forward(layer, x)
        assert torch.allclose(layer._frames_as_channels(x, wanted.shape[2]), wanted, atol=1e-5)


def test_clips_drawn_together_are_those_drawn_one_by_one():
    for world in (None, 7):
        source = GameSource(32, 48, world=world)
        together = list(source.batches(range(3, 6), 9, 2))
        assert [len(part.frames) for part in together] == [2, 1]
        for part, numbers in zip(together, ((3, 4), (5,)), strict=True):
            for i, number in enumerate(numbers):
                alone = source.clip(number, 9)
                assert (part.frames[i].int() - alone.frames.int()).abs().max() <= 1  # rays lie elsewhere in a vector
                assert torch.equal(part.keyboard[i], alone.keyboard)
                assert torch.equal(part.mouse[i], alone.mouse)


def test_a_stacked_pool_hands_out_pieces_of_its_clips():
    clips = torch.arange(5 * 9, dtype=torch.uint8).view(5, 9, 1, 1, 1).expand(5, 9, 16, 16, 3)
    pieces = StackedPool(clips, 0).pixels(64, 3, 0)
    assert pieces.shape == (64, 3, 3, 16, 16)
    first = ((pieces[:, 0, :, 0, 0] + 1) * 127.5).round()
    assert (first.diff(dim=1) == 1).all()  # frames that follow each other
    assert len(first[:, 0].unique()) > 20


def test_light_weights_are_enough_to_go_on(trained, tmp_path):
    for name in ("vae_folded.pt", "teacher_light.pt"):
        shutil.copy(trained / name, tmp_path)
    shutil.copytree(trained / "latents", tmp_path / "latents")
    main(["student", "--out", str(tmp_path), "--steps", "1", *SMALL])
    light = torch.load(tmp_path / "student_light.pt", weights_only=True)
    assert light["step"] == 1
    assert light["average"]["head.head.weight"].dtype == torch.float16


def test_contrast_is_the_same_only_where_frames_vary_alike():
    true = torch.randn(2, 16, 3, 6, 10)
    assert contrast_gap(true + 1, true) < 1e-10
    assert contrast_gap(0.5 * true, true) == pytest.approx(0.25, abs=0.02)
    assert contrast_gap(0.5 * true, true) > contrast_gap(0.8 * true, true)


def test_minutes_are_for_all_stages_or_one_each(tmp_path):
    with pytest.raises(MatrixGameError, match="3 values for 2 stages"):
        main(["teacher", "student", "--out", str(tmp_path), "--minutes", "1", "2", "3", *SMALL])


def test_a_replayed_rollout_gives_what_the_rollout_gave(monkeypatch):
    model, clips = random_generator(), random_clips(4)
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    seen, bases = play_on(model, clips)
    sigmas = torch.tensor(Schedule.of(UNIVERSAL.steps).sigmas)
    noisy = [(1 - sigma) * base for sigma, base in zip(sigmas, bases, strict=True)]
    velocities = velocities_after(model, clips, seen, sigmas, noisy)
    made = [x - sigma * v for sigma, x, v in zip(sigmas, noisy, velocities, strict=True)]
    for again, once in zip(made, [bases[1], bases[2], seen], strict=True):
        assert torch.allclose(again, once, atol=1e-4)


def test_given_blocks_are_seen_as_the_game_showed_them(monkeypatch):
    monkeypatch.setattr("demo_world.train.forcing.CONTEXT_NOISE", 0.0)
    clips = random_clips(2)
    seen, _ = play_on(random_generator(), clips, given=1.0)
    assert torch.equal(seen, clips.latents)


def test_a_twin_takes_weights_and_gives_gradients():
    model = random_generator().train()
    twin = Twin(model)
    with torch.no_grad():
        model.head.head.bias.add_(1.0)
    twin.take()
    clips = random_clips(3)
    step = Recorded(lambda *parts: [noiseless_error(twin.model, LatentClips(*parts))], twin, record=False)
    losses = [step(*clips.parts)[0] for _ in range(2)]  # the second drops the first one's gradients
    twin.give()
    assert losses[0] == losses[1]
    own = noiseless_error(model, clips)
    wanted = torch.autograd.grad(own, model.head.head.weight)[0]
    given = model.head.head.weight.grad
    assert given.dtype == torch.float32
    assert float(losses[0]) == pytest.approx(float(own.detach()), rel=0.05)
    assert torch.cosine_similarity(given.flatten(), wanted.flatten(), dim=0) > 0.99


def noiseless_error(model, clips: LatentClips) -> torch.Tensor:
    return velocities_after(model, clips, clips.latents, torch.tensor([1.0]), [clips.latents])[0].square().mean()


def test_teacher_and_student_learn_in_halves_and_from_replays(trained, tmp_path, monkeypatch):
    run_of = Path(shutil.copytree(trained, tmp_path / "run"))
    for name in ("teacher", "student"):
        for path in run_of.glob(f"{name}*"):
            path.unlink()
    monkeypatch.setattr(Run, "halves", True)
    monkeypatch.setitem(
        PRESETS, "tiny", replace(TINY, replay=2, batch=2, student_batch=1, clean_share=1.0, contrast=1.0)
    )
    main(["teacher", "student", "--out", str(run_of), "--steps", "5", *SMALL])
    rows = list(csv.DictReader((run_of / "student.csv").open()))
    assert len(rows) == 5
    assert all(float(v) >= 0 for row in rows for v in row.values())


def test_psnr_by_block_is_of_clips_that_were_not_learnt(trained, monkeypatch):
    monkeypatch.setattr(student, "HELD_OUT", 6)
    vae, source = trained_vae(trained, TINY, torch.device("cpu")), make_source(TINY, torch.device("cpu"), None)
    values = psnr_by_block(random_generator(), vae, TINY, source, torch.device("cpu"))
    assert len(values) == TINY.clip_blocks
    assert all(3 < v < 40 for v in values)


def test_the_decoder_learns_and_the_encoder_stays(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    shutil.copy(run / "vae_plain.pt", tmp_path / "before.pt")
    (run / "decoder.pt").unlink()
    main(["decoder", "--out", str(run), "--steps", "12", *SMALL])
    before, after = (torch.load(path, weights_only=True) for path in (tmp_path / "before.pt", run / "vae_folded.pt"))
    changed = {name.partition(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {"conv2", "decoder"}
    name = "decoder.conv1.weight"
    learnt = torch.load(run / "decoder.pt", weights_only=True)["average"][name]
    torch.testing.assert_close(after[name], torch.lerp(before[name], learnt, TINY.decoder_share))
    rows = list(csv.DictReader((run / "decoder.csv").open()))
    assert np.mean([float(row["loss"]) for row in rows[-3:]]) < np.mean([float(row["loss"]) for row in rows[:3]])
    export_model(run, tmp_path / "model", clips=2)
    assert "decoder then learnt for 12 steps" in (tmp_path / "model" / "README.md").read_text()


@pytest.mark.parametrize("steps", [0, 1, 104, 1500])
def test_the_decoder_learns_from_clips_of_its_own(steps):
    numbers = clips_for(3 + 1_000_003 * steps, 240)  # as Run.salted makes it when the stage goes on
    assert numbers[0] >= CLIPS_FROM
    assert numbers[-1] < UNSEEN_FROM
    assert len(numbers) == 240


def test_an_export_may_lie_between_the_teacher_and_the_student(trained, tmp_path):
    made = {}
    for share in (0.0, 0.25, 1.0):
        export_model(trained, tmp_path / str(share), clips=1, share=share)
        made[share] = load_file(tmp_path / str(share) / FILES[0])
    assert any(not torch.equal(made[0.0][name], made[1.0][name]) for name in made[0.0])
    for name, value in made[0.25].items():
        expected = torch.lerp(made[0.0][name].float(), made[1.0][name].float(), 0.25)
        torch.testing.assert_close(value.float(), expected, rtol=2e-3, atol=1e-6)
    assert "lie 25% of the way from the teacher's" in (tmp_path / "0.25" / "README.md").read_text()
    assert "of the way" not in (tmp_path / "1.0" / "README.md").read_text()
    with pytest.raises(MatrixGameError, match="from 0 to 1"):
        export_model(trained, tmp_path / "never", share=1.5)


def test_training_continues_from_an_exported_model(trained, tmp_path):
    export_model(trained, tmp_path / "model", clips=2)
    begin = ["--begin-with", str(tmp_path / "model")]
    main(["latents", "student", "--out", str(tmp_path / "run"), "--steps", "1", *begin, *SMALL])
    vae, first = trained_vae(tmp_path / "run", TINY, torch.device("cpu")), make_generator(TINY)
    load_average(tmp_path / "run", "teacher", first)
    wanted = make_generator(TINY)
    load_average(trained, "student", wanted)
    for mine, theirs in zip(first.parameters(), wanted.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)
    again = trained_vae(trained, TINY, torch.device("cpu"))
    torch.testing.assert_close(vae.conv1.weight, again.conv1.weight, rtol=1e-3, atol=1e-4)
    assert (tmp_path / "run" / "student.pt").exists()
    export_model(tmp_path / "run", tmp_path / "next", clips=2)
    assert "went on from an exported model" in (tmp_path / "next" / "README.md").read_text()
    assert "went on" not in (tmp_path / "model" / "README.md").read_text()
    main(["decoder", "--out", str(tmp_path / "decoder"), "--steps", "1", *begin, *SMALL])
    assert not torch.equal(trained_vae(tmp_path / "decoder", TINY, torch.device("cpu")).conv2.weight, vae.conv2.weight)


def test_values_of_a_preset_can_be_set():
    changed = change_preset(TINY, ["clip_blocks=3", "lr=2e-4"])
    assert (changed.clip_blocks, changed.lr) == (3, 2e-4)
    assert replace(changed, clip_blocks=TINY.clip_blocks, lr=TINY.lr) == TINY
    for wrong, why in (("clips=few", "not a whole number"), ("lr=", "not a number"), ("name=x", "no number of that")):
        with pytest.raises(MatrixGameError, match=why):
            change_preset(TINY, [wrong])
