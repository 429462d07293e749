"""Who was here before: units that are through with every metric, and requests that count for nothing any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

RUN = 1 << 16
"""So many are gathered before they become a sorted run."""
REMEMBERED = 500_000


class Closed:
    """A set of 64-bit hashes at 8 bytes each, which only grows, unless it is told to `turn`.

    Sorted runs, each at least twice as long as the next, as in a log-structured merge tree: adding costs O(log n) a
    member over time, and there are at most log2(n / RUN) + 1 runs to look in. A merge needs the memory of both again.
    """

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._runs: list[NDArray[np.uint64]] = []
        self._before: Closed | None = None

    def turn(self) -> None:
        """Forget what was added before the last turn."""
        before = Closed()
        before._recent, before._runs = self._recent, self._runs
        self._recent, self._runs, self._before = set(), [], before

    def __len__(self) -> int:
        before = 0 if self._before is None else len(self._before)
        return len(self._recent) + sum(run.size for run in self._runs) + before

    @property
    def memory(self) -> int:
        """Return the bytes of the runs."""
        return sum(run.nbytes for run in self._runs)

    def add(self, hashes: Iterable[int]) -> None:
        """Add members that are not in yet."""
        self._recent.update(hashes)
        if len(self._recent) >= RUN:
            self._push(np.fromiter(self._recent, np.uint64, len(self._recent)))
            self._recent = set()

    def _push(self, run: NDArray[np.uint64]) -> None:
        run.sort()
        self._runs.append(run)
        while len(self._runs) > 1 and self._runs[-2].size < 2 * self._runs[-1].size:
            both = np.concatenate((self._runs.pop(), self._runs.pop()))
            # Two sorted runs, which this kind of sort merges in one go.
            both.sort(kind="stable")
            self._runs.append(both)

    def among(self, hashes: list[int]) -> list[int]:
        """Return those of many that are members."""
        found = [one for one in hashes if one in self._recent] if self._recent else []
        if self._runs and hashes:
            # In order, for then neighbours are looked up in memory that is near.
            asked = np.sort(np.fromiter(hashes, np.uint64, len(hashes)))
            for run in self._runs:
                places = np.minimum(np.searchsorted(run, asked), run.size - 1)
                found += asked[run[places] == asked].tolist()
        return found if self._before is None else list({*found, *self._before.among(hashes)})

    def __contains__(self, one: int) -> bool:
        return one in self._recent or bool((self._runs or self._before) and self.among([one]))


class Past:
    """The newest half million to million ids of requests that count for nothing any more.

    What comes of them later is then known not to wait for a start that is still to be read.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._new: set[int] = set()
        self._old: set[int] = set()

    def add(self, one: int) -> None:
        if len(self._new) >= self._remembered:
            self._old, self._new = self._new, set()
        self._new.add(one)

    def __contains__(self, one: int) -> bool:
        return one in self._new or one in self._old
