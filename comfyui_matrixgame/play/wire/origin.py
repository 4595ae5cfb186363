"""Where a request comes from: which names are this machine's, and which pages may do more than look."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from aiohttp import web

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
WILDCARDS = ("0.0.0.0", "::")


def same_origin(request: web.Request) -> bool:
    """Whether a request comes from this server's own page, or from no page at all.

    A browser sends an Origin with whatever a page of another site asks to be changed. Proxies may name the default
    port, or give the name they were asked for in X-Forwarded-Host, which no page can set.
    """
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    names = [request.host, *request.headers.get("X-Forwarded-Host", "").split(",")]
    try:
        page = urlsplit(origin)
        if page.scheme not in DEFAULT_PORTS or not page.hostname:
            return False
        port = DEFAULT_PORTS[page.scheme]
        return any(_place(f"//{name.strip()}", port) == _place(origin, port) for name in names if name.strip())
    except ValueError:  # no address: "http://[", a port that is no number
        return False


def _place(address: str, port: int) -> tuple[str, int]:
    parts = urlsplit(address)
    return (parts.hostname or "").rstrip("."), port if parts.port is None else parts.port


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`: a name without a port."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def name_of(host: str) -> str:
    """The name in a Host header; empty where the header is invalid."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def addresses(host: str, port: int) -> list[str]:
    """What a browser opens to reach a server that listens on `host`, the best one first: one that listens everywhere
    is reached by this machine's own names."""
    own = f"[{host}]" if ":" in host else host
    names = ["localhost", *_names_in_the_network()] if host in WILDCARDS else [own]
    return [f"http://{name}:{port}" for name in names]


def _names_in_the_network() -> list[str]:
    """This machine's address towards others; none where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation: nothing is sent to it
            found = probe.getsockname()[0]
        except OSError:
            return []
    return [] if found in WILDCARDS or is_loopback(found) else [found]
