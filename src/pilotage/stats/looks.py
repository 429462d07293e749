"""Planned looks: when a metric is looked at, and how much of the error rate each look may spend.

A fixed-size interval is valid at one planned look. Here a metric is looked at when its matured candidate units first
reach 20, 40, 80, ..., and look k (from 0) spends alpha / ((k + 1)(k + 2)). These shares sum to alpha, so however many
looks are taken the chance that any of them errs is at most alpha (Bonferroni's inequality); and they fall slowly enough
that a late look can still show a small effect (look 7, at 2,560 units, spends 1.4 % of alpha where halving would leave
0.4 %).
"""

from __future__ import annotations

FIRST = 20
"""Candidate units at the first look at a metric."""
FIRST_SAMPLE_RATIO = 100
"""Units on both sides at the first look at a sample ratio."""


def size(look: int, first: int = FIRST) -> int:
    """Return the units that look k (from 0) waits for."""
    return first << look


def due(units: int, taken: int, first: int = FIRST) -> int | None:
    """Return the look that `units` entitle to when `taken` looks are behind, or None where none is due.

    Looks that were jumped over (a backlog that matures at once) are never made up for.
    """
    if units < first:
        return None
    look = (units // first).bit_length() - 1
    return look if look >= taken else None


def spent(look: int, alpha: float) -> float:
    """Return what look k may spend of `alpha`."""
    return alpha / ((look + 1) * (look + 2))
