"""Films of a high dynamic range (PQ and HLG, as phones and consoles record them) as pictures for a plain screen.

PQ is SMPTE ST 2084, HLG is ARIB STD-B67, both as in ITU-R BT.2100; brightness is squeezed by the curve of ITU-R
BT.2390 (section 5.4), with the white of a page at 203 cd/m2 (BT.2408).
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

PQ, HLG = 16, 18  # transfer characteristics, as ITU-T H.273 numbers them
_BT709 = 1  # primaries
_PEAK, _WHITE = 1000.0, 203.0  # cd/m2, of what is filmed and of a plain screen
_STEPS = 4096  # of the tables
_TO_BT709 = np.array(  # linear light of BT.2020, by ITU-R BT.2087
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)  # of BT.2020


def is_high_range(transfer: int) -> bool:
    """Whether pictures with these transfer characteristics look pale where they are taken as they are."""
    return transfer in (PQ, HLG)


def to_standard_range(picture: NDArray[np.uint16], transfer: int, primaries: int) -> NDArray[np.uint8]:
    """RGB [H, W, 3] of 16 bits, as it is in a film -> of 8 bits, as a plain screen shows it."""
    light = _light(transfer)[picture >> 4]
    if transfer == HLG:  # what a screen of this peak makes of the scene's light
        light *= _PEAK * np.maximum(light @ _LUMINANCE, 1e-6)[..., None] ** 0.2
    if primaries != _BT709:
        light = (light @ _TO_BT709.T).clip(0)
    brightest = light.max(axis=-1, keepdims=True)
    index = (np.sqrt(brightest.clip(0, _PEAK) / _PEAK) * (_STEPS - 1)).astype(np.uint16)
    shown = (light * _tone_curve()[index]).clip(0, 1)
    return _levels()[(np.sqrt(shown) * (_STEPS - 1) + 0.5).astype(np.uint16)]


@functools.cache
def _light(transfer: int) -> NDArray[np.float32]:
    """Light of each level: for PQ in cd/m2, for HLG the scene's, from 0 to 1."""
    level = np.linspace(0, 1, _STEPS)
    if transfer == PQ:
        return _from_pq(level).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(level <= 0.5, level**2 / 3, (np.exp((level - c) / a) + b) / 12).astype(np.float32)


@functools.cache
def _tone_curve() -> NDArray[np.float32]:
    """What light is multiplied by, for the root of the brightest of its three colours: 1 is then a screen's white."""
    light = np.linspace(0, 1, _STEPS) ** 2 * _PEAK
    peak, white = _to_pq(_PEAK), _to_pq(_WHITE) / _to_pq(_PEAK)
    knee = 1.5 * white - 0.5
    level = _to_pq(light) / peak
    t = ((level - knee) / (1 - knee)).clip(0)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * white
    squeezed = _from_pq(np.where(level < knee, level, curve) * peak)
    squeezed[0], light[0] = light[1], light[1]  # their ratio at black
    return (squeezed / light / _WHITE).astype(np.float32)


@functools.cache
def _levels() -> NDArray[np.uint8]:
    """sRGB of 8 bits for the root of linear light."""
    light = np.linspace(0, 1, _STEPS) ** 2
    level = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (level * 255).round().astype(np.uint8)


def _to_pq(light: NDArray[np.float64] | float) -> NDArray[np.float64]:
    power = (np.asarray(light) / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def _from_pq(level: NDArray[np.float64]) -> NDArray[np.float64]:
    power = level ** (32 / 2523)
    return 10000 * ((power - 3424 / 4096).clip(0) / (2413 / 128 - 2392 / 128 * power)) ** (16384 / 2610)
