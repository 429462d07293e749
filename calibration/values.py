"""Bounded values, bet on through hat histograms: heavy-tailed latency, and users with several requests each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from calibration import peers
from calibration.units import WINDOW
from pilotage.stats import bounded, mixture
from pilotage.stats.claim import Claim, threshold
from pilotage.stats.histogram import Scale, log_scale
from pilotage.stats.mixture import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

Draw = Callable[[np.random.Generator, tuple[int, int]], tuple[Array, Array, Array, Array]]
"""Returns each unit's value, and of its requests the sum, the sum of squares and the number."""


def latency(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Log-normal seconds with the median 1 and the mean 3.1; its kurtosis is beyond 10,000."""
    seconds = rng.lognormal(0.0, 1.5, shape)
    return seconds, seconds, seconds**2, np.ones(shape)


def requests(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Five requests a user on average, each resolved with a chance that is the user's own (mean .1)."""
    chance = rng.beta(0.5, 4.5, shape)
    number = rng.geometric(0.2, shape)
    resolved = rng.binomial(number, chance)
    sums = resolved.astype(float)
    return resolved / number, sums, sums, number.astype(float)


def false_calls(
    draw: Draw,
    scale: Scale,
    claims: dict[str, Claim],
    rng: np.random.Generator,
    *,
    share: float,
    units: int,
    runs: int,
    alpha: float,
    limit: float = 1e300,
    block: int = 50,
) -> dict[str, NDArray[np.bool_]]:
    """Return by rule whether each repetition called: the claims by unit, the others by request, looked at by block."""
    points = scale.points
    wealth = {name: np.zeros((runs, len(mixture.WEIGHTS))) for name in claims}
    called = {name: np.zeros(runs, dtype=bool) for name in (*claims, *peers.RULES, "limit")}
    windows, window = peers.Limit(limit, runs), np.zeros((runs, 2))
    moments = np.zeros((runs, 3))
    raw = np.zeros((3, 2, runs))
    middle, first = (points[0] + points[-1]) / 2, (points[-1] - points[0]) / 4
    for look in range(1, units // block + 1):
        values, sums, squares, number = draw(rng, (runs, block))
        on_candidate = rng.random((runs, block)) < share
        weights = (_hats(points, values, ~on_candidate), _hats(points, values, on_candidate))
        n, total, squared = moments.T
        centre = (total + middle) / (n + 1)
        around = np.maximum(squared - 2 * centre * total + n * centre**2, 0)
        variance = (around + first**2) / (n + 1)
        for name, claim in claims.items():
            wealth[name] += bounded.increments(
                weights, points, centre=centre, variance=variance, share=share, claim=claim
            )
            called[name] |= mixture.log_mixture(wealth[name]) >= threshold(alpha)
        both = weights[0] + weights[1]
        moments += np.stack((both.sum(axis=1), both @ points, both @ points**2), axis=1)
        for arm, mask in enumerate((~on_candidate, on_candidate)):
            raw[:, arm] += [(x * mask).sum(axis=1) for x in (number, sums, squares)]
        totals = peers.of_sums(*((part[0], part[1]) for part in raw))
        for name, rule in peers.RULES.items():
            called[name] |= rule(totals)
        if look % (WINDOW // block) == 0:
            now = raw[:2, 1].T
            called["limit"] |= windows.after(*(now - window).T)
            window = now.copy()
    return called


def _hats(points: Array, values: Array, mask: NDArray[np.bool_]) -> Array:
    """Return the hat weights of each repetition's masked values: shape (runs, edges)."""
    runs, edges = values.shape[0], len(points)
    y = np.clip(values, points[0], points[-1])
    left = np.minimum(np.searchsorted(points, y, side="right") - 1, edges - 2)
    right = (y - points[left]) / (points[left + 1] - points[left])
    at = np.arange(runs)[:, None] * edges + left
    flat = np.bincount(at[mask], (1 - right)[mask], runs * edges)
    return np.asarray((flat + np.bincount(at[mask] + 1, right[mask], runs * edges)).reshape(runs, edges))


def edge_cost(count: int, rng: np.random.Generator, *, units: int = 1_000_000) -> float:
    """Return the part of the log-wealth's growth that a histogram of `count` edges gives away.

    Latency capped at 60 s, a tenth of it lower on the candidate, 50/50, and the bet on that very effect.
    """
    scale = log_scale(60, smallest=0.06, count=count)
    points = scale.points
    y = np.minimum(rng.lognormal(0.0, 1.0, (2, units)), 60)
    y[1] *= 0.9
    effect = float(y[0].mean() - y[1].mean())
    centre = float(y.mean())
    bet = min(effect / (4 * float(y.var()) + effect**2), 0.25 / (60 - centre))
    z = [2 * (y[0] - centre), -2 * (y[1] - centre)]
    raw = sum(float(np.log1p(bet * x).mean()) for x in z)
    hats = _hats(points, y, np.ones(y.shape, dtype=bool)) / units
    kept = sum(float(w @ np.log1p(bet * s * 2 * (points - centre))) for w, s in zip(hats, (1, -1), strict=True))
    return 1 - kept / raw
