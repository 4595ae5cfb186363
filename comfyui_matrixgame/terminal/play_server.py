"""A session with a server of its own: the models run in the thread that called, the server in another."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import threading
import webbrowser
from pathlib import Path

from aiohttp import web

from ..actions.document import save_document
from ..errors import MatrixGameError
from ..play.played_world import StartWorld
from ..play.saves import TakeSaves
from ..play.session import Limits, Session
from ..play.take import Take
from ..play.wire.hub import Hub
from ..play.wire.origin import addresses
from ..play.wire.server import make_app, server_log
from ..system.stopping import finishing
from ..system.words import counted
from .shared.console import say

GOODBYE = 0.3  # seconds for the last words to reach the browser


class Server:
    """The player's page and its socket in a thread of their own.

    urls: what to open in a browser, the first on this machine. The token is behind the #, which a browser keeps to
    itself.
    """

    def __init__(self, host: str, port: int, token: str = "") -> None:
        self._loop = asyncio.new_event_loop()
        self.hub = Hub(self._loop, token)
        self._host, self._port = host.strip("[]"), port
        self._problem: Exception | None = None
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), name="player", daemon=True)
        self._thread.start()
        ready.wait()
        if isinstance(self._problem, OSError):
            raise MatrixGameError(f"The player cannot listen on {host}:{port} ({self._problem}); try another --port.")
        if self._problem is not None:
            raise self._problem

    @property
    def urls(self) -> list[str]:
        """See the class."""
        return [f"{address}/#{self.hub.token}" for address in addresses(self._host, self._port)]

    @property
    def url(self) -> str:
        """The page on this machine."""
        return self.urls[0]

    def stop(self) -> None:
        """Send what is left, and close."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.call_later, GOODBYE, self._loop.stop)
            self._thread.join(5)

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            app = make_app(self.hub, self._host)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, logger=server_log())
            self._loop.run_until_complete(runner.setup())
            self._loop.run_until_complete(web.TCPSite(runner, self._host, self._port).start())
            self._port = runner.addresses[0][1]
        except Exception as error:
            self._problem = error
            return
        finally:
            ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())


def serve(start_world: StartWorld, args: argparse.Namespace) -> int:
    """Play until the player stops or Ctrl-C; keeps the takes."""
    played = start_world(args.image, args.seed)
    server = Server(args.host, args.port, args.token)
    output = Path(args.output)
    session = Session(
        played,
        server.hub.listen,
        mode=args.mode,
        limits=Limits(),
        on_wait=lambda: kept.now_and_then(),
        on_take=lambda take: kept.begin(take),
    )
    kept = KeptTakes(session.take, output)
    server.hub.session, server.hub.start_world = session, start_world
    elsewhere = server.urls[1:]
    say(f"play at {server.url}" + "".join(f"\nfrom other machines: {url}" for url in elsewhere))
    say(f"Stop in the page, or press Ctrl-C here; your inputs are kept in {args.output}.")
    if not args.no_browser:
        webbrowser.open(server.url)
    try:
        session.run()
    except KeyboardInterrupt:
        say("stopped")
    finally:
        with finishing():  # whoever asks once more for the end waits for the take
            server.stop()
            kept.close()
            session.played.close()
    return 0


class KeptTakes:
    """The takes of a session on disk: one for each world that is played in it."""

    def __init__(self, take: Take, output: Path) -> None:
        self._output = output
        self._take, self._saves = take, TakeSaves(take, self._free)

    def now_and_then(self) -> None:
        """See TakeSaves.now_and_then."""
        self._saves.now_and_then()

    def begin(self, take: Take) -> None:
        """Another world is played: keep the take of the one before."""
        self.close()
        self._take, self._saves = take, TakeSaves(take, self._free)

    def close(self) -> None:
        """Keep the take that is played."""
        self._saves.close()
        keep_take(self._take, self._output, self._saves.path)

    def _free(self) -> Path:
        return _free_name(self._output)


def keep_take(take: Take, path: Path, saved: Path | None = None) -> Path | None:
    """Write a take where nothing is overwritten; returns where, or None where nothing was played.

    saved: the file that has it up to here. Where it cannot be written it goes to the home folder, then to that for
    temporary files: nobody plays it again. Raises MatrixGameError where no place is left.
    """
    if not take.blocks and not take.branches:
        return None
    timeline = take.timeline()
    problem: Exception | None = None
    for folder in (path.parent, Path.home(), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            written = saved or _free_name(folder / path.name)
            save_document(timeline, written)
        except (OSError, RuntimeError, MatrixGameError) as error:  # RuntimeError: there is no home
            problem, saved = problem or error, None
            continue
        if problem is not None:
            say(f"{path} could not be written ({problem}); the take is in {written}")
        again = f"matrixgame render --seed {take.seed} --actions {written}"
        say(
            f"{written}: {counted(take.blocks, 'block')}; `{again}`, with the same image and models, makes "
            "the same frames"
        )
        return written
    raise MatrixGameError(f"The take of {counted(take.blocks, 'block')} could not be written anywhere ({problem}).")


def _free_name(path: Path) -> Path:
    number, free = 2, path
    while free.exists():
        free, number = path.with_stem(f"{path.stem}-{number}"), number + 1
    return free
