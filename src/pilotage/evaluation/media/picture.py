"""What the head of a picture says of it: PNG, JPEG, WebP and GIF, by their first bytes and never by what somebody calls them.

Nothing is decoded, so no picture can do more here than be misread: what does not hold together is no picture.
"""

from __future__ import annotations

from typing import NamedTuple


class Seen(NamedTuple):
    """Pixels; `whole` is whether its end is there."""

    format: str
    width: int
    height: int
    whole: bool


_PNG = b"\x89PNG\r\n\x1a\n"
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
"""JPEG's markers that stand alone: TEM and RST0 to RST7 (ITU-T T.81, table B.1)."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""SOF0 to SOF15, which say how large the picture is; C4, C8 and CC are tables."""


def picture_of(data: bytes) -> Seen | None:
    """Return what a picture is; None where these bytes are none that is known here, or one without an extent."""
    if data.startswith(_PNG):
        seen = _png(data)
    elif data.startswith(b"\xff\xd8\xff"):
        seen = _jpeg(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        seen = _webp(data)
    elif data[:6] in (b"GIF87a", b"GIF89a"):
        seen = _gif(data)
    else:
        return None
    return seen if seen is not None and seen.width > 0 and seen.height > 0 else None


def _png(data: bytes) -> Seen | None:
    # W3C PNG, 11.2.1: the first chunk is IHDR, of 13 bytes, which begin with width and height.
    if len(data) < 24 or data[8:16] != b"\0\0\0\x0dIHDR":
        return None
    return Seen("png", _big(data[16:20]), _big(data[20:24]), b"IEND" in data[-16:])


def _jpeg(data: bytes) -> Seen | None:
    at, end = 2, len(data)
    while at + 4 <= end:
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        elif marker in _FRAMES:
            if at + 9 > end:
                return None
            return Seen("jpeg", _big(data[at + 7 : at + 9]), _big(data[at + 5 : at + 7]), b"\xff\xd9" in data[-64:])
        else:
            length = _big(data[at + 2 : at + 4])
            if length < 2 or marker in (0xD9, 0xDA):
                # An end, or the picture itself, before anything said how large it is.
                return None
            at += 2 + length
    return None


def _webp(data: bytes) -> Seen | None:
    # RFC 9649, 2.5 to 2.7.
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        return None
    whole = 8 + _little(data[4:8]) <= len(data)
    if kind == b"VP8X":
        return Seen("webp", _little(body[4:7]) + 1, _little(body[7:10]) + 1, whole)
    if kind == b"VP8L" and body[0] == 0x2F:
        bits = _little(body[1:5])
        return Seen("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, whole)
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        return Seen("webp", _little(body[6:8]) & 0x3FFF, _little(body[8:10]) & 0x3FFF, whole)
    return None


def _gif(data: bytes) -> Seen | None:
    if len(data) < 13:
        return None
    return Seen("gif", _little(data[6:8]), _little(data[8:10]), data.rstrip(b"\0").endswith(b"\x3b"))


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")
