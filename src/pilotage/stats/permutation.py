"""Have rounds of measurements changed? Each question's values are shuffled over the rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRAWS = 999


def stratified(before: NDArray[np.float64], now: NDArray[np.float64], rng: np.random.Generator) -> float:
    """Return the one-sided p-value of: the mean over all questions is higher now. Both are (rounds, questions).

    Within each question its values are permuted over the rounds, which under no change are exchangeable; (1 + draws at
    least as high) / (1 + draws), valid for any number of draws (Phipson & Smyth 2010, SAGMB 9). So log-probabilities are
    compared in arXiv 2512.03816, section 3.
    """
    both = np.concatenate([before, now])
    seen = now.mean() - before.mean()
    high = 0
    for _ in range(DRAWS):
        shuffled = rng.permuted(both, axis=0)
        drawn = shuffled[len(before) :].mean() - shuffled[: len(before)].mean()
        high += bool(drawn >= seen - 1e-12)
    return (1 + high) / (1 + DRAWS)
