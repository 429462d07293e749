"""Server-sent events, split as they arrive (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import re

from pilotage.errors import UpstreamError

EVENT_LIMIT = 8 << 20
DONE = b"[DONE]"

# An event ends at an empty line; a line ends at CRLF, LF or CR. A CR that is the last byte so far may be half a CRLF.
_END = re.compile(rb"(?:\r\n|\n|\r(?!\n|\Z))(?:\r\n|\n|\r(?!\n|\Z))")
_LINE = re.compile(rb"\r\n|\n|\r")


class Splitter:
    """Gives each event as soon as its empty line is there, byte for byte as it came, over any chunk borders."""

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._searched = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the events that this chunk completes; raise UpstreamError where one outgrows the limit."""
        if not self._rest and b"\r" not in chunk:
            if 0 <= chunk.find(b"\n\n") == len(chunk) - 2:
                return [chunk]
            *events, rest = chunk.split(b"\n\n")
            if rest:
                self._keep(rest)
            return [found + b"\n\n" for found in events]
        self._rest += chunk
        events = []
        start = 0
        position = self._searched
        while match := _END.search(self._rest, position):
            events.append(bytes(self._rest[start : match.end()]))
            start = position = match.end()
        if start:
            del self._rest[:start]
        self._keep(b"")
        return events

    def _keep(self, more: bytes) -> None:
        """Keep what is no event yet; raise UpstreamError where that outgrows the limit."""
        self._rest += more
        # The empty line may have begun within the last three bytes.
        self._searched = max(0, len(self._rest) - 3)
        if len(self._rest) > self._limit:
            raise UpstreamError("protocol", f"an event of the stream is larger than {self._limit >> 20} MB")

    @property
    def empty(self) -> bool:
        """Return whether the last chunk ended where an event did."""
        return not self._rest

    @property
    def rest(self) -> bytes:
        """Return what came of an event whose end did not; without line ends, for these belong to no event."""
        return bytes(self._rest).strip(b"\r\n")


def data_of(event: bytes) -> bytes | None:
    """Return an event's data, its lines joined by LF, or None for a comment or an event without data."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return event[6:-2]
    lines = [line[5:].removeprefix(b" ") for line in _LINE.split(event) if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None


def event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
