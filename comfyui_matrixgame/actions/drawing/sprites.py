"""Small pictures of the heads-up display: key caps, look stick, steering bar, dots and text.

Each is drawn at three times its size and reduced, in black and white only: what is pressed is told by lightness,
which survives colour blindness, grey screens and video compression.
"""

from __future__ import annotations

import math
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from ...variants import Key

LEVELS = 6  # a cap goes from pressed to idle in this many steps
STEPS = 20  # positions of the stick from its centre to its rim
_OVER = 3  # drawn this many times larger


@lru_cache(maxsize=256)
def cap(key: Key, width: int, height: int, level: int) -> Image.Image:
    """A key cap, RGBA. level: 0 idle to LEVELS pressed."""
    picture, draw, w, h = _canvas(width, height)
    t = level / LEVELS
    edge = max(1, round(h / 24))
    shade = round(255 * t)
    box = (edge, edge, w - 1 - edge, h - 1 - edge)
    fill = (shade, shade, shade, round(255 * (0.45 + 0.47 * t)))
    draw.rounded_rectangle(box, min(w, h) // 6, fill, (255, 255, 255, 77), edge)
    ink = (0, 0, 0, 255) if t > 0.5 else (255, 255, 255, 191)
    text = key.overlay.text or key.name.upper()[:2]
    if key.overlay.icon:
        _icon(draw, key.overlay.icon, w / 2, h * 0.34, h * 0.24, ink)
        _text(draw, text, w / 2, h * 0.75, h * 0.3, ink)
    else:
        _text(draw, text, w / 2, h / 2, h * (0.62 if len(text) <= 2 else 0.34), ink)
    return _reduced(picture, width, height)


@lru_cache(maxsize=512)
def stick(size: int, x: int, y: int, clamped: bool) -> Image.Image:
    """The look stick, RGBA. x, y: of the dot, -STEPS..STEPS, + is right and down. clamped: it would go further."""
    picture, draw, w, _ = _canvas(size, size)
    centre, thin = w / 2, max(1, w // 70)
    radius = w / 2 - thin - 1
    _disc(draw, centre, centre, radius, (0, 0, 0, 115), (255, 255, 255, 90), thin)
    for a, b in (((0.25, 0.5), (0.75, 0.5)), ((0.5, 0.25), (0.5, 0.75))):
        draw.line((a[0] * w, a[1] * w, b[0] * w, b[1] * w), (255, 255, 255, 70), thin)
    if clamped:
        _disc(draw, centre, centre, radius, None, (255, 255, 255, 235), 2 * thin)
    dot = w * 0.1
    px, py = (centre + v / STEPS * (radius - dot - 2 * thin) for v in (x, y))
    moved = bool(x or y)
    if moved:
        draw.line((centre, centre, px, py), (255, 255, 255, 235), 3 * thin)
    _disc(draw, px, py, dot, (255, 255, 255, 240 if moved else 120), (0, 0, 0, 200), thin)
    return _reduced(picture, size, size)


@lru_cache(maxsize=128)
def steering(width: int, height: int, x: int, clamped: bool) -> Image.Image:
    """A steering bar filled from its middle, RGBA. x: -STEPS..STEPS, + is right."""
    picture, draw, w, h = _canvas(width, height)
    edge = max(1, round(h / 16))
    rim = (255, 255, 255, 235 if clamped else 90)
    draw.rounded_rectangle((0, 0, w - 1, h - 1), h // 4, (0, 0, 0, 115), rim, edge * (1 + clamped))
    inside = w / 2 - 3 * edge
    tip = w / 2 + x / STEPS * inside
    if x:
        draw.rectangle((min(w / 2, tip), h * 0.26, max(w / 2, tip), h * 0.74), (255, 255, 255, 235))
    draw.line((w / 2, h * 0.12, w / 2, h * 0.88), (255, 255, 255, 200), max(1, edge))
    return _reduced(picture, width, height)


@lru_cache(maxsize=64)
def dot(size: int, level: int) -> Image.Image:
    """A plain dot, RGBA. level: 0 dark to LEVELS bright."""
    picture, draw, w, _ = _canvas(size, size)
    t = level / LEVELS
    shade = round(255 * t)
    radius = w / 2 - 1
    _disc(
        draw, w / 2, w / 2, radius, (shade, shade, shade, round(140 + 105 * t)), (255, 255, 255, 110), max(1, w // 10)
    )
    return _reduced(picture, size, size)


@lru_cache(maxsize=512)
def label(text: str, width: int, height: int) -> Image.Image:
    """White text on a dark strip, centred, RGBA."""
    picture, draw, w, h = _canvas(width, height)
    draw.rounded_rectangle((0, 0, w - 1, h - 1), h // 4, (0, 0, 0, 130))
    _text(draw, text, w / 2, h / 2, h * 0.7, (255, 255, 255, 240))
    return _reduced(picture, width, height)


@lru_cache(maxsize=64)
def sign(lane: Key | str, width: int, height: int) -> Image.Image:
    """The glyph of a lane of the history, RGBA: a letter, an icon or two arrow heads, white on a dark field."""
    picture, draw, w, h = _canvas(width, height)
    ink = (255, 255, 255, 240)
    draw.rectangle((0, 0, w, max(0, h - 1 - _OVER)), (0, 0, 0, 160))
    x, y, r = w / 2, (h - _OVER) / 2, min(w, h) / 2
    if isinstance(lane, Key) and lane.overlay.icon:
        _icon(draw, lane.overlay.icon, x, y, r * 0.66, ink)
    elif isinstance(lane, Key):
        _text(draw, (lane.overlay.text or lane.name.upper())[:1], x, y, r * 1.6, ink)
    else:
        across = lane == "yaw"
        for way in (-1, 1):
            tip = (x + way * r * 0.85 * across, y + way * r * 0.85 * (not across))
            _arrow_head(draw, tip, (way * across, way * (not across)), r * 0.6, ink)
    return _reduced(picture, width, height)


def _canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw, int, int]:
    picture = Image.new("RGBA", (_OVER * width, _OVER * height))
    return picture, ImageDraw.Draw(picture), *picture.size


def _reduced(picture: Image.Image, width: int, height: int) -> Image.Image:
    return picture.resize((width, height), Image.Resampling.BOX)


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, fill: object, rim: object, edge: int) -> None:
    radius = max(radius, 0.5)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill, rim, edge)  # type: ignore[arg-type]


def _text(draw: ImageDraw.ImageDraw, text: str, x: float, y: float, size: float, ink: tuple[int, ...]) -> None:
    """Text centred on (x, y), x being the middle of the picture; one that is wider is made smaller."""
    font = ImageFont.load_default(max(4, size))
    left, top, right, bottom = draw.textbbox((0, 0), text, font)
    room = 0.92 * 2 * x
    if right - left > room:
        font = ImageFont.load_default(max(4, size * room / (right - left)))
        left, top, right, bottom = draw.textbbox((0, 0), text, font)
    at = (x - (left + right) / 2, y - (top + bottom) / 2)
    draw.text(at, text, ink, font)


def _icon(draw: ImageDraw.ImageDraw, icon: str, x: float, y: float, r: float, ink: tuple[int, ...]) -> None:
    """One of the icons of a description, in a circle of radius r around (x, y)."""
    thick = max(2, round(r * 0.32))
    way = -1 if icon.endswith("left") else 1
    if icon in ("up", "down"):
        down = 1 if icon == "down" else -1
        draw.line((x, y - down * r, x, y + down * r * 0.4), ink, thick)
        _arrow_head(draw, (x, y + down * r), (0, down), r, ink)
    elif icon in ("left", "right"):
        draw.line((x - way * r, y, x + way * r * 0.4, y), ink, thick)
        _arrow_head(draw, (x + way * r, y), (way, 0), r, ink)
    else:
        draw.arc((x - r, y - r * 0.7, x + r, y + r * 1.3), 180, 360, ink, thick)  # type: ignore[arg-type]
        side = x + way * (r - thick / 2)
        _arrow_head(draw, (side, y + r * 1.05), (0, 1), r * 0.9, ink)


def _arrow_head(
    draw: ImageDraw.ImageDraw, tip: tuple[float, float], way: tuple[float, float], size: float, ink: tuple[int, ...]
) -> None:
    """A filled triangle whose tip points along the unit vector `way`."""
    angle = math.atan2(way[1], way[0])
    corners = [tip]
    for turn in (2.55, -2.55):
        corners.append((tip[0] + size * math.cos(angle + turn), tip[1] + size * math.sin(angle + turn)))
    draw.polygon(corners, ink)
