"""Signals that come before there is a loop to hear them."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


class Early:
    """Takes these signals from now on, and remembers that one came; whoever listens later asks `came` once it does.

    Without it a process that is asked to end while it starts either dies half started or never hears of it.
    """

    def __init__(self, *numbers: signal.Signals) -> None:
        self.came = False
        for number in numbers:
            signal.signal(number, self._take)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        self.came = True
