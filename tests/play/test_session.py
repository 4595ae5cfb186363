"""Sessions without a server: order of events, takes that give the same frames again, going back, limits."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.errors import Interrupted, WorldError
from comfyui_matrixgame.networks.generator.kv_cache import Ring
from comfyui_matrixgame.play.early_frames import EarlyDecoder
from comfyui_matrixgame.play.held_inputs import Snapshot
from comfyui_matrixgame.play.pattern import CELL, TestPattern
from comfyui_matrixgame.play.played_world import PlayedWorld, least_useful
from comfyui_matrixgame.play.session import FINISHED, PAUSED, PLAYING, Event, FramesMade, Limits, Session, StateChanged
from comfyui_matrixgame.variants import UNIVERSAL, VARIANTS
from comfyui_matrixgame.world import rollout, start_world
from comfyui_matrixgame.world.models import network_id

from ..support.networks import random_track, small_image, small_models

QUICK = Limits(idle=60, lost=60)


class Player:
    """Plays a session in this thread: `script` is called with the number of parts handed over so far."""

    def __init__(self, played, script: Callable[[Player, int], None], **options) -> None:
        self.events: list[Event] = []
        self.script = script
        self._now = 0.0
        self.session = Session(played, self.listen, **{"limits": QUICK, "clock": self.clock, **options})

    def clock(self) -> float:
        self._now += 0.2  # so that no test waits for a picture to be shown
        return self._now

    def listen(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, FramesMade):
            self.script(self, len(self.parts))

    @property
    def parts(self) -> list[FramesMade]:
        return [event for event in self.events if isinstance(event, FramesMade)]

    @property
    def frames(self) -> np.ndarray:
        return np.concatenate([part.frames for part in self.parts])

    def hold(self, *keys: str, yaw: float = 0.0) -> None:
        self.session.held.put(Snapshot(keys=keys, stick=(0.0, yaw)))

    def run(self) -> Player:
        self.session.connected(True)
        self.session.play()
        self.session.run()
        return self


def played_world(name: str = "universal", **options) -> PlayedWorld:
    models = small_models(name)
    return PlayedWorld(models, start_world(models, small_image(16, 32), seed=5), **options)


def some_keys(player: Player, parts: int) -> None:
    variant = player.session.played.variant
    held = [key for key in variant.keys if key != "idle"]
    player.hold(held[parts % len(held)], yaw=round(0.03 * (parts % 5) - 0.05, 3))


@pytest.mark.parametrize("name", list(VARIANTS))
def test_a_take_gives_the_same_frames_through_a_rollout(name: str) -> None:
    def script(player: Player, parts: int) -> None:
        some_keys(player, parts)
        if parts == 9:
            player.session.stop()

    player = Player(played_world(name), script).run()
    take = player.session.take
    assert [len(part.frames) for part in player.parts] == [1, 4, 4, 4, 4, 4, 4, 4, 4]
    assert [part.first for part in player.parts] == [0, 1, 5, 9, 13, 17, 21, 25, 29]
    timeline = Timeline.from_text(take.timeline().to_text())
    assert timeline.length == 33
    models = small_models(name)
    blocks = list(rollout(models, start_world(models, small_image(16, 32), seed=take.seed), timeline.track()))
    assert np.array_equal(np.concatenate([block.frames[0].numpy() for block in blocks]), player.frames)


def test_early_frames_have_the_numbers_of_late_ones() -> None:
    for tiny in (False, True):
        models = small_models(tiny=tiny)
        world = start_world(models, small_image(16, 16), seed=1)
        early = EarlyDecoder(models.decoder)
        assert network_id(early) == network_id(models.decoder)
        track = random_track(UNIVERSAL, 20)
        ours = [b.frames for b in rollout(replace(models, decoder=early), world, track)]
        theirs = [b.frames for b in rollout(models, world, track)]
        assert all(bool((a == b).all()) for a, b in zip(ours, theirs, strict=True))


def test_the_inputs_of_each_frame_are_those_the_model_got() -> None:
    def script(player: Player, parts: int) -> None:
        some_keys(player, parts)
        if parts == 6:
            player.session.stop()

    player = Player(TestPattern(size=(64, 96)), script).run()
    track = player.session.take.track()
    assert track is not None
    for part in player.parts:
        for i, frame in enumerate(part.frames):
            made_from = max(0, part.first + i - 1)
            assert part.rows.keyboard[i].tolist() == track.keyboard[made_from].tolist()
            lamps = [int(frame[-CELL // 2, k * CELL + CELL // 2, 0] > 128) for k in range(4)]
            if part.first + i:
                assert lamps == track.keyboard[made_from].tolist()


@pytest.mark.parametrize("kept", [2e9, 0.0])
def test_going_back_and_on_is_a_branch_with_the_numbers_of_a_rollout(kept: float) -> None:
    def script(player: Player, parts: int) -> None:
        some_keys(player, parts * (2 if parts > 12 else 1))
        if parts == 12:
            player.session.rewind(3)
        if parts == 21:
            player.session.stop()

    player = Player(played_world(world_bytes=kept, keep_frames=True), script).run()
    played, take = player.session.played, player.session.take
    assert isinstance(played, PlayedWorld)
    after = player.parts[12:]
    assert after[0].first == 9
    assert [branch.fork for branch in take.branches] == [8]
    timeline = take.timeline()
    assert timeline.length == 45 == len(timeline.track(45))
    models = small_models()
    world = start_world(models, small_image(16, 32), seed=5)
    for rows, frames in (
        (take.track(), np.concatenate(list(played.frames()))),
        (take.branches[0].rows, np.concatenate([part.frames for part in player.parts[:12]])),
    ):
        assert rows is not None
        again = [block.frames[0].numpy() for block in rollout(models, world, rows)]
        assert np.array_equal(np.concatenate(again), frames)
    assert played.world.names == list(rollout(models, world, take.track()))[-1].names  # type: ignore[arg-type]
    branch = replace(timeline, active="take-1")
    assert branch.track(44) == take.branches[0].rows


def test_reset_begins_with_the_start_image_again() -> None:
    def script(player: Player, parts: int) -> None:
        player.hold("w")
        if parts == 3:
            player.session.reset()
        if parts == 6:
            player.session.stop()

    played = played_world()
    first = played.still()
    player = Player(played, script).run()
    stills = [event.still for event in player.events if isinstance(event, StateChanged) and event.still is not None]
    assert len(stills) == 1
    assert np.array_equal(stills[0], first)
    assert [part.first for part in player.parts] == [0, 1, 5, 0, 1, 5]


def test_a_pause_lets_go_of_all_keys_and_makes_nothing() -> None:
    def script(player: Player, parts: int) -> None:
        player.hold("w")
        if parts == 3:
            player.session.pause()

    waits = []

    def on_wait() -> None:
        waits.append(player.session.state)
        if waits[-3:] == [PAUSED] * 3:
            player.session.stop()

    player = Player(TestPattern(size=(64, 96)), script, on_wait=on_wait, clock=lambda: 0.0)
    player.run()
    assert len(player.parts) == 3
    assert not player.session.held.sample(12).keyboard.any()


@pytest.mark.parametrize("reason", ["idle", "lost"])
@pytest.mark.parametrize(("finish", "state"), [(True, FINISHED), (False, PAUSED)])
def test_without_a_player_or_input_the_session_pauses_or_ends(finish: bool, state: str, reason: str) -> None:
    seconds = {"idle": 1e9, "lost": 1e9, reason: 2.0}

    def on_wait() -> None:
        if player.session.reason:
            player.session.stop("test")

    limits = Limits(seconds["idle"], seconds["lost"], finish)
    player = Player(TestPattern(size=(64, 96)), lambda *_: None, limits=limits, on_wait=on_wait)
    if reason == "idle":
        player.session.connected(True)
    player.session.play()
    player.session.run()
    assert (state, reason) in [
        (event.state, event.reason) for event in player.events if isinstance(event, StateChanged)
    ]


def test_a_closed_engine_holds_no_world_and_the_session_has_its_last_picture() -> None:
    def script(player: Player, parts: int) -> None:
        some_keys(player, parts)
        if parts == 9:
            player.session.rewind(1)
        if parts == 12:
            player.session.stop()

    player = Player(played_world(), script).run()
    played, session = player.session.played, player.session
    assert isinstance(played, PlayedWorld)
    assert np.array_equal(session.still, played.still())
    held = [weakref.ref(what) for what in (*played._worlds.values(), played._run, played.world, played.start)]
    played.close()
    assert not any(one() for one in held)  # at once, though the session is still known
    assert session.take.timeline().length == 33


def test_no_more_worlds_are_there_at_once_than_the_plan_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rollout's own caches and one world's, where worlds are too large to keep any before it."""
    copy, rings = Ring.copy, []
    most = 0

    def counted(ring: Ring) -> Ring:
        nonlocal most
        rings.append(weakref.ref(copied := copy(ring)))
        most = max(most, sum(one() is not None for one in rings))
        return copied

    def script(player: Player, parts: int) -> None:
        some_keys(player, parts)
        if parts == 9:
            player.session.rewind(1)
        if parts == 15:
            player.session.stop()

    monkeypatch.setattr(Ring, "copy", counted)
    played = Player(played_world(world_bytes=0), script).run().session.played
    assert isinstance(played, PlayedWorld)
    assert most == 2 * sum(len(layer.rings()) for layer in played.world.caches)


