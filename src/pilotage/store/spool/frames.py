"""The spool's frames: length and CRC-32 of the payload (u32 each, little-endian), then the payload, an event's JSON."""

from __future__ import annotations

import struct
import zlib

_HEADER = struct.Struct("<II")
HEADER = _HEADER.size
LARGEST = 1 << 20
SMALLEST = 2

# Every payload begins so (the tag comes first): where the next frame can be found again behind damaged bytes.
_OPENING = b'{"event":"'


def frame(payload: bytes) -> bytes:
    size = len(payload)
    if size > LARGEST:
        raise ValueError(f"an event of {size} bytes; a frame holds at most {LARGEST}")
    return _HEADER.pack(size, zlib.crc32(payload)) + payload


def whole(data: bytes, at: int) -> int:
    """Return where the frame at `at` ends if it is all there and its checksum is right, else 0.

    An empty payload is no frame: zeros, which a power loss may leave at a file's end, must not pass for one.
    """
    if at + HEADER > len(data):
        return 0
    length, checksum = _HEADER.unpack_from(data, at)
    end = at + HEADER + int(length)
    if not SMALLEST <= length <= LARGEST or end > len(data):
        return 0
    return end if zlib.crc32(memoryview(data)[at + HEADER : end]) == checksum else 0


def next_whole(data: bytes, at: int) -> int | None:
    """Return where the first whole frame at or after `at` begins."""
    opening = data.find(_OPENING, at + HEADER)
    while opening >= 0:
        if whole(data, opening - HEADER):
            return opening - HEADER
        opening = data.find(_OPENING, opening + 1)
    return None


def torn(data: bytes) -> bool:
    """Return whether bytes that hold no whole frame look like a write that was cut short, and not like damage."""
    if len(data) < HEADER or not data.strip(b"\0"):
        return True
    length, _ = _HEADER.unpack_from(data)
    return SMALLEST <= int(length) <= LARGEST and HEADER + int(length) > len(data)
