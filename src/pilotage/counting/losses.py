"""Whether records are being lost now, out of a count that only grows."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LATELY = 10.0
"""Seconds. With little traffic a full disk loses nothing for a while, and is still full."""


class LossWatch:
    """`total` is the count when it was last asked for, `lately` how much of that came within the last seconds."""

    def __init__(self, count: Callable[[], int], *, timer: Callable[[], float] = time.monotonic) -> None:
        self._count, self._timer = count, timer
        self._grown: deque[tuple[float, int]] = deque()
        self._known = False
        self.total = 0

    @property
    def lately(self) -> int:
        return sum(more for _, more in self._grown)

    def turn(self) -> None:
        """Ask for the count. What the first answer says was lost before anybody watched here."""
        now, total = self._timer(), self._count()
        if self._known and total > self.total:
            self._grown.append((now, total - self.total))
        self.total, self._known = max(self.total, total), True
        while self._grown and now - self._grown[0][0] > LATELY:
            self._grown.popleft()
