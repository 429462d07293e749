"""How near a replay came to what it replays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def interarrival_fidelity(planned: Sequence[float], sent: Sequence[float]) -> float | None:
    """Return how alike the gaps between requests are, from 0 to 1, or None where there are fewer than two gaps.

    Both are send times in order, on the same scale. It is 1 minus the area between the two distributions of gaps (their
    Wasserstein distance) as a share of the planned mean gap: which gaps there are, not in which order they come. A
    millisecond's jitter costs little, also where many gaps are equal.
    """
    gaps = [np.diff(np.sort(np.asarray(times, dtype=float))) for times in (planned, sent)]
    mean = float(gaps[0].mean()) if len(gaps[0]) else 0.0
    if min(len(part) for part in gaps) < 2 or mean == 0:
        return None
    middles = (np.arange(1000) + 0.5) / 1000
    ideal, real = (np.quantile(part, middles, method="inverted_cdf") for part in gaps)
    return max(0.0, 1 - float(np.abs(ideal - real).mean()) / mean)
