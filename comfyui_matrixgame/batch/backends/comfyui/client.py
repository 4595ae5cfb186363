"""A ComfyUI server as a client sees it: uploads, prompts, progress, results."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable
from typing import Any

import aiohttp

from ....errors import MatrixGameError

ANSWER_SECONDS = 60  # that a host may take for a plain question
LOOK_SECONDS = 10  # between two looks at the history, in case the WebSocket missed the end
PLACE = ("filename", "subfolder", "type")  # of a file on a host

OnProgress = Callable[[str, float, float], None]


class HostGone(MatrixGameError):
    """A host does not answer."""


class JobFailed(MatrixGameError):
    """A host refused a prompt, or an error ended it."""


class HostClient:
    """One ComfyUI server. Use it as an async context manager. It raises HostGone or JobFailed."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/") if "://" in url else f"http://{url.rstrip('/')}"
        self._uploaded: dict[str, asyncio.Task[str]] = {}

    async def __aenter__(self) -> HostClient:
        timeout = aiohttp.ClientTimeout(total=None, connect=10, sock_read=ANSWER_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._session.close()

    async def node_info(self) -> dict[str, Any]:
        """What nodes the host has, as /object_info says."""
        return await self._json("/object_info")

    async def upload(self, data: bytes, name: str) -> str:
        """Put a picture or a clip into the host's input folder, once; returns the name that nodes load it by."""
        if name not in self._uploaded or self._uploaded[name].cancelled():
            self._uploaded[name] = asyncio.create_task(self._upload(data, name))
        try:
            return await self._uploaded[name]
        except MatrixGameError:
            self._uploaded.pop(name, None)
            raise

    async def run(self, prompt: dict[str, Any], on_progress: OnProgress) -> dict[str, Any]:
        """Queue a prompt and wait for its end; returns its outputs by node. A cancelled wait also ends the prompt."""
        client = uuid.uuid4().hex
        try:
            async with self._session.ws_connect(f"{self.url}/ws?clientId={client}", max_msg_size=0) as events:
                prompt_id = await self._queue(prompt, client)
                try:
                    return await self._wait(prompt_id, events, on_progress)
                except asyncio.CancelledError:
                    await self._cancel(prompt_id)
                    raise
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise HostGone(f"{self.url} does not answer ({_reason(error)}).") from None

    async def fetch(self, file: dict[str, str]) -> bytes:
        """A file that a prompt wrote."""
        query = {"type": "output", "subfolder": ""} | {name: file[name] for name in PLACE if name in file}
        try:
            async with self._session.get(f"{self.url}/view", params=query) as answer:
                if answer.status != 200:
                    raise JobFailed(f"{self.url} does not give out {file['filename']} (status {answer.status}).")
                return await answer.read()
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise HostGone(f"{self.url} does not answer ({_reason(error)}).") from None

    async def _upload(self, data: bytes, name: str) -> str:
        form = aiohttp.FormData()
        form.add_field("image", data, filename=name)
        form.add_field("overwrite", "true")
        try:
            async with self._session.post(f"{self.url}/upload/image", data=form) as answer:
                if answer.status != 200:
                    raise JobFailed(f"{self.url} does not take {name} (status {answer.status}).")
                said = await answer.json()
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise HostGone(f"{self.url} does not answer ({_reason(error)}).") from None
        return f"{said['subfolder']}/{said['name']}" if said.get("subfolder") else said["name"]

    async def _queue(self, prompt: dict[str, Any], client: str) -> str:
        async with self._session.post(f"{self.url}/prompt", json={"prompt": prompt, "client_id": client}) as answer:
            said = await answer.text()
            if answer.status == 400:
                raise JobFailed(f"{self.url} refused the workflow: {_refusal(said)}")
            answer.raise_for_status()
            return json.loads(said)["prompt_id"]

    async def _wait(
        self, prompt_id: str, events: aiohttp.ClientWebSocketResponse[Any], on_progress: OnProgress
    ) -> dict[str, Any]:
        """Listen until the prompt ends, and look at the history now and then: a WebSocket may lose what it says."""
        while True:
            try:
                message = await events.receive(timeout=LOOK_SECONDS)
            except asyncio.TimeoutError:
                message = None
            if message is None or message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
                finished = await self._history(prompt_id)
                if finished is not None:
                    return finished
                if message is not None:
                    await asyncio.sleep(1)
                    raise HostGone(f"{self.url} closed the connection.")
                continue
            if message.type != aiohttp.WSMsgType.TEXT:
                continue
            event = json.loads(message.data)
            data = event.get("data") or {}
            if data.get("prompt_id") != prompt_id:
                continue
            if event["type"] == "progress":
                on_progress(str(data.get("node", "")), float(data["value"]), float(data["max"]))
            elif event["type"] == "execution_error":
                raise JobFailed(" ".join(str(data.get("exception_message", "an error")).split()))
            elif event["type"] == "execution_interrupted":
                raise JobFailed(f"It was cancelled on {self.url}.")
            elif event["type"] == "execution_success" or (event["type"] == "executing" and data.get("node") is None):
                finished = await self._history(prompt_id)
                if finished is not None:
                    return finished

    async def _history(self, prompt_id: str) -> dict[str, Any] | None:
        """The outputs of a prompt that has ended; None while it has not."""
        entry = (await self._json(f"/history/{prompt_id}")).get(prompt_id)
        if entry is None:
            return None
        status = entry.get("status") or {}
        if status.get("status_str") == "error":
            raise JobFailed(_history_error(status))
        return entry.get("outputs", {})

    async def _cancel(self, prompt_id: str) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError, asyncio.TimeoutError):
            await self._session.post(f"{self.url}/queue", json={"delete": [prompt_id]})
            await self._session.post(f"{self.url}/interrupt", json={"prompt_id": prompt_id})

    async def _json(self, path: str) -> dict[str, Any]:
        try:
            async with self._session.get(self.url + path) as answer:
                answer.raise_for_status()
                return await answer.json()
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError) as error:
            raise HostGone(f"No ComfyUI answers at {self.url} ({_reason(error)}); is it started?") from None


def _refusal(text: str) -> str:
    """What a host says about a prompt that it does not take, in a line."""
    try:
        said = json.loads(text)
        lines = [said["error"]["message"]] if isinstance(said.get("error"), dict) else []
        for node in said.get("node_errors", {}).values():
            lines += [f"{node['class_type']}: {e['message']} {e.get('details', '')}".strip() for e in node["errors"]]
        return "; ".join(lines)[:500]
    except (ValueError, KeyError, TypeError, AttributeError):
        return text[:200]


def _history_error(status: dict[str, Any]) -> str:
    for kind, data in status.get("messages", []):
        if kind == "execution_error":
            return " ".join(str(data.get("exception_message", "an error")).split())
    return "It ended with an error."


def _reason(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
