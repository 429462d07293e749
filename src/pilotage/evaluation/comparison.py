"""Scores on the same cases: what so many can show, and where the sides differ. Cases of a group count as what they are worth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from pilotage.stats.grouped import effective, grouped_difference, grouped_rate, grouped_signs
from pilotage.stats.interval import paired_difference, wilson
from pilotage.stats.paired import holm, mcnemar
from pilotage.stats.special import normal_quantile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pilotage.spec.case import Case
    from pilotage.stats.interval import Interval

POWER = 0.8


class Pair(NamedTuple):
    """The candidate's score and the baseline's, from 0 to 1, and the group that the case belongs to; empty where it is alone."""

    now: float
    before: float
    group: str = ""


def groups_of(cases: Sequence[Case]) -> list[str]:
    """Return the group of each case; empty where no case shares one with another."""
    return _shared([case.group for case in cases])


def rate(values: Sequence[float], groups: Sequence[str], confidence: float) -> Interval:
    """Return the interval of a share, from values that are 0 or 1."""
    if groups:
        return grouped_rate(values, groups, confidence)
    return wilson(sum(value == 1 for value in values), len(values), confidence)


def difference(now: Sequence[float], before: Sequence[float], groups: Sequence[str], confidence: float) -> Interval:
    """Return the interval of the mean difference of scores."""
    if groups:
        return grouped_difference(now, before, groups, confidence=confidence)
    return paired_difference(now, before, confidence=confidence)


def smallest_effect(pairs: Sequence[Pair], confidence: float) -> float:
    """Return the true difference that a comparison of so many pairs shows four times in five, on the scale of scores.

    (z_confidence + z_power) standard errors, with the variance of the pairs as it was seen and the two pairs added that
    Agresti & Min (2005, Stat. Med. 24:729) add, so that equal pairs are not taken for certainty. A difference d needs a share d of unequal pairs at least: where fewer were
    seen, the variance is d - d^2, and d^2 = z^2 (d - d^2) / n gives z^2 / (n + z^2). At most 1. Pairs in groups count as
    so many as they are worth.
    """
    differences = [pair.now - pair.before for pair in pairs]
    groups = _groups(pairs)
    n = effective(differences, groups) if groups else len(pairs)
    added = n + 2
    centre = sum(differences) / len(pairs) * n / added
    unequal = (sum(one * one for one in differences) / len(pairs) * n + 1.0) / added
    deviations = normal_quantile(0.5 + confidence / 2) + normal_quantile(POWER)
    effect = deviations * math.sqrt((unequal - centre * centre) / added)
    if effect > unequal:
        effect = max(effect, deviations**2 / (added + deviations**2))
    return min(1.0, effect)


def by_label(labelled: Mapping[str, Sequence[Pair]], confidence: float) -> dict[str, dict[str, float | bool]]:
    """Return by label the pairs, the difference, better and worse cases, and whether the sides differ there.

    The exact test of McNemar in each label, or the signs of whole groups where cases come in groups, corrected by Holm
    over all labels: with many some would differ by chance alone. `p` is the corrected one. `low` and `high` bound the difference in
    all labels at once (Bonferroni), so that they may be read side by side.
    """
    corrected = holm([_p(pairs) for pairs in labelled.values()])
    each = at_once(confidence, len(labelled))
    return {
        label: {
            "n": len(pairs),
            **_bounded(pairs, each),
            "better": sum(pair.now > pair.before for pair in pairs),
            "worse": sum(pair.now < pair.before for pair in pairs),
            "p": p,
            "differs": p <= 1 - confidence,
        }
        for (label, pairs), p in zip(labelled.items(), corrected, strict=True)
    }


def at_once(confidence: float, many: int) -> float:
    """Return the confidence of each of so many intervals that all of them hold together (Bonferroni)."""
    return 1 - (1 - confidence) / max(1, many)


def _bounded(pairs: Sequence[Pair], confidence: float) -> dict[str, float]:
    value = sum(pair.now - pair.before for pair in pairs) / len(pairs)
    now, before = [pair.now for pair in pairs], [pair.before for pair in pairs]
    found = difference(now, before, _groups(pairs), confidence)
    # Of a handful of pairs the interval is drawn to the middle, and would leave the value outside.
    return {"difference": value, "low": min(found.low, value), "high": max(found.high, value)}


def _p(pairs: Sequence[Pair]) -> float:
    if groups := _groups(pairs):
        return grouped_signs([pair.now - pair.before for pair in pairs], groups)
    return mcnemar(sum(pair.now > pair.before for pair in pairs), sum(pair.now < pair.before for pair in pairs))


def _groups(pairs: Sequence[Pair]) -> list[str]:
    """Return the group of each pair; empty where no pair shares one with another."""
    return _shared([pair.group for pair in pairs])


def _shared(named: Sequence[str]) -> list[str]:
    given = [name for name in named if name]
    return [name or f"\0{index}" for index, name in enumerate(named)] if len(set(given)) < len(given) else []