def test_cancelling_between_passes_keeps_the_take() -> None:
    played = played_world()
    passes = []

    def on_wait() -> None:
        passes.append(1)
        if len(player.parts) >= 3 and len(passes) > 12:
            raise Interrupted("stop")

    player = Player(played, some_keys, on_wait=on_wait)
    with pytest.raises(Interrupted):
        player.run()
    assert player.session.state == FINISHED
    assert player.session.take.blocks == played.block >= 1


def test_a_session_ends_after_the_blocks_it_may_make() -> None:
    limits = Limits(idle=1e9, lost=1e9, finish=True, blocks=2)
    player = Player(TestPattern(size=(64, 96)), some_keys, limits=limits).run()
    assert player.session.take.blocks == 2
    assert player.session.reason == "end"


def test_a_block_is_not_made_before_the_picture_on_screen_is_nearly_over() -> None:
    now = [0.0]
    starts = []

    class Counted(TestPattern):
        def make(self, rows, on_frames, on_pass=None):
            starts.append(now[0])
            now[0] += 0.1  # it takes a tenth of a second
            super().make(rows, on_frames, on_pass)
            if len(starts) == 6:
                player.session.stop()

    def on_wait() -> None:
        now[0] += 0.01

    player = Player(Counted(size=(64, 96)), lambda *_: None, clock=lambda: now[0], on_wait=on_wait)
    player.session._wait = lambda seconds: None  # type: ignore[method-assign]
    player.run()
    gaps = np.diff(starts)[1:]
    assert np.all(np.abs(gaps - 0.48) < 0.04), gaps  # twelve frames at 25 a second


