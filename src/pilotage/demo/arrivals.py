"""When customers come: by the hours of a day (docs/demo.md has the table), or as a real trace has it."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from pilotage.clock import DAY, HOUR

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROFILE = (30, 25, 20, 20, 25, 40, 65, 90, 115, 130, 135, 130, 120, 125, 130, 130, 135, 145, 155, 165, 160, 135, 90, 55)
"""How busy each hour of a day (UTC, from midnight) is beside the others: an online shop's, quiet at night and busiest
in the evening. Invented for the demo; only its shape matters."""


def by_hour(start: int, a_day: int, rng: np.random.Generator) -> Iterator[int]:
    """Yield arrival times (microseconds) from `start` on, in order and without end.

    A Poisson process by thinning (Lewis and Shedler 1979): its rate changes with the hour and makes `a_day` a day.
    """
    weights = np.array(PROFILE) * (a_day / sum(PROFILE))
    peak = float(weights.max())
    at = float(start)
    while True:
        gaps = rng.exponential(HOUR / peak, 1024)
        chances = rng.random(1024)
        for gap, chance in zip(gaps, chances, strict=True):
            at += gap
            if chance * peak <= weights[int(at % DAY) // HOUR]:
                yield int(at)


def by_trace(start: int, times: Sequence[int], span: int, number: int) -> Iterator[int]:
    """Yield arrival times with a trace's rhythm: its whole length becomes `span`, `number` arrivals each time through.

    Arrival k comes where the trace's k-th part does (by quantile), so its bursts and lulls stay, at another scale.
    Raise ValueError for a trace without length.
    """
    ordered = np.sort(np.array(times, dtype=np.float64))
    if len(ordered) < 2 or ordered[0] == ordered[-1]:
        msg = "a trace needs at least two arrivals at different times"
        raise ValueError(msg)
    places = (ordered - ordered[0]) / (ordered[-1] - ordered[0])
    once = np.quantile(places, (np.arange(number) + 0.5) / number) * span
    for lap in count():
        yield from (start + lap * span + once).astype(np.int64).tolist()
