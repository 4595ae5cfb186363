"""The doctor's report, for the About panel and the settings."""

# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio

from aiohttp import web

from ..doctor import doctor_report
from .requests import own_page


async def doctor(request: web.Request) -> web.Response:
    """-> the report as plain text."""
    own_page(request)
    text = await asyncio.to_thread(doctor_report)
    return web.Response(text=text, content_type="text/plain", charset="utf-8", headers={"Cache-Control": "no-store"})