def test_recording_marks_its_ends_and_survives_a_rewind() -> None:
    def script(player: Player, parts: int) -> None:
        if parts == 3:
            player.session.record(True)
        if parts == 9:
            player.session.record(False)
            player.session.stop()

    take = Player(TestPattern(size=(64, 96)), script).run().session.take
    assert [(mark.t, mark.name) for mark in take.timeline().markers] == [(8, "recording"), (32, "recording ends")]


def test_blocks_that_were_not_played_cannot_be_gone_to() -> None:
    for played in (played_world(), TestPattern(size=(64, 96))):
        with pytest.raises(WorldError):
            played.go_to(1)


def test_worlds_that_are_let_go_of_lie_close_together_and_far_back() -> None:
    kept = [0]
    for block in range(1, 200):
        kept.append(block)
        if len(kept) > 8:
            kept.remove(least_useful(kept))
    assert kept[0] == 0
    assert kept[-1] == 199
    assert kept[-2] == 198
    assert len(kept) == 8


def test_states_come_in_order() -> None:
    def script(player: Player, parts: int) -> None:
        if parts == 3:
            player.session.stop()

    player = Player(TestPattern(size=(64, 96)), script).run()
    states = [event.state for event in player.events if isinstance(event, StateChanged)]
    assert states == [PLAYING, FINISHED]
