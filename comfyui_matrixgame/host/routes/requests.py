"""What the pack's routes ask of a request before they act on it."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ...play.wire.origin import same_origin


def own_page(request: web.Request) -> None:
    """Raise HTTPForbidden where a page of another site asks."""
    if not same_origin(request):
        raise web.HTTPForbidden(text="Pages of other sites may not ask for this.")


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object that a page of ours sent; raises HTTPForbidden, HTTPUnsupportedMediaType or HTTPBadRequest.

    A browser asks first before it sends JSON to another site, and nobody here answers that.
    """
    own_page(request)
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="Send a JSON object, with Content-Type: application/json.")
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise web.HTTPUnsupportedMediaType(text="Send the JSON object as it is, not compressed.")
    try:
        body = await request.json()
    except (ValueError, LookupError, RecursionError, web.RequestPayloadError):
        # no JSON, no such character set, nested without end, cut off
        raise web.HTTPBadRequest(text="The body is not JSON.") from None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="The body is JSON, but not an object.")
    return body
