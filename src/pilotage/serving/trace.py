"""W3C trace context: a request's place in its caller's trace, and the places of the calls that it makes.

https://www.w3.org/TR/trace-context/. What is malformed is as if it were not there.
"""

from __future__ import annotations

import re
import time
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pilotage.spec.release import Release

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_LONGEST_STATE = 512
_chance = Random()  # noqa: S311 - ids need to differ, and guard nothing


class Trace:
    """`trace` and `span` name this request, `parent` the caller's span ("" at the beginning of a trace)."""

    __slots__ = ("parent", "sampled", "span", "state", "trace")

    def __init__(self, trace: str, parent: str, state: str, *, sampled: bool) -> None:
        self.trace, self.parent, self.state, self.sampled = trace, parent, state, sampled
        self.span = new_span()

    def headers(self, span: str) -> dict[str, str]:
        """Return what tells the next one of its place under `span`."""
        told = {"traceparent": f"00-{self.trace}-{span}-{'01' if self.sampled else '00'}"}
        return {**told, "tracestate": self.state} if self.state else told


class Hop:
    """A release asked for one request, all attempts of it; times by `time.monotonic_ns`, `ended` 0 while it lasts."""

    __slots__ = ("began", "ended", "kind", "reference", "release", "span")

    def __init__(self, reference: str, release: Release) -> None:
        self.reference, self.release = reference, release
        self.span = new_span()
        self.began, self.ended, self.kind = time.monotonic_ns(), 0, ""

    def end(self, kind: str) -> None:
        self.ended, self.kind = time.monotonic_ns(), kind


def parse(parent: str, state: str) -> Trace | None:
    """Return this request's place by the headers `traceparent` and `tracestate`; None where the first tells none."""
    found = _PARENT.fullmatch(parent) if parent else None
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == "ff" or (more and version == "00") or not (trace.strip("0") and span.strip("0")):
        return None
    kept = state if len(state) <= _LONGEST_STATE and state.isascii() and state.isprintable() else ""
    return Trace(trace, span, kept, sampled=bool(int(flags, 16) & 1))


def begin(*, sampled: bool) -> Trace:
    """Return the beginning of a new trace."""
    return Trace(f"{_chance.getrandbits(128) or 1:032x}", "", "", sampled=sampled)


def new_span() -> str:
    return f"{_chance.getrandbits(64) or 1:016x}"
