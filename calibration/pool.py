"""A ramp among people who come back: every visit of every person, with the position that decides who serves them.

Persons differ (some succeed often, some never), come back on any step, and may be moved while their outcome is open.
"""

from __future__ import annotations

import msgspec
import numpy as np

from calibration.ramp import Ramp, Seen


class Pool(msgspec.Struct, frozen=True):
    """Of the ramp's visits a part `returning` is of `regulars`, who are always the same; the others come once."""

    ramp: Ramp
    returning: float
    regulars: int = 10_000


def simulate(pool: Pool, rng: np.random.Generator, runs: int) -> tuple[Seen, float]:
    """Return what was seen, by the first exposure of each person, and the part of all persons that was dropped.

    A person's value is whether any visit from the first exposure until `window` hours later succeeded. `came` counts
    visits, by who served them.
    """
    seen = Seen(*(np.zeros((runs, pool.ramp.length, n)) for n in (4, 2, 4)))
    dropped = 0.0
    for run in range(runs):
        dropped += _one(pool, rng, seen, run) / runs
    return seen, dropped


def _one(pool: Pool, rng: np.random.Generator, seen: Seen, run: int) -> float:
    ramp, length = pool.ramp, pool.ramp.length
    hour = np.repeat(np.arange(length), rng.poisson(ramp.arrivals, length))
    regular = rng.random(len(hour)) < pool.returning
    person = np.where(regular, rng.integers(0, pool.regulars, len(hour)), pool.regulars + np.arange(len(hour)))
    persons, first, which = np.unique(person, return_index=True, return_inverse=True)
    position = rng.random(len(persons))
    leaning = rng.gamma(2.0, 0.5, len(persons))
    shares = np.asarray([ramp.share(h) for h in range(length)])
    highest = np.asarray([ramp.highest(h) for h in range(length)])
    rates = np.asarray([ramp.rate(h) for h in range(length)])
    success = rng.random(len(hour)) < rates[hour] * leaning[which]
    since = hour[first]
    in_time = hour <= since[which] + ramp.window
    value = np.bincount(which, success & in_time, len(persons)) > 0
    on_candidate = position < shares[since]
    kept = on_candidate | (position >= highest[since])
    kind = 2 * on_candidate + ~value
    seen.entered[run] = np.bincount(4 * since[kept] + kind[kept], minlength=4 * length).reshape(length, 4)
    seen.exposed[run] = np.bincount(2 * since + on_candidate, minlength=2 * length).reshape(length, 2)
    visit = 2 * (position[which] < shares[hour]) + ~success
    seen.came[run] = np.bincount(4 * hour + visit, minlength=4 * length).reshape(length, 4)
    return float(1 - kept.mean())
