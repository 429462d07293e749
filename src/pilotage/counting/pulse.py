"""What goes through the gateway right now: the last quarter of an hour, by use case and release, a few numbers a bucket.

It is fed with every event that is read, and holds nothing of any of them; a process that begins knows what it has read since.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

from pilotage.clock import SECOND
from pilotage.records import Finished

if TYPE_CHECKING:
    from pilotage.records import SpoolEvent

BUCKETS = 90
BUCKET = 10 * SECOND
_FINEST = 1_000
_BINS = 80
_GROWTH = math.log(1.2)
_MILLION = 1_000_000


class _Counts:
    """One release in one bucket of time. `bins` counts answers by their time, each bin a fifth longer than the one before."""

    __slots__ = ("bins", "cost", "errors", "fallbacks", "requests")

    def __init__(self) -> None:
        self.requests = self.errors = self.fallbacks = self.cost = 0
        self.bins: dict[int, int] = {}


class Pulse:
    """`width` is a bucket's length in the clock's microseconds: a time-lapse shows as much real time as any other."""

    def __init__(self, since: int, *, rate: float = 1.0) -> None:
        self.since, self.width = since, round(BUCKET * rate)
        self._lock = threading.Lock()
        self._buckets: dict[int, dict[tuple[str, str], _Counts]] = {}
        self._newest = 0

    def feed(self, event: SpoolEvent, now: int) -> None:
        """Count an event that is read `now`; one from a clock that goes ahead of ours counts as of now."""
        if not isinstance(event, Finished):
            return
        newest = now // self.width
        bucket = min(event.at // self.width, newest)
        if bucket <= newest - BUCKETS:
            return
        with self._lock:
            if newest > self._newest:
                self._newest = newest
                for gone in [one for one in self._buckets if one <= newest - BUCKETS]:
                    del self._buckets[gone]
            counts = self._buckets.setdefault(bucket, {}).setdefault((event.use_case, event.served), _Counts())
            counts.requests += 1
            counts.errors += bool(event.error)
            counts.fallbacks += event.fallback
            counts.cost += event.cost
            if not event.cancelled:
                place = bin_of(event.duration)
                counts.bins[place] = counts.bins.get(place, 0) + 1

    def shown(self, use_case: str, now: int) -> dict[str, Any]:
        """Return what went through, by release: totals, times to answer in milliseconds, and a row a bucket, the oldest first.

        The bucket that is not over is left out, for it would look like a fall; the one in which counting began is as short as it was.
        """
        last = now // self.width - 1
        first = max(last - BUCKETS + 2, self.since // self.width)
        releases: dict[str, dict[int, _Counts]] = {}
        with self._lock:
            for bucket, rows in self._buckets.items():
                if first <= bucket <= last:
                    for (name, release), counts in rows.items():
                        if name == use_case:
                            releases.setdefault(release, {})[bucket] = counts
        starts = [max(bucket * self.width, self.since) for bucket in range(first, last + 1)]
        until = max((last + 1) * self.width, self.since)
        scale = BUCKET / SECOND / self.width
        spans = {
            bucket: scale * (min((bucket + 1) * self.width, until) - start)
            for bucket, start in zip(range(first, last + 1), starts, strict=True)
        }
        return {
            "since": starts[0] if starts else until,
            "until": until,
            "bucket_seconds": BUCKET // SECOND,
            "releases": [_release(release, rows, spans) for release, rows in sorted(releases.items())],
        }


def _release(release: str, rows: dict[int, _Counts], spans: dict[int, float]) -> dict[str, Any]:
    bins: dict[int, int] = {}
    for counts in rows.values():
        for place, n in counts.bins.items():
            bins[place] = bins.get(place, 0) + n
    requests = sum(counts.requests for counts in rows.values())
    none = _Counts()
    return {
        "release": release,
        "requests": requests,
        "errors": sum(counts.errors for counts in rows.values()),
        "fallbacks": sum(counts.fallbacks for counts in rows.values()),
        "cost": sum(counts.cost for counts in rows.values()) / _MILLION,
        "p50": percentile(bins, 0.5),
        "p95": percentile(bins, 0.95),
        "a_second": [rows.get(bucket, none).requests / span for bucket, span in spans.items()],
        "failed": [rows.get(bucket, none).errors / span for bucket, span in spans.items()],
        "slow": [percentile(rows.get(bucket, none).bins, 0.95) for bucket in spans],
        "an_hour": [rows.get(bucket, none).cost / _MILLION * 3_600 / span for bucket, span in spans.items()],
    }


def bin_of(duration: int) -> int:
    """Return the bin of a duration in microseconds."""
    return min(_BINS, max(0, math.ceil(math.log(max(duration, 1) / _FINEST) / _GROWTH)))


def percentile(bins: dict[int, int], part: float) -> float | None:
    """Return the upper end, in milliseconds, of the bin in which a part of all answers lies; None without any answer."""
    wanted = part * sum(bins.values())
    seen = 0
    for place in sorted(bins):
        seen += bins[place]
        if seen >= wanted:
            return _FINEST * math.exp(place * _GROWTH) / 1_000
    return None
