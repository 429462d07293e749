"""Whether units arrived on both sides in the shares that were set."""

from __future__ import annotations

from pilotage.stats.special import binomial_cdf


def sample_ratio_p(candidate: int, baseline: int, share: float) -> float:
    """Return the two-sided exact binomial p-value of `candidate` units among all, given the share (0 to 1) that was set.

    Twice the smaller tail, at most 1. A small value says that assignment, exposure or recording is broken, so that no
    comparison between the sides means anything.
    """
    n = candidate + baseline
    lower = binomial_cdf(candidate, n, share)
    upper = 1 - binomial_cdf(candidate - 1, n, share)
    return min(1.0, 2 * min(lower, upper))
