"""Time and identity: the only place that asks the machine what time it is.

Times are integer microseconds since 1970 in UTC. `now` is the time that records carry; a time-lapse scales it for every
process alike. Durations of work (latency, timeouts) are real and come from `time.monotonic`, which no clock scales.
"""

from __future__ import annotations

import os
import time
from typing import Protocol

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Clock(Protocol):
    def now(self) -> int:
        """Return microseconds since 1970, UTC."""


class SystemClock:
    def now(self) -> int:
        return time.time_ns() // 1000


class ScaledClock:
    """A time-lapse: `rate` seconds pass for each real second after `origin` (real microseconds).

    Processes that are given the same text (`str(clock)`) read the same time.
    """

    def __init__(self, origin: int, start: int, rate: float) -> None:
        if not rate > 0:
            msg = f"a clock's rate must be above 0, not {rate}"
            raise ValueError(msg)
        self.origin, self.start, self.rate = origin, start, rate

    def now(self) -> int:
        return self.start + int((time.time_ns() // 1000 - self.origin) * self.rate)

    def __str__(self) -> str:
        return f"{self.origin}:{self.start}:{self.rate}"


class FrozenClock:
    """A clock that stands until it is moved: for tests and replays."""

    def __init__(self, at: int = 1_790_000_000 * SECOND) -> None:
        self.at = at

    def now(self) -> int:
        return self.at

    def advance(self, microseconds: int) -> None:
        self.at += microseconds


def clock_from(text: str) -> Clock:
    """Return the clock that `text` names: empty for the system's, `origin:start:rate` for a time-lapse."""
    if not text:
        return SystemClock()
    try:
        origin, start, rate = text.split(":")
        return ScaledClock(int(origin), int(start), float(rate))
    except ValueError:
        msg = f"not a clock: {text!r}; expected origin:start:rate in microseconds and seconds a second"
        raise ValueError(msg) from None


def new_id(clock: Clock) -> str:
    """Return a UUIDv7 as 32 hex digits: 48 bits of milliseconds, then 74 random bits (RFC 9562, section 5.7)."""
    while True:
        try:
            return f"{clock.now() // 1000:012x}{_TAILS.pop()}"
        except IndexError:
            _TAILS.extend(_tails())


_TAILS: list[str] = []
"""Version and random digits of the next ids: asking the system for each would cost more than all the rest of it."""
os.register_at_fork(after_in_child=_TAILS.clear)


def _tails(count: int = 256) -> list[str]:
    digits = os.urandom(10 * count).hex()
    # Two of twenty random digits give way: one to the version, one to two bits of variant and two of its own.
    return [
        f"7{digits[at : at + 3]}{'89ab'[int(digits[at + 3], 16) & 3]}{digits[at + 4 : at + 19]}"
        for at in range(0, len(digits), 20)
    ]
