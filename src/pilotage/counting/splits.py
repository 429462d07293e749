"""What a unit lived through between its exposure and its maturity: a split that moved, or time that nobody watched."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from itertools import accumulate
from typing import TYPE_CHECKING

from pilotage.decision.parts import share_in
from pilotage.status import MILLION

if TYPE_CHECKING:
    from pilotage.status import Allocated

TENTH = 100_000


class Splits:
    """The rollout's allocations so far, and who was moved by them."""

    def __init__(self, candidates: tuple[str, ...]) -> None:
        self._candidates = candidates
        self._allocations: tuple[Allocated, ...] = ()
        self._times: list[int] = []
        self._newest: list[int] = []
        self._ranges: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def tell(self, allocations: tuple[Allocated, ...]) -> None:
        if allocations == self._allocations:
            return
        self._allocations = allocations
        ordered = sorted(allocations, key=lambda split: (split.at, split.generation))
        self._times = [split.at for split in ordered]
        self._newest = list(accumulate((split.generation for split in ordered), max))
        self._ranges = {}

    def knows(self, generation: int) -> bool:
        return any(split.generation == generation for split in self._allocations)

    def last_met(self, unit: int, first: int, maturity: int) -> int | None:
        """Return the newest generation that a unit (by its hash) may have met which was exposed under `first`.

        None: it may have changed sides on the way.
        """
        index = bisect_right(self._times, maturity)
        last = max(first, self._newest[index - 1]) if index else first
        ranges = self._ranges.get((first, last))
        if ranges is None:
            ranges = self._ranges[first, last] = self._between(first, last)
        if not ranges:
            return None
        region, place = divmod(unit % MILLION * len(self._candidates), MILLION)
        low, high = ranges[region]
        return None if low <= place < high else last

    def _between(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return (lowest share, highest share) by region; nothing where the first generation is unknown."""
        if not self.knows(first):
            return []
        splits = [split for split in self._allocations if first <= split.generation <= last]
        shares = [[share_in(split, release) for split in splits] for release in self._candidates]
        return [(min(of), max(of)) for of in shares]


class Blind:
    """When records were made with a share of 0: the controller was not heard of, and everybody had the baseline.

    Only the first record of each tenth of a second is kept, so the memory grows with the time that nobody watched.
    """

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._tenths: list[int] = []

    def note(self, at: int) -> None:
        tenth = at // TENTH
        known = self._first.get(tenth)
        if known is None:
            insort(self._tenths, tenth)
        if known is None or at < known:
            self._first[tenth] = at

    def within(self, start: int, end: int) -> bool:
        """Return whether there was such a record from `start`, rounded down to the tenth of a second, to `end`."""
        if not self._tenths:
            return False
        index = bisect_left(self._tenths, start // TENTH)
        return index < len(self._tenths) and self._first[self._tenths[index]] <= end

    def forget(self, before: int) -> None:
        """Forget those before a time (rounded down), which nobody asks for any more."""
        count = bisect_left(self._tenths, before // TENTH)
        for tenth in self._tenths[:count]:
            del self._first[tenth]
        del self._tenths[:count]
