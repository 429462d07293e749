"""What sound is by its own bytes: WAV, MP3, Ogg (Opus, Vorbis, FLAC) and FLAC; how long, at which rate. Nothing is decoded."""

from __future__ import annotations

from typing import NamedTuple


class Heard(NamedTuple):
    """`seconds` is None where the bytes do not say; `hertz` is the sampling rate."""

    format: str
    seconds: float | None
    hertz: int
    whole: bool


_MPEG_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_MPEG_BITS = {
    # By (whether MPEG-1, layer): kilobits a second by index, of which 0 is free, which nobody sends (ISO 11172-3, 2.4.2.3; 13818-3).
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_LAYERS = {1: 3, 2: 2, 3: 1}
_PAGES = 64
"""Pages that are looked at from the end, where several streams lie in one file."""


def sound_of(data: bytes) -> Heard | None:
    """Return what sound is; None where these bytes are none that is known here."""
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return _wav(data)
    if data.startswith(b"fLaC"):
        return _flac(data, 4, "flac")
    if data.startswith(b"OggS"):
        return _ogg(data)
    return _mp3(data)


def _wav(data: bytes) -> Heard | None:
    at, rate, bytes_a_second = 12, 0, 0
    while at + 8 <= len(data):
        kind, length = data[at : at + 4], _little(data[at + 4 : at + 8])
        at += 8
        if kind == b"fmt " and len(data) >= at + 16:
            rate, bytes_a_second = _little(data[at + 4 : at + 8]), _little(data[at + 8 : at + 12])
        elif kind == b"data":
            if not rate or not bytes_a_second:
                return None
            there = len(data) - at
            # Whoever writes while it sounds cannot know the length, and says 0 or all ones.
            streamed = length in (0, 0xFFFFFFFF) or length > 0x7FFFFF00
            return Heard(
                "wav", min(there if streamed else length, there) / bytes_a_second, rate, streamed or length <= there
            )
        at += length + length % 2
    return None


def _flac(data: bytes, at: int, name: str) -> Heard | None:
    # RFC 9639, 8.2: after the block's head come 10 bytes, then 20 bits of rate, 3, 5, and 36 bits of samples.
    if len(data) < at + 22 or data[at] & 0x7F != 0:
        return None
    rate = _big(data[at + 14 : at + 17]) >> 4
    samples = _big(data[at + 17 : at + 22]) & 0xFFFFFFFFF
    if not rate:
        return None
    return Heard(name, samples / rate if samples else None, rate, whole=True)


def _ogg(data: bytes) -> Heard | None:
    # RFC 3533, 6: the head of a page has the granule position at 6, the stream at 14, and its segments from 26 on.
    if len(data) < 28:
        return None
    stream, packet = data[14:18], data[27 + data[26] :]
    if packet.startswith(b"OpusHead") and len(packet) >= 16:
        # RFC 7845, 5.1: positions are of 48 kHz whatever was recorded, less what is skipped at the start.
        name, rate, clock, skipped = "opus", _little(packet[12:16]) or 48_000, 48_000, _little(packet[10:12])
    elif packet.startswith(b"\x01vorbis") and len(packet) >= 16:
        rate = clock = _little(packet[12:16])
        name, skipped = "vorbis", 0
    elif packet.startswith(b"\x7fFLAC") and (head := _flac(packet, 13, "flac")) is not None:
        name, rate, clock, skipped = "flac", head.hertz, head.hertz, 0
    else:
        return None
    if not clock:
        return None
    last = _last_page(data, stream)
    if last is None:
        return Heard(f"ogg/{name}", None, rate, whole=False)
    position, ended = last
    return Heard(f"ogg/{name}", max(0, position - skipped) / clock, rate, ended)


def _last_page(data: bytes, stream: bytes) -> tuple[int, bool] | None:
    """Return (granule position, whether the stream ends there) of the last page of a stream."""
    end = len(data)
    for _ in range(_PAGES):
        at = data.rfind(b"OggS", 0, end)
        if at < 0:
            return None
        position = data[at + 6 : at + 14]
        # All ones: no packet ends on that page.
        if len(data) >= at + 27 and data[at + 14 : at + 18] == stream and position != b"\xff" * 8:
            return _little(position), bool(data[at + 5] & 4)
        end = at
    return None


def _mp3(data: bytes) -> Heard | None:
    at = 0
    if data[:3] == b"ID3" and len(data) >= 10:
        # Seven bits of each byte count (ID3v2.4, 3.1).
        at = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    end = len(data) - 128 if data[-128:-125] == b"TAG" else len(data)
    frames, seconds, rate = 0, 0.0, 0
    while at + 4 <= end:
        frame = _frame(data[at : at + 4])
        if frame is None:
            break
        length, samples, rate = frame
        frames += 1
        seconds += samples / rate
        at += length
    # One head alone is four bytes that many files have: it must be followed by another, or by the end.
    if not frames or (frames == 1 and at != end):
        return None
    return Heard("mp3", seconds, rate, end - 4 < at <= end)


def _frame(head: bytes) -> tuple[int, int, int] | None:
    """Return (bytes, samples, samples a second) of an MPEG audio frame; None where this is no head of one."""
    if head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, _LAYERS.get(head[1] >> 1 & 3)
    kilobits, rates = head[2] >> 4, _MPEG_RATES.get(version)
    if layer is None or rates is None or kilobits in (0, 15) or head[2] >> 2 & 3 == 3:
        return None
    rate, padded = rates[head[2] >> 2 & 3], head[2] >> 1 & 1
    bits = _MPEG_BITS[version == 3, layer][kilobits] * 1000
    if layer == 1:
        return (12 * bits // rate + padded) * 4, 384, rate
    samples = 576 if layer == 3 and version != 3 else 1152
    return samples // 8 * bits // rate + padded, samples, rate


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")
