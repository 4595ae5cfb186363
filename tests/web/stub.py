"""A ComfyUI server without ComfyUI: serves the real frontend, this pack's web folder, its nodes, one probe node, and
the player's route."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from comfyui_matrixgame.play.session import Session
from comfyui_matrixgame.play.wire.hub import Hub
from comfyui_matrixgame.play.wire.server import ROUTE, Sockets

WEB = Path(__file__).parents[2] / "web"
LOCALES = Path(__file__).parents[2] / "locales"
SNAPSHOT = Path(__file__).parents[1] / "host" / "object_info.json"  # what the real host says of this pack
VARIANTS = ["universal", "gta_drive", "templerun"]
BEGUN = "matrixgame.play"  # the event that tells the page of a session
TIMELINE = ["STRING", {"default": "", "widgetType": "MATRIXGAME_TIMELINE"}]


def _node(
    name: str, title: str, inputs: dict[str, Any], outputs: list[str], output_node: bool = False
) -> dict[str, Any]:
    return {
        "name": name, "display_name": title, "description": "", "python_module": "custom_nodes.matrixgame",
        "category": "MatrixGame", "input": {"required": inputs}, "input_order": {"required": list(inputs)},
        "output": outputs, "output_is_list": [False] * len(outputs), "output_name": outputs,
        "output_node": output_node, "deprecated": False, "experimental": False,
    }  # fmt: skip


NODES = {
    "TimelineProbe": _node(
        "TimelineProbe", "Timeline Probe", {"variant": [VARIANTS, {}], "timeline": TIMELINE}, ["MATRIXGAME_ACTIONS"]
    ),
    **json.loads(SNAPSHOT.read_text(encoding="utf-8")),
    "SinkProbe": _node("SinkProbe", "Sink Probe", {"actions": ["MATRIXGAME_ACTIONS", {}]}, [], True),
}


def frontend_path() -> Path | None:
    """The static folder of the comfyui-frontend-package, or None where it is not installed."""
    if named := os.environ.get("COMFYUI_FRONTEND"):
        return Path(named)
    spec = importlib.util.find_spec("comfyui_frontend_package")
    return Path(spec.submodule_search_locations[0]) / "static" if spec and spec.submodule_search_locations else None


class Stub:
    """The server in a thread of its own. prompts: what was queued, oldest first. ran: graphs by the ids of their
    prompts, which no page hears twice. hub: of the session that is played.
    projects: what World Cache lists; forgotten: those that it was told to forget."""

    def __init__(self, frontend: Path, settings: dict[str, Any] | None = None) -> None:
        self.frontend = frontend
        self.settings: dict[str, Any] = {"Comfy.TutorialCompleted": True, "Comfy.Release.Status": "skipped"}
        self.settings.update(settings or {})
        self.prompts: list[dict[str, Any]] = []
        self.ran: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}
        self.sockets: list[web.WebSocketResponse] = []
        self.hub: Hub | None = None
        self.projects: list[dict[str, Any]] = []
        self.forgotten: list[str] = []
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait(20)
        self.url = f"http://127.0.0.1:{self.port}"

    def tell(self, kind: str) -> None:
        """Send an event of a prompt to the pages, as at its end."""
        message = {"type": kind, "data": {"prompt_id": "0", "timestamp": 0}}
        asyncio.run_coroutine_threadsafe(self._tell(message), self._loop).result(20)

    def play(self, session: Callable[[Hub], Session], node: int) -> Session:
        """Tell the page that a session of a node has begun, as Live Play does; `session` makes one for a hub."""
        self.hub = Hub(self._loop)
        self.hub.session = session(self.hub)
        begun = {"type": BEGUN, "data": {"node": str(node), "token": self.hub.token}}
        asyncio.run_coroutine_threadsafe(self._tell(begun), self._loop).result(20)
        return self.hub.session

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=2**26)
        for prefix in ("", "/api"):
            self._routes(app.router, prefix)
        app.router.add_static("/extensions/matrixgame", WEB)
        app.router.add_get("/", self._index)
        app.router.add_get("/ws", self._socket)
        app.router.add_static("/", self.frontend)
        runner = web.AppRunner(app)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())

    def _routes(self, router: web.UrlDispatcher, prefix: str) -> None:
        fixed: dict[str, Any] = {
            "object_info": NODES, "queue": _QUEUE,
            "extensions": [f"/extensions/matrixgame/{name}.js" for name in ("matrixgame", "cache_panel")],
            "users": {"storage": "server", "migrated": True}, "history": {}, "features": {}, "embeddings": [],
            "workflow_templates": {}, "global_subgraphs": {}, "system_stats": _STATS, "experiment/models": [],
            "history_v2": {"history": []}, "jobs": {"jobs": [], "pagination": {}}, "i18n": _locales(),
        }  # fmt: skip
        for name, value in fixed.items():
            router.add_get(f"{prefix}/{name}", _always(value))
        router.add_get(f"{prefix}/settings", _always(self.settings))
        router.add_post(f"{prefix}/settings/{{name}}", self._setting)
        router.add_post(f"{prefix}/settings", self._setting)
        router.add_get(f"{prefix}/userdata", _always([]))
        router.add_get(f"{prefix}/v2/userdata", _always([]))
        router.add_get(f"{prefix}/userdata/{{name}}", self._file)
        router.add_post(f"{prefix}/userdata/{{name}}", self._keep)
        router.add_get(f"{prefix}/prompt", _always({"exec_info": {"queue_remaining": 0}}))
        router.add_post(f"{prefix}/prompt", self._prompt)
        router.add_get(f"{prefix}/history/{{name}}", self._history)
        router.add_get(prefix + ROUTE, Sockets(self._find).handle)
        router.add_get(f"{prefix}/matrixgame/cache", self._cache)
        router.add_post(f"{prefix}/matrixgame/cache/{{name}}/forget", self._forget)
        router.add_get(f"{prefix}/matrixgame/cache/{{name}}/thumbnail", _always({}))
        router.add_get(f"{prefix}/matrixgame/variants", _always({"variants": []}))
        router.add_post(f"{prefix}/matrixgame/take", _always({"state": "unknown"}))

    async def _index(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(self.frontend / "index.html")

    async def _setting(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.settings.update({request.match_info["name"]: body} if "name" in request.match_info else body)
        return web.Response()

    async def _file(self, request: web.Request) -> web.Response:
        found = self.files.get(request.match_info["name"])
        return web.Response(body=found) if found is not None else web.Response(status=404)

    async def _keep(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.files[name] = await request.read()
        return web.json_response({"path": name, "size": len(self.files[name]), "modified": 0})

    async def _prompt(self, request: web.Request) -> web.Response:
        self.prompts.append(await request.json())
        number = len(self.ran) + 1
        self.ran[str(number)] = self.prompts[-1]["prompt"]
        answer = {"prompt_id": str(number), "number": number, "node_errors": {}}
        self._loop.call_later(0.1, lambda: self._loop.create_task(self._finish(answer["prompt_id"])))
        return web.json_response(answer)

    async def _cache(self, _: web.Request) -> web.Response:
        return web.json_response({"projects": self.projects})

    async def _forget(self, request: web.Request) -> web.Response:
        self.forgotten.append(request.match_info["name"])
        self.projects = [project for project in self.projects if project["name"] not in self.forgotten]
        return web.json_response({})

    async def _history(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        found = {name: {"prompt": [0, name, self.ran[name], {}, []]}} if name in self.ran else {}
        return web.json_response(found)

    async def _finish(self, prompt_id: str) -> None:
        await self._tell({"type": "execution_start", "data": {"prompt_id": prompt_id, "timestamp": 0}})
        await self._tell({"type": "execution_success", "data": {"prompt_id": prompt_id, "timestamp": 1}})
        await self._tell({"type": "executing", "data": {"node": None, "prompt_id": prompt_id}})

    async def _tell(self, message: dict[str, Any]) -> None:
        for socket in self.sockets:
            await socket.send_json(message)

    def _find(self, token: str) -> Hub | None:
        return self.hub if self.hub is not None and token == self.hub.token else None

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        await socket.send_json(
            {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "x"}}
        )
        async for message in socket:
            if message.type in (WSMsgType.ERROR, WSMsgType.CLOSE):
                break
        self.sockets.remove(socket)
        return socket


def _always(value: Any) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(value)

    return answer


def _locales() -> dict[str, Any]:
    found = sorted(LOCALES.glob("*/nodeDefs.json"))
    return {path.parent.name: {"nodeDefs": json.loads(path.read_text(encoding="utf-8"))} for path in found}


_QUEUE: dict[str, Any] = {"queue_running": [], "queue_pending": []}
_STATS = {
    "system": {
        "os": "posix", "python_version": "3", "embedded_python": False, "comfyui_version": "0.33.0",
        "pytorch_version": "2", "argv": [], "ram_total": 1, "ram_free": 1, "required_frontend_version": "1.58.1",
    },
    "devices": [],
}  # fmt: skip
