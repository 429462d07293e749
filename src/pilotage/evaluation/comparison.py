"""Pairs of scores on the same cases: what so many can show, and where the sides differ."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pilotage.stats.paired import holm, mcnemar
from pilotage.stats.special import normal_quantile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

POWER = 0.8

Pair = tuple[float, float]
"""The candidate's score and the baseline's, from 0 to 1."""


def smallest_effect(pairs: Sequence[Pair], confidence: float) -> float:
    """Return the true difference that a comparison of so many pairs shows four times in five, on the scale of scores.

    (z_confidence + z_power) standard errors, with the variance of the pairs as it was seen and the two pairs added that
    Agresti & Min (2005, Stat. Med. 24:729) add, so that equal pairs are not taken for certainty. A difference d needs a share d of unequal pairs at least: where fewer were
    seen, the variance is d - d^2, and d^2 = z^2 (d - d^2) / n gives z^2 / (n + z^2). At most 1.
    """
    added = len(pairs) + 2
    differences = [now - before for now, before in pairs]
    centre = sum(differences) / added
    unequal = (sum(one * one for one in differences) + 1.0) / added
    deviations = normal_quantile(0.5 + confidence / 2) + normal_quantile(POWER)
    effect = deviations * math.sqrt((unequal - centre * centre) / added)
    if effect > unequal:
        effect = max(effect, deviations**2 / (added + deviations**2))
    return min(1.0, effect)


def by_label(labelled: Mapping[str, Sequence[Pair]], confidence: float) -> dict[str, dict[str, float | bool]]:
    """Return by label the pairs, the difference, better and worse cases, and whether the sides differ there.

    The exact test of McNemar in each label, corrected by Holm over all of them: with many labels some would differ by
    chance alone. `p` is the corrected one.
    """
    counts = [
        (sum(now > before for now, before in pairs), sum(now < before for now, before in pairs))
        for pairs in labelled.values()
    ]
    corrected = holm([mcnemar(better, worse) for better, worse in counts])
    return {
        label: {
            "n": len(pairs),
            "difference": sum(now - before for now, before in pairs) / len(pairs),
            "better": better,
            "worse": worse,
            "p": p,
            "differs": p <= 1 - confidence,
        }
        for (label, pairs), (better, worse), p in zip(labelled.items(), counts, corrected, strict=True)
    }
