"""The order in which units enter: by exposure, then by hash. All metrics keep the same one, each at its own pace."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from operator import attrgetter
from typing import TYPE_CHECKING

import xxhash

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pilotage.counting.unit import Unit

SPAN = 20
"""A bucket holds the units of 2^20 microseconds, about a second."""
_at = attrgetter("at")


def hash_of(rollout: str, unit: str) -> int:
    """Return what a unit is told from others by, and ordered by where times are equal; modulo a million, its position.

    It is the hash of `serving.routing.position`, of which more than the position is needed here.
    """
    return xxhash.xxh3_64_intdigest(f"{rollout}\0{unit}".encode())


def _place(unit: Unit) -> tuple[int, int]:
    return unit.at, unit.hash


class Timeline:
    """Units by the second of their exposure. A bucket is sorted when it is read after it changed."""

    def __init__(self) -> None:
        self._buckets: dict[int, list[Unit]] = {}
        self._keys: list[int] = []
        self._changed: set[int] = set()

    def add(self, unit: Unit) -> None:
        """Add a unit, or put one in its place whose `at` was lowered. One whose `at` is below 0 is not in any more."""
        key = unit.at >> SPAN
        bucket = self._buckets.get(key)
        if bucket is None:
            self._buckets[key] = [unit]
            insort(self._keys, key)
        else:
            if bucket and unit.at <= bucket[-1].at:
                self._changed.add(key)
            bucket.append(unit)

    def touch(self, at: int) -> None:
        """Say that a unit which was there at this time has gone, or moved within its second."""
        key = at >> SPAN
        if key in self._buckets:
            self._changed.add(key)

    def between(self, after: int, until: int) -> Iterator[Unit]:
        """Yield the units with after < at <= until, in order."""
        keys = self._keys
        for index in range(bisect_left(keys, after >> SPAN), bisect_right(keys, until >> SPAN)):
            bucket = self._sorted(keys[index])
            start = bisect_right(bucket, after, key=_at) if keys[index] == after >> SPAN else 0
            for position in range(start, len(bucket)):
                unit = bucket[position]
                if unit.at > until:
                    return
                yield unit

    def pop(self, until: int) -> Iterator[Unit]:
        """Remove and yield the units of all whole seconds up to a time."""
        count = bisect_left(self._keys, (until + 1) >> SPAN)
        gone, self._keys = self._keys[:count], self._keys[count:]
        for key in gone:
            yield from self._sorted(key)
            del self._buckets[key]
            self._changed.discard(key)

    def _sorted(self, key: int) -> list[Unit]:
        bucket = self._buckets[key]
        if key in self._changed:
            self._changed.discard(key)
            # Those who left this second are still listed; nobody comes back to one.
            bucket[:] = sorted((unit for unit in bucket if unit.at >> SPAN == key), key=_place)
        return bucket
