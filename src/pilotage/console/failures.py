"""Who presents bad keys again and again is not listened to for a while, by the address that they come from."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 50
"""Failures of one address within `SECONDS`."""
SECONDS = 60.0
_ADDRESSES = 10_000


class Failures:
    """Counts by address, of which it remembers the latest. A good key is not counted, and forgives nothing."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait(self, address: str) -> int:
        """Return for how many seconds this address is not listened to; 0 where it is."""
        since, count = self._counts.get(address, (0.0, 0))
        left = since + SECONDS - self._now()
        return max(1, int(left)) if count >= MOST and left > 0 else 0

    def failed(self, address: str) -> None:
        since, count = self._counts.get(address, (self._now(), 0))
        if self._now() - since >= SECONDS:
            since, count = self._now(), 0
        self._counts[address] = since, count + 1
        self._counts.move_to_end(address)
        if len(self._counts) > _ADDRESSES:
            self._counts.popitem(last=False)
