"""What a file is, by its first bytes: for messages about a file of the wrong kind."""

from __future__ import annotations

import re

HEAD = 512  # bytes that are examined
_PACKED = "a compressed archive, which has to be unpacked first"
_BEGINNINGS = (
    (b"\x89PNG", "a PNG picture"), (b"\xff\xd8\xff", "a JPEG picture"), (b"GIF8", "a GIF picture"),
    (b"II*\0", "a TIFF picture or a raw photograph"), (b"MM\0*", "a TIFF picture or a raw photograph"),
    (b"8BPS", "a Photoshop file"), (b"v/1\x01", "an EXR picture"), (b"#?RADIANCE", "a Radiance HDR picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"), (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\xff\x0a", "a JPEG XL picture"), (b"\0\0\0\x0cJXL ", "a JPEG XL picture"), (b"II\xbc\x01", "a JPEG XR picture"),
    (b"qoif", "a QOI picture"), (b"DDS ", "a DDS texture"), (b"%!PS", "PostScript"), (b"%PDF", "a PDF document"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"), (b"ID3", "an MP3 sound"), (b"OggS", "an Ogg file"),
    (b"fLaC", "a FLAC sound"),
    (b"\x1f\x8b", _PACKED), (b"BZh", _PACKED), (b"\xfd7zXZ", _PACKED), (b"\x28\xb5\x2f\xfd", _PACKED),
    (b"7z\xbc\xaf\x27\x1c", _PACKED), (b"Rar!", _PACKED), (b"PK\x03\x04", "a zip archive"),
    (b"\x89HDF\r\n", "an HDF5 file"), (b"\x93NUMPY", "a NumPy array"), (b"GGUF", "a GGUF file of weights"),
    (b"SQLite format 3", "a database"), (b"PAR1", "a Parquet table"), (b"ARROW1", "an Arrow table"),
    (b"\x7fELF", "a program"), (b"{\\rtf", "a Rich Text document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
    (b"version https://git-lfs", "a git-lfs pointer, not the file itself"),
)  # fmt: skip
_RIFF = {b"WEBP": "a WebP picture", b"AVI ": "an AVI video", b"WAVE": "a WAV sound"}
_BRANDS = {b"avif": "an AVIF picture", b"avis": "an AVIF picture", b"M4A ": "an M4A sound"}
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_PAGE = re.compile(rb"\s*<(?:!doctype\s+html|html|head|body)", re.IGNORECASE)
_DRAWING = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<svg", re.IGNORECASE | re.DOTALL)
_LONGEST = 60  # characters of a text that are shown


def kind_of(head: bytes) -> str:
    """What a file that begins with these bytes is: "a PNG picture", or "text ('Entry not found')"; empty where
    unknown."""
    if head[4:8] == b"ftyp":
        return "an HEIC picture" if head[8:12] in _HEIC else _BRANDS.get(head[8:12], "a video")
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12], "")
    found = next((what for mark, what in _BEGINNINGS if head.startswith(mark)), "")
    if found or not head:
        return found
    if _PAGE.match(head):
        return "a web page"
    if _DRAWING.match(head):
        return "an SVG drawing"
    return _text(head[:HEAD])


def _text(head: bytes) -> str:
    """How the text begins; empty where the bytes are not text."""
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # more than one character cut off at the end
            return ""
        text = head[: error.start].decode("utf-8-sig")
    if any(letter < " " and letter not in "\t\n\r\f" for letter in text):
        return ""
    text = " ".join(text.split())
    text = text if text.isprintable() else ascii(text)[1:-1]
    return f"text ('{text[:_LONGEST]}{'...' if len(text) > _LONGEST else ''}')" if text else ""
