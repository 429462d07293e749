"""After release, and what histograms cost: the remaining promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calibration import values, watch
from calibration.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

FROM_START, STEADY = 1.3, 1.2


def after_release(rng: np.random.Generator, size: float) -> Iterator[Figure]:
    """Errors .02 to .04, 20 units a tick, A = 1000 ticks."""
    lines, runs = 1000.0, int(2000 * size)
    longest = 20_000
    quiet = watch.Change(0.02, 0.02, 0.02)
    length = watch.shiryaev_roberts(quiet, lines, rng, runs=runs, longest=longest)
    mean = float(np.minimum(length, longest).mean())
    cells = ("mean ticks to a false alarm", f"{mean:,.0f}", f"at least {lines:,.0f}")
    yield Figure("watch", cells, mean >= lines)
    told = watch.Change(0.02, 0.04, 0.02)
    for name, run_length in (("with the run length promised", lines), ("with the run length measured", mean)):
        height = watch.height_for(run_length, told, rng, runs=max(runs // 4, 50))
        for start, at, most in (("from the start", 0, FROM_START), ("after 200 ticks", 200, STEADY)):
            change = watch.Change(0.02, 0.04, 0.02, at)
            ours = watch.shiryaev_roberts(change, lines, rng, runs=runs, longest=longest)
            best = watch.cusum(change, np.asarray([height]), rng, runs=runs, longest=longest, told=told)[0]
            delay, ideal = watch.delay(ours, change), watch.delay(best, change)
            cells = (
                f"delay {start}, beside the CUSUM {name}",
                f"{delay:.1f} ticks, {delay / ideal:.2f} times",
                f"at most {most} times",
            )
            yield Figure("watch", cells, delay / ideal <= most)


def histograms(rng: np.random.Generator, size: float) -> Iterator[Figure]:
    """What is lost by keeping edges instead of values."""
    for count, most in ((87, 0.005), (22, 0.04)):
        cost = values.edge_cost(count, rng, units=int(1_000_000 * size))
        name = f"log-wealth given away by {count} edges, latency capped at 60 s"
        yield Figure("histogram", (name, f"{100 * cost:.2f} %", f"at most {100 * most:g} %"), 0 <= cost <= most)
