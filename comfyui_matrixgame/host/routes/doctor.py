"""The doctor's report, for the About panel and the settings."""

# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio

from aiohttp import web
from server import PromptServer

from .requests import own_page


def add_routes() -> None:
    """Offer the route; once, before the server starts."""
    PromptServer.instance.routes.get("/matrixgame/doctor")(_doctor)


async def _doctor(request: web.Request) -> web.Response:
    """-> the report as plain text."""
    own_page(request)
    from ..doctor import doctor_report  # only here: nobody needs it at the start

    text = await asyncio.to_thread(doctor_report)
    return web.Response(text=text, content_type="text/plain", charset="utf-8", headers={"Cache-Control": "no-store"})
