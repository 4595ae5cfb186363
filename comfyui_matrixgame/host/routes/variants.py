"""The variants that this server knows, for a page that has only those of the package."""

# pyright: reportMissingImports=false

from __future__ import annotations

from aiohttp import web

from ...variants import VARIANTS
from ...variants.browser import for_browser
from ..running.variants import variant_choices
from .requests import own_page


async def variants(request: web.Request) -> web.Response:
    """-> {variants: [description]}, the default first."""
    own_page(request)
    return web.json_response({"variants": [for_browser(VARIANTS[name]) for name in variant_choices()]})
