"""How near a replay came to the trace that it replays: each part from 0 to 1, and the worst of them as the score.

A part compares one feature by a distance D. How much that feature differs between the two halves of the trace itself is
N: nobody can ask a replay to be nearer than that. R is the distance of a stream that has the trace's averages and nothing
else: arrivals without memory, sizes without any bond between question and answer. The part is

    1 - (D - N) / (R - N),    within 0 and 1

so it is 1 where the replay is as like the trace as the trace is like itself, and 0 where averages alone would have done.
Where R is hardly above N the trace is too short, or too plain, to tell: the part is missing, which is not a pass.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.staging.trace import Arrival

Array = NDArray[np.float64]

SCALES = (4, 16, 64, 256)
"""Windows in which arrivals are counted, in mean gaps."""
FEWEST = 8
"""Windows of one size below which their counts tell nothing about bursts."""
LONGEST = 50
"""Requests from which on sessions count as equally long."""
RANKS = 8
"""Parts into which questions and answers are each ranked: their bond is what lies in the cells."""
TELLING = 1.5
"""A feature tells something where the plain stream is at least this many times as far from the trace as its halves."""
RATE, GAPS, BURSTS, SIZES, SESSIONS = "rate", "gaps", "bursts", "sizes", "sessions"
_SEED = 20_231_116


class Fidelity(msgspec.Struct, frozen=True, kw_only=True):
    """`parts` by name; `missing` says of the others why they cannot be told. `score` is the least part, if any."""

    parts: dict[str, float]
    missing: dict[str, str]

    @property
    def score(self) -> float | None:
        return min(self.parts.values(), default=None)


def fidelity(trace: Sequence[Arrival], replay: Sequence[Arrival], *, compression: float = 1.0) -> Fidelity:
    """Compare a replay with its trace; both in order, times in microseconds.

    `compression` is how many times faster the replay was meant to be.
    """
    parts: dict[str, float] = {}
    missing: dict[str, str] = {}
    sessions = _sessions(trace, replay, compression)
    if isinstance(sessions, str):
        missing[SESSIONS] = sessions
    else:
        parts[SESSIONS] = sessions
    ideal, real = (np.array([arrival.at for arrival in stream], dtype=np.float64) for stream in (trace, replay))
    if min(len(ideal), len(real)) < 3 or ideal[-1] == ideal[0] or real[-1] == real[0]:
        few = "it takes at least three arrivals on both sides, not all at once"
        return Fidelity(parts={}, missing=missing | dict.fromkeys((RATE, GAPS, BURSTS, SIZES), few))
    rates = [(len(at) - 1) / (at[-1] - at[0]) for at in (ideal, real)]
    rates[1] /= compression
    parts[RATE] = float(min(rates) / max(rates))
    parts[GAPS] = float(max(0.0, 1 - _gap_distance(ideal, real)))
    for name, value in ((BURSTS, _bursts(ideal, real)), (SIZES, _sizes(trace, replay))):
        if isinstance(value, str):
            missing[name] = value
        else:
            parts[name] = value
    return Fidelity(parts=parts, missing=missing)


def _gap_distance(ideal: Array, real: Array) -> float:
    """Return the area between the two distributions of gaps, each in its own mean gaps (their Wasserstein distance).

    A millisecond's jitter costs little, also where many gaps are equal.
    """
    middles = (np.arange(1000) + 0.5) / 1000
    quantiles = []
    for at in (ideal, real):
        gaps = np.diff(at)
        quantiles.append(np.quantile(gaps / gaps.mean(), middles, method="inverted_cdf"))
    return float(np.abs(quantiles[0] - quantiles[1]).mean())


def _bursts(ideal: Array, real: Array) -> float | str:
    """Compare how far counts in windows of several sizes scatter beyond those of arrivals without memory.

    The measure is the log of the index of dispersion, variance / mean, which is 0 for a Poisson stream (Fano 1947).
    """
    trace, replay = _dispersion(ideal), _dispersion(real)
    quarters = [_dispersion(part) for part in np.array_split(ideal, 4)]
    count = min(len(one) for one in (trace, replay, *quarters))
    if not count:
        return f"it takes more than {4 * FEWEST * SCALES[0]} arrivals"
    own = float(np.mean([np.abs(a[:count] - b[:count]).mean() for a, b in combinations(quarters, 2)]))
    return _part(
        float(np.abs(trace[:count] - replay[:count]).mean()),
        own,
        float(np.abs(trace[:count]).mean()),
        "the trace has hardly more bursts than arrivals without memory",
    )


def _dispersion(at: Array) -> Array:
    """Return the log index of dispersion for each scale that has windows enough."""
    if len(at) < 2 or at[-1] == at[0]:
        return np.empty(0)
    gaps = (at - at[0]) / ((at[-1] - at[0]) / (len(at) - 1))
    found = []
    for scale in SCALES:
        windows = int(gaps[-1] // scale)
        if windows < FEWEST:
            break
        counts = np.bincount((gaps // scale).astype(np.int64))[:windows]
        # One count's worth of variance keeps arrivals as regular as a clock finite.
        found.append(np.log((counts.var(ddof=1) + 1 / windows) / counts.mean()))
    return np.array(found)


def _sizes(trace: Sequence[Arrival], replay: Sequence[Arrival]) -> float | str:
    """Compare the joint distribution of the sizes of questions and answers: in powers of two, and in their ranks."""
    ideal, real = _known(trace), _known(replay)
    if ideal is None:
        return "the trace does not say how large requests were"
    if real is None:
        return "the replay does not say how large its requests were"
    middle = len(ideal) // 2
    # Seeded, so that the same two streams always get the same score.
    shuffled = np.random.default_rng(_SEED).permuted(ideal[:, 1])
    plain = np.column_stack((ideal[:, 0], shuffled))
    found: list[float] = []
    for cells in (_powers, _ranks):
        part = _part(
            _apart(cells(ideal), cells(real)),
            _apart(cells(ideal[:middle]), cells(ideal[middle:])),
            _apart(cells(ideal), cells(plain)),
            "",
        )
        found += [] if isinstance(part, str) else [part]
    return min(found) if found else "the sizes of questions and answers have hardly a bond that could be lost"


def _sessions(trace: Sequence[Arrival], replay: Sequence[Arrival], compression: float) -> float | str:
    """Compare sessions: how many requests they have, and the pauses within them (in the trace's own mean pauses)."""
    ideal, real = _by_session(trace), _by_session(replay)
    if not ideal:
        return "the trace does not say which requests belong together"
    if not real:
        return "the replay does not say which requests belong together"
    lengths = [np.bincount([min(len(one), LONGEST) for one in found], minlength=LONGEST + 1) for found in (ideal, real)]
    shape = 1 - float(np.abs(lengths[0] / len(ideal) - lengths[1] / len(real)).sum() / 2)
    pauses = [np.array([gap for one in found for gap in np.diff(np.sort(one))]) for found in (ideal, real)]
    if min(map(len, pauses)) < FEWEST or not pauses[0].mean() > 0:
        return shape
    middles = (np.arange(1000) + 0.5) / 1000
    first, second = (np.quantile(one, middles, method="inverted_cdf") for one in (pauses[0], pauses[1] * compression))
    return min(shape, max(0.0, 1 - float(np.abs(first - second).mean() / pauses[0].mean())))


def _by_session(stream: Sequence[Arrival]) -> list[list[int]]:
    found: dict[str, list[int]] = {}
    for arrival in stream:
        if arrival.session:
            found.setdefault(arrival.session, []).append(arrival.at)
    return list(found.values())


def _known(stream: Sequence[Arrival]) -> Array | None:
    if any(arrival.input_tokens is None or arrival.output_tokens is None for arrival in stream):
        return None
    return np.array([(arrival.input_tokens, arrival.output_tokens) for arrival in stream], dtype=np.float64)


def _powers(sizes: Array) -> Array:
    return _cells(np.log2(sizes + 1), np.arange(0.0, 22.0))


def _ranks(sizes: Array) -> Array:
    """Return the cells of both sizes' ranks; equal sizes share the middle of their ranks."""
    places = []
    for column in sizes.T:
        ordered = np.sort(column)
        middle = (np.searchsorted(ordered, column) + np.searchsorted(ordered, column, side="right")) / 2
        places.append(middle / len(column))
    return _cells(np.column_stack(places), np.linspace(0.0, 1.0, RANKS + 1))


def _cells(sizes: Array, edges: Array) -> Array:
    """Return the share of requests in each cell of a grid."""
    return np.asarray(np.histogram2d(sizes[:, 0], sizes[:, 1], bins=edges.tolist())[0] / len(sizes))


def _apart(one: Array, other: Array) -> float:
    """Return the total variation distance."""
    return float(np.abs(one - other).sum() / 2)


def _part(distance: float, own: float, plain: float, untold: str) -> float | str:
    """Return 1 - (D - N) / (R - N), or `untold` where the plain stream is no further off than the trace's halves."""
    if plain < TELLING * own or plain == 0:
        return untold
    return float(np.clip(1 - (distance - own) / (plain - own), 0.0, 1.0))
