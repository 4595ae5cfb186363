"""The routes of the World Cache panel: what is cached, thumbnails, free, forget. Projects are named, never paths."""

# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web

from ...cache.blocks import BlockCache
from ...cache.projects import FILM, FRAMES, LATENTS, PINNED, SNAPSHOT, forget_project, list_projects, project_files
from ...errors import WorldError
from ..running.folders import cache_folder
from ..world_cache import open_caches
from .pictures import frame_picture, frames_of_file
from .requests import read_object

THUMBNAIL = (160, 88)


async def list_all(_: web.Request) -> web.Response:
    """Every project with its sizes, the one used last first."""
    return web.json_response({"projects": await _answer(_projects)})


async def thumbnail(request: web.Request) -> web.Response:
    """A JPEG of the newest frame of a project."""
    picture = await _answer(lambda: _thumbnail(request.match_info["project"]))
    return web.Response(body=picture, content_type="image/jpeg", headers={"Cache-Control": "no-store"})


async def free(request: web.Request) -> web.Response:
    """Let go of what a project has in memory."""
    await read_object(request)
    await _answer(lambda: _free(request.match_info["project"]))
    return web.json_response({})


async def forget(request: web.Request) -> web.Response:
    """Delete a project."""
    await read_object(request)
    await _answer(lambda: _forget(request.match_info["project"]))
    return web.json_response({})


async def _answer(work: Callable[[], Any]) -> Any:
    try:
        return await asyncio.to_thread(work)
    except WorldError as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    except FileNotFoundError:
        raise web.HTTPNotFound(text="There is no such project in the cache, or no picture of it.") from None
    except OSError as error:
        raise web.HTTPBadRequest(text=f"The cache cannot be read: {error.strerror or error}.") from None


def _projects() -> list[dict[str, Any]]:
    return [_about(name, open_caches().get(name)) for name in list_projects(cache_folder())]


def _about(name: str, cache: BlockCache | None) -> dict[str, Any]:
    files = project_files(cache_folder(), name)
    kinds = [file.kind for file in files]
    return {
        "name": name,
        "blocks": kinds.count(LATENTS),
        "states": kinds.count(SNAPSHOT),
        "pinned": kinds.count(PINNED),
        "films": kinds.count(FILM),
        "bytes": sum(file.bytes for file in files),
        "memory": 0 if cache is None else cache.memory_used,
    }


def _thumbnail(project: str) -> bytes:
    _must_exist(project)
    for file in reversed([file for file in project_files(cache_folder(), project) if file.kind == FRAMES]):
        frames = frames_of_file(file.path)
        if frames is not None:
            return frame_picture(frames, -1, THUMBNAIL)
    raise FileNotFoundError


def _free(project: str) -> None:
    _must_exist(project)
    cache = open_caches().get(project)
    if cache is not None:
        cache.free_memory()


def _forget(project: str) -> None:
    _must_exist(project)
    cache = open_caches().get(project)
    if cache is not None:
        cache.forget()
    else:
        forget_project(cache_folder(), project)


def _must_exist(project: str) -> None:
    if not project_files(cache_folder(), project) and project not in list_projects(cache_folder()):
        raise FileNotFoundError
