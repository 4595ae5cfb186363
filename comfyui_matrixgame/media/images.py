"""Pictures: the one place where a picture file is opened and decoded.

Only the formats in FORMATS are opened, whatever a file is called: other plug-ins of Pillow start programs
(PostScript) or were never meant for strangers' files. The number of pixels is looked at before they are decoded.
"""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.Image import Transpose
from torch import Tensor

from ..errors import ImageError
from ..system.files import open_regular
from ..system.kinds import HEAD, kind_of
from .fitting import check_size, crop_of, image_tensor, resize_to

MOST_PIXELS = 64_000_000  # 256 MB decoded; a photograph of 9,248 x 6,920
MOST_BYTES = 1 << 30  # of a file: what the largest pictures take, and then some
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
ENDINGS = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif",
)  # fmt: skip
"""What the names of pictures end in, in small letters."""

_ORIENTATION = 0x0112  # EXIF
_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
BRIGHTEST = 16  # of float pictures whose white is 1; the light of one whose white is 255 would be darker than night
_STRIP = 4 << 20  # pixels that are converted at a time
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_USE = "use PNG, JPEG or WebP"


@contextlib.contextmanager
def open_picture(source: str | Path | bytes) -> Iterator[Image.Image]:
    """A picture file, or its bytes, opened and not yet decoded. While it is open, whatever goes wrong with it is an
    ImageError that names the file."""
    name = "the image" if isinstance(source, bytes) else Path(source).name
    try:
        with contextlib.ExitStack() as stack:
            file = io.BytesIO(source) if isinstance(source, bytes) else stack.enter_context(open_regular(source))
            if (size := file.seek(0, io.SEEK_END)) > MOST_BYTES:
                raise ImageError(f"{name} has {size >> 20} MiB, which no picture needs; {_USE}.")
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of too many pixels, which are counted here, and of odd metadata
                image = stack.enter_context(Image.open(file, formats=_formats()))
            _check_pixels(image, name)
            yield image
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"There is no image {source!s}; check the path.") from None
    except UnidentifiedImageError:
        raise ImageError(f"{name} {_what_it_is(source)}.") from None
    except Image.DecompressionBombError:
        raise ImageError(_too_many(name, "more than 178")) from None
    except MemoryError:
        raise ImageError(f"{name} is a picture that needs more memory than there is; scale it down.") from None
    except OSError as error:
        if error.errno is not None:  # of the file, not of what is in it
            raise ImageError(f"{name} cannot be read: {error.strerror}.") from None
        raise ImageError(f"{name} cannot be read as a picture ({_line(error)}); is the file complete?") from None
    except Exception as error:  # a decoder may raise anything
        raise ImageError(f"{name} cannot be read as a picture ({_line(error)}); is the file complete?") from None


def read_image(source: str | Path | bytes) -> Tensor:
    """A picture file (or its bytes) -> [3, H, W] float32 in [-1, 1].

    Turned as its EXIF data says, deeper pixels and CMYK converted, transparency laid over black; of several pictures
    the first. Raises ImageError.
    """
    return image_tensor(read_pixels(source))


