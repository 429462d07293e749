"""Paired comparisons at a fixed size: exact tests, many of them at once, and what equivalence needs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pilotage.stats.special import normal_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence


def mcnemar(one: int, other: int) -> float:
    """Return the exact two-sided p-value for `one` against `other` discordant pairs (McNemar 1947, Psychometrika 12).

    Given their number n, under no difference one ~ Binomial(n, 1/2); p = min(1, 2 P(X <= min)).
    """
    n = one + other
    # In logarithms: 2^-n underflows for many pairs.
    tail = math.fsum(
        math.exp(
            math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2),
        )
        for k in range(min(one, other) + 1)
    )
    return min(1.0, 2 * tail)


def sign_flips(differences: Sequence[float], rng: np.random.Generator, draws: int = 9_999) -> float:
    """Return the two-sided p-value of a permutation test on the mean: each cluster's difference may change its sign.

    (1 + flips at least as extreme) / (1 + draws), which is valid for any number of draws (Phipson & Smyth 2010, SAGMB 9).
    Give one value a cluster: what was paired within a case stays together.
    """
    values = np.asarray([value for value in differences if value], dtype=np.float64)
    if len(values) == 0:
        return 1.0
    seen = abs(float(values.sum()))
    extreme, left = 0, draws
    while left:
        now = min(left, max(1, 2_000_000 // len(values)))
        sums = rng.choice((-1.0, 1.0), size=(now, len(values))) @ values
        # What is equal but for rounding counts as equal.
        extreme += int(np.count_nonzero(np.abs(sums) >= seen * (1 - 1e-12)))
        left -= now
    return (1 + extreme) / (1 + draws)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the adjusted p-values, in the order given (Holm 1979, Scand. J. Stat. 6:65): max over j <= i of (m - j) p_(j)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = highest
    return adjusted


def equivalence_pairs(discordant: float, margin: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Return how many pairs show a difference of two paired rates to lie within +-margin, where there is none.

    n = psi (z_(1-alpha) + z_((1+power)/2))^2 / margin^2, with psi the share of pairs that differ: two one-sided tests
    (Schuirmann 1987), whose 1 - 2 alpha interval must lie inside (Julious 2004, Stat. Med. 23:1921, section 5).
    """
    return max(1, math.ceil(discordant * _both(alpha, power) / (margin * margin)))


def equivalence_discordance(pairs: int, margin: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the largest share of pairs that may differ for so many pairs to be enough: `equivalence_pairs` undone."""
    return min(1.0, pairs * margin * margin / _both(alpha, power))


def _both(alpha: float, power: float) -> float:
    z = normal_quantile(1 - alpha) + normal_quantile((1 + power) / 2)
    return z * z
