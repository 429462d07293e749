"""A model of arrivals for where there is no trace: a log-Gaussian Cox process with the shape of a day.

Requests are a Poisson process whose rate is itself random: the day's shape times exp(X - s^2 / 2), where X is a Gaussian
process with covariance s^2 exp(-|lag| / t) (Ornstein-Uhlenbeck). Counts then scatter beyond those of arrivals without
memory, at scales up to t, which is what bursts are (Moller, Syversveen and Waagepetersen 1998, "Log Gaussian Cox
processes", section 2; the covariance of counts is their equation 4). People come as sessions: who asks once may ask on.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from pilotage.clock import DAY, HOUR, SECOND
from pilotage.staging.trace import Arrival, Trace

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[np.float64]

HOURLY = (2, 1, 1, 1, 1, 2, 3, 5, 7, 8, 8, 7, 6, 6, 7, 7, 7, 6, 6, 6, 6, 5, 4, 3)
"""The default day: the share of requests in each hour, midnight first, as weights. People's waking hours, two peaks."""
THINKS = 45.0
"""Seconds, on average, between two requests of one session."""
_CELL = 5 * SECOND
"""Within this the rate is taken as one."""
_LAGS = 12
"""Neighbouring counts whose covariance a fit reads."""
_MOST_WINDOWS = 20_000
_ROUNDING = 1e-9


class Burstiness(msgspec.Struct, frozen=True):
    """How the rate wanders: `spread` is s, the standard deviation of its logarithm; `memory` is t in seconds."""

    spread: float
    memory: float


PUBLIC = Burstiness(0.23, 89.0)
"""Fitted to an hour of a public trace of conversations (Azure 2023, 19,366 requests); see docs/staging.md."""


def fit(arrivals: Sequence[Arrival]) -> Burstiness | None:
    """Fit to a trace by moments; None where its counts scatter no more than those of arrivals without memory.

    With counts N in windows of one size, the covariance at lag k is mean^2 (exp(s^2 exp(-k w / t)) - 1). So the
    logarithm of 1 + covariance / mean^2 is a line through (k, s^2 exp(-k w / t)), which is fitted over the first lags.
    """
    at = np.array([arrival.at for arrival in arrivals], dtype=np.float64) / SECOND
    if len(at) < 200 or at[-1] == at[0]:
        return None
    # About five arrivals a window: enough to see the rate, short enough to see it change.
    width = max(5 * (at[-1] - at[0]) / len(at), (at[-1] - at[0]) / _MOST_WINDOWS)
    counts = np.bincount(((at - at[0]) // width).astype(np.int64)).astype(np.float64)[:-1]
    mean, centred = counts.mean(), counts - counts.mean()
    lags = np.arange(1, min(_LAGS, len(counts) // 4) + 1)
    covariance = np.array([(centred[:-lag] * centred[lag:]).mean() for lag in lags])
    log_moment = np.log1p(np.maximum(covariance / mean**2, _ROUNDING))
    told = log_moment > 2 / math.sqrt(len(counts)) / mean
    if told.sum() < 2:
        return None
    slope, height = np.polyfit(lags[told], np.log(log_moment[told]), 1)
    memory = float(-width / slope) if slope < 0 else float(width * len(counts) / 4)
    return Burstiness(float(math.sqrt(math.exp(height))), memory)


def declared_days(
    requests_a_day: float,
    requests_a_unit: float,
    days: int,
    random: np.random.Generator,
    burstiness: Burstiness = PUBLIC,
) -> Trace:
    """Draw whole days of arrivals, of about `requests_a_day` each, in sessions of `requests_a_unit` on average."""
    cells = days * DAY // _CELL
    shape = np.array(HOURLY, dtype=np.float64) / sum(HOURLY) * 24
    hours = (np.arange(cells) * _CELL // HOUR) % 24
    wander = _wandering(cells, burstiness, random)
    rate = shape[hours] * np.exp(wander - burstiness.spread**2 / 2)
    sessions_a_cell = requests_a_day / requests_a_unit * _CELL / DAY
    begun = random.poisson(rate * sessions_a_cell)
    if not begun.any():
        begun[int(np.argmax(rate))] = 1
    at = (np.repeat(np.arange(cells), begun) + random.random(int(begun.sum()))) * _CELL
    # How many requests a session has is geometric, so its mean is what the file declares.
    lengths = random.geometric(1 / requests_a_unit, len(at))
    number = np.repeat(np.arange(len(at)), lengths)
    thinking = random.exponential(THINKS * SECOND, len(number))
    first = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    thinking[first] = 0
    passed = np.cumsum(thinking)
    times = at[number] + passed - np.repeat(passed[first], lengths)
    order = np.argsort(times, kind="stable")
    start = times[order[0]]
    arrivals = tuple(
        Arrival(int(times[one] - start), session=f"s{number[one]}", user=f"u{number[one]}") for one in order
    )
    return Trace(source=f"a model of {requests_a_day:,.0f} requests a day", arrivals=arrivals)


def _wandering(cells: int, burstiness: Burstiness, random: np.random.Generator) -> Array:
    """Return the Gaussian process at every cell: each a share of the one before, and something new."""
    share = math.exp(-(_CELL / SECOND) / burstiness.memory)
    new = random.normal(0.0, burstiness.spread, cells)
    new[1:] *= math.sqrt(1 - share**2)
    found = np.empty(cells)
    last = 0.0
    for index, value in enumerate(new):
        last = share * last + value if index else value
        found[index] = last
    return found