def read_pixels(source: str | Path | bytes, under: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """A picture file (or its bytes) -> [H, W, 3] of 8 bits; as `read_image`. under: a picture [H, W, 3] of 8 bits, over
    which transparency is laid instead where it has the file's size."""
    with open_picture(source) as opened:
        image, scale = _decoded(opened)
        if under is not None and under.shape[:2] != (image.height, image.width):
            under = None
        boxes = _strips((0, 0, *image.size))
        rows = [(box, None if under is None else under[box[1] : box[3]]) for box in boxes]
        return np.concatenate([_rgb(image.crop(box), scale, beneath) for box, beneath in rows])


def read_start(
    source: str | Path | bytes, height: int, width: int, note: Callable[[str], object] | None = None
) -> Tensor:
    """A picture file (or its bytes) -> [3, height, width] float32 in [-1, 1]: `fit_image` of `read_image` to the bit,
    in the memory of the 8-bit picture. note: called with a sentence where only a part of the file is used.

    Raises ImageError.
    """
    check_size(height, width)
    with open_picture(source) as opened:
        if note is not None and (text := _several(opened)):
            note(f"{'the image' if isinstance(source, bytes) else Path(source).name} {text}")
        _check_crop(opened, height, width)  # before it is decoded
        image, scale = _decoded(opened)
        rows, columns = crop_of(image.height, image.width, height, width)
        left, top = (image.width - columns) // 2, (image.height - rows) // 2
        strips = [
            resize_to(image_tensor(_rgb(image.crop(box), scale)), box[3] - box[1], width)
            for box in _strips((left, top, left + columns, top + rows))
        ]
    return resize_to(torch.cat(strips, dim=1), height, width).clamp_(-1, 1).contiguous()


def check_picture(path: str | Path, height: int, width: int) -> None:
    """Raise ImageError where a picture is not one, or cannot be cut to this size; nothing is decoded for it."""
    check_size(height, width)
    with open_picture(path) as image:
        _check_crop(image, height, width)


@functools.cache
def _formats() -> tuple[str, ...]:
    """The formats that are opened; HEIC where its library is installed."""
    try:
        from pillow_heif import register_heif_opener  # pyright: ignore[reportMissingImports]
    except ImportError:
        return FORMATS
    register_heif_opener()
    return (*FORMATS, "HEIF")


def _check_pixels(image: Image.Image, name: str) -> None:
    pixels = image.width * image.height
    if pixels <= MOST_PIXELS:
        return
    if image.format == "JPEG" and "progressive" not in image.info:
        half = (image.width // 2, image.height // 2)
        image.draft(None, half)  # a decoder of JPEG can leave out what a smaller picture does not show
        if image.width * image.height <= MOST_PIXELS:
            return
    raise ImageError(_too_many(name, f"{pixels / 1e6:.0f}"))


def _too_many(name: str, millions: str) -> str:
    return f"{name} has {millions} million pixels; scale it down to {MOST_PIXELS // 10**6} million or fewer."


def _check_crop(image: Image.Image, height: int, width: int) -> None:
    columns, rows = image.size
    if image.format == "TIFF":  # some versions of Pillow turn these sides, and some only what is decoded
        columns, rows = (image.tag_v2[tag] for tag in (256, 257))  # type: ignore[attr-defined]
    if _turn(image) in (5, 6, 7, 8):
        columns, rows = rows, columns
    crop_of(rows, columns, height, width)


def _turn(image: Image.Image) -> int:
    """The EXIF orientation; 1 where there is none that can be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF data of a picture that is whole
        return 1


def _several(image: Image.Image) -> str | None:
    if not getattr(image, "is_animated", False):
        return None
    if image.format == "TIFF":
        return "has several pages; the first is used"
    return None if image.format == "MPO" else "is animated; its first frame is used"  # MPO: a photograph's previews


def _decoded(opened: Image.Image) -> tuple[Image.Image, float]:
    """The picture, turned, and what its values are multiplied with to reach 255, where they have more than 8 bits."""
    opened.load()
    turn = _TURNS.get(_turn(opened))  # now, as a TIFF is turned while it is decoded
    image = opened if turn is None else opened.transpose(turn)
    if image.mode in _SIXTEEN_BITS:
        return image, 1 / 257
    if image.mode not in ("I", "F"):
        return image, 1
    highest = 0.0
    for box in _strips((0, 0, *image.size)):
        values = np.asarray(image.crop(box))
        if not np.isfinite(values).all():
            raise ImageError("The image holds values that are not numbers; save it as PNG or JPEG.")
        highest = max(highest, float(values.max()))
    if image.mode == "F" and highest <= BRIGHTEST:
        return image, 255
    if image.mode == "F" and highest <= 255:
        return image, 1
    return image, 1 / 257 if highest <= 65535 else 255 / (2**31 - 1)


def _strips(box: tuple[int, int, int, int]) -> Iterator[tuple[int, int, int, int]]:
    """A box cut into pieces of whole rows."""
    left, top, right, bottom = box
    rows = max(1, _STRIP // max(1, right - left))
    for row in range(top, bottom, rows):
        yield left, row, right, min(bottom, row + rows)


def _rgb(image: Image.Image, scale: float, under: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """[H, W, 3]. under: what is seen through it, of the same shape; black without it."""
    if image.mode in (*_SIXTEEN_BITS, "I", "F"):  # Pillow would clip, not scale
        grey = (np.asarray(image, dtype=np.float64) * scale).round().clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("La", "RGBa"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGB", image.size) if under is None else Image.fromarray(under)
        image = Image.alpha_composite(ground.convert("RGBA"), image)
    return np.asarray(image.convert("RGB"))


def _what_it_is(source: str | Path | bytes) -> str:
    """What a file in no supported format is, as far as its first bytes tell."""
    try:
        if isinstance(source, bytes):
            head = source[:HEAD]
        else:
            with open_regular(source) as file:
                head = file.read(HEAD)
    except OSError:
        head = b""
    if not head:
        return f"is empty; {_USE}"
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heim", b"heis"):
        return "is an HEIC picture; install its library with `pip install pillow-heif`, or save it as JPEG"
    if brand in (b"avif", b"avis"):
        return "is an AVIF picture, which this Pillow cannot read; update Pillow, or save it as JPEG"
    if brand or head[:4] == b"\x1aE\xdf\xa3":
        return f"is a video, not a picture; {_USE}"
    kind = kind_of(head)
    if kind in ("a PNG picture", "a JPEG picture", "a GIF picture", "a WebP picture"):
        return f"is {kind} that is damaged or cut short; copy it again"
    if kind:
        return f"is {kind}, not a picture this program can read; {_USE}"
    return f"is not a picture this program can read; {_USE}"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
