"""Rates over prompts that are each asked several times, and how many prompts a bound needs.

Repeats of one prompt are not new prompts: how alike they are is not known before they are asked, and where none of them
succeeds it cannot be estimated either. So the effective sample size of Korn & Graubard (1998, Survey Methodology 24:193)
is capped at the number of prompts, and the exact bound of Clopper & Pearson (1934, Biometrika 26) is taken at it. A
prompt's outcome is its share of repeats that succeeded, so the bound is about the mean chance that a prompt succeeds when
it is asked once. For independent prompts the variance of the mean is at most p(1 - p) / prompts, whatever the repeats:
capping so is never optimistic.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pilotage.stats.special import beta_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 100_000


def clustered_upper(shares: Sequence[float], confidence: float = 0.95) -> float:
    """Return the one-sided upper bound of the mean share; `shares` is one value from 0 to 1 a prompt.

    With x the sum of m shares: the `confidence` quantile of Beta(x + 1, m - x). For nothing in m this is
    1 - (1 - confidence)^(1/m).
    """
    return _upper(_total(shares), len(shares), confidence)


def clustered_lower(shares: Sequence[float], confidence: float = 0.95) -> float:
    """Return the one-sided lower bound of the mean share."""
    return 1 - _upper(len(shares) - _total(shares), len(shares), confidence)


def prompts_needed(bound: float, successes: float = 0.0, confidence: float = 0.95) -> int | None:
    """Return how many prompts must be asked for an upper bound of at most `bound` with so many successes among them.

    With none this is ceil(ln(1 - confidence) / ln(1 - bound)): 59 for 5 %, 149 for 2 %, 299 for 1 %. None where it takes
    more than MOST, or where no number does.
    """
    if not 0 < bound < 1:
        return None
    if successes == 0:
        needed = math.ceil(math.log1p(-confidence) / math.log1p(-bound) - 1e-12)
        return needed if needed <= MOST else None
    low, high = math.ceil(successes), MOST
    if _upper(successes, high, confidence) > bound:
        return None
    while low < high:
        middle = (low + high) // 2
        if _upper(successes, middle, confidence) <= bound:
            high = middle
        else:
            low = middle + 1
    return low


def _upper(successes: float, prompts: int, confidence: float) -> float:
    return beta_quantile(confidence, successes + 1, prompts - successes) if successes < prompts else 1.0


def _total(shares: Sequence[float]) -> float:
    if not shares or not all(0 <= share <= 1 for share in shares):
        msg = "a rate over prompts needs a prompt or more, with a share from 0 to 1 each"
        raise ValueError(msg)
    return math.fsum(shares)
