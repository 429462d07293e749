"""Many metrics, segments or arms in one report: which of them stand out, with the share of false ones bounded.

e-BH: with K e-values, reject the k largest for the greatest k whose k-th largest e-value is at least K / (k alpha). The
expected share of false rejections is at most alpha under any dependence (Wang & Ramdas 2022, JRSS-B 84:822, theorem 2).
Give it current values: a running maximum of an e-process is not an e-value.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pilotage.stats.claim import threshold

if TYPE_CHECKING:
    from collections.abc import Sequence


def e_bh(log_e: Sequence[float], alpha: float) -> tuple[int, ...]:
    """Return the positions that are rejected, in ascending order."""
    needed = threshold(alpha)
    if any(math.isnan(value) for value in log_e):
        raise ValueError("an e-value is not a number: leave out what could not be measured, it is missing, not 1")
    ranked = sorted(range(len(log_e)), key=lambda i: -log_e[i])
    enough = [k for k, i in enumerate(ranked, 1) if log_e[i] >= needed + math.log(len(log_e) / k)]
    return tuple(sorted(ranked[: max(enough, default=0)]))
