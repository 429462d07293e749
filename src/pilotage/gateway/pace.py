"""Requests and tokens of this minute, by key and by unit: counted, told in headers as OpenAI tells them, and refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import xxhash

from pilotage.clock import MINUTE, SECOND
from pilotage.errors import RequestError
from pilotage.spec.route import Pace

if TYPE_CHECKING:
    from collections.abc import Sequence


class Count(Protocol):
    """One request as it was counted: with it, so much was asked in that period, unless it would have `passed` a limit."""

    passed: str
    requests: int
    amount: int

    def correct(self, amount: int) -> None:
        """Say how much it was in place of what was supposed."""

    def add(self, amount: int) -> None:
        """Count so much more for it, or less where that is below 0."""

    def undo(self) -> None:
        """Take it back."""


class Counter(Protocol):
    def take(self, subject: int, period: int, amount: int, *, requests: int, most: int) -> Count:
        """Count one request of somebody in a period, unless it would pass a limit: 0 is none."""


class Paced(NamedTuple):
    """Somebody whose minute is limited: `whose` in words, `subject` as a hash of 64 bits."""

    whose: str
    subject: int
    pace: Pace


def subject(*parts: str) -> int:
    """Return the hash that somebody is counted by; it is never 0."""
    return xxhash.xxh3_64_intdigest("\0".join(parts).encode()) or 1


class Paces:
    """`rate` is how fast the clock goes: those who wait do so in real time."""

    def __init__(self, counter: Counter, rate: float) -> None:
        self._counter = counter
        self._rate = rate
        self.refused = {"requests": 0, "tokens": 0}

    def count(self, limited: Sequence[Paced], now: int, tokens: int, out: dict[str, str]) -> list[Count]:
        """Count a request for everybody whose minute is limited; raise RequestError 429 where it is one too many.

        `out` gets the headers that tell how much is left: of whoever has least.
        """
        counted: list[Count] = []
        left = -now % MINUTE or MINUTE
        reset = f"{-(-left // SECOND)}s" if self._rate == 1.0 else f"{-int(-left / self._rate // SECOND)}s"
        for one in limited:
            pace = one.pace
            count = self._counter.take(one.subject, now // MINUTE, tokens, requests=pace.requests, most=pace.tokens)
            if pace.requests:
                _tell("requests", pace.requests, count.requests, reset, out)
            if pace.tokens:
                _tell("tokens", pace.tokens, count.amount, reset, out)
            if count.passed:
                for other in counted:
                    other.undo()
                raise self._refusal(one, count, left, out)
            counted.append(count)
        return counted

    def _refusal(self, one: Paced, count: Count, left: int, out: dict[str, str]) -> RequestError:
        what = "requests" if count.passed == "requests" else "tokens"
        most = one.pace.requests if what == "requests" else one.pace.tokens
        self.refused[what] += 1
        says = f"{one.whose} may ask for {most:,} {what} a minute, and this would be more"
        return late(says, what, "rate_limit_exceeded", left / self._rate, out)


def late(says: str, kind: str, code: str, wait: float, out: dict[str, str]) -> RequestError:
    """Return a refusal that may be otherwise in `wait` microseconds of real time, and say so in the headers."""
    seconds = max(1, -int(-wait // SECOND))
    out["retry-after"] = str(seconds)
    if seconds > _WORTH_WAITING:
        # OpenAI's and Anthropic's clients would ask twice more within seconds.
        out["x-should-retry"] = "false"
    return RequestError(429, says, code=code, kind=kind)


_WORTH_WAITING = 60


def _tell(what: str, most: int, asked: int, reset: str, out: dict[str, str]) -> None:
    limit, remaining, until = _HEADERS[what]
    left = most - asked if asked < most else 0
    if remaining not in out or left < int(out[remaining]):
        out[limit] = str(most)
        out[remaining] = str(left)
        out[until] = reset


_HEADERS = {
    what: (f"x-ratelimit-limit-{what}", f"x-ratelimit-remaining-{what}", f"x-ratelimit-reset-{what}")
    for what in ("requests", "tokens")
}
