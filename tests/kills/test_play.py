"""Live play in a terminal: what was played is on disk after any stop, and gives the frames that were seen."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
from pathlib import Path

import aiohttp
import pytest

from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.play.wire.protocol import VERSION
from comfyui_matrixgame.play.wire.server import ROUTE

from ..play.client import Remote
from .chains import PATIENCE, SEED, STOPPED, STOPS, Forks, agree, forks, see, send, share

MOST_BLOCKS = 5

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there is no fork here"),
    pytest.mark.timeout(PATIENCE),
]


class Session:
    """A session that is played until it is stopped. seen: digests of the frames of each block, whole blocks only."""

    def __init__(self, run: Forks, out: Path, chance: random.Random) -> None:
        self.out, self.chance = out, chance
        self.take = out / "take.json"
        self.seen: list[list[str]] = []
        pipe = out / "pipe"
        os.mkfifo(pipe)
        arguments = ["matrixgame", "play", "--no-browser", "--device", "cpu", "-o", str(self.take)]
        self.process = run.start(arguments, pipe)
        self.log = pipe.open(errors="replace")
        self.said = ""

    def address(self) -> tuple[str, str]:
        """The page's address and its token."""
        while (found := re.search(r"play at (\S+)/#(\S+)", self.said)) is None:
            line = self.log.readline()
            assert line, self.said
            self.said += line
        return found[1], found[2]

    async def play(self, number: int, block: int, part: int) -> None:
        """Hold keys, and send a signal when that part of that block is there, and some time has gone by."""
        address, token = self.address()
        async with aiohttp.ClientSession() as http:
            remote = Remote(await http.ws_connect(address + ROUTE, max_msg_size=2**24))
            await remote.say("hello", version=VERSION, token=token)
            await remote.say("play")
            while True:
                try:
                    message = await remote.next()
                except (ConnectionError, asyncio.TimeoutError):
                    return
                if "block" not in message:
                    continue
                keys = self.chance.sample(["w", "a", "s", "d"], 2)
                await remote.say("in", keys=keys, stick=[0, 0.1], seq=1)
                see(self.seen, message)
                if (message["block"], message["part"]) == (block, part):
                    asyncio.get_running_loop().call_later(self.chance.uniform(0, 0.5), send, self.process, number)


@pytest.mark.slow
def test_what_was_played_is_there_and_gives_the_same_frames(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    stops = share(20)
    with forks() as run:
        for count in range(stops):
            out = tmp_path / str(count)
            out.mkdir()
            session = Session(run, out, chance)
            number = STOPS[count % 2]
            asyncio.run(session.play(number, chance.randrange(1, MOST_BLOCKS), chance.randrange(3)))
            session.said += session.log.read()
            status = run.end()
            assert "Traceback" not in session.said, session.said
            assert status in (0, *STOPPED), session.said
            assert number == signal.SIGKILL or "stopped" in session.said
            check(run, session, killed=number == signal.SIGKILL)
    print(f"live play: {stops - stops // 2} SIGKILL, {stops // 2} SIGTERM")


def check(run: Forks, session: Session, killed: bool) -> None:
    """The take has what was seen, and a rollout with it shows the same."""
    take = json.loads(session.take.read_text())
    blocks = take["take"]["blocks"]
    Timeline.from_json(take)
    # killed: without the block at hand, and one whose take was being written
    assert blocks >= len(session.seen) - (2 if killed else 1)
    log = session.out / "frames"
    assert run.run(["frames", str(session.take), str(blocks)], log) == 0, log.read_text()
    again = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("[")]
    for seen, made in zip(session.seen, again, strict=False):
        assert agree(seen, made)
    left = [path.name for path in session.out.iterdir() if path.name not in ("take.json", "pipe", "frames")]
    assert not left or (killed and all(re.fullmatch(r"\.take\.json\..{8}\.part", name) for name in left))
