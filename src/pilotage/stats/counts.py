"""Sufficient statistics: all that a decision needs to know of the units behind it."""

from __future__ import annotations

import msgspec


class ArmCounts(msgspec.Struct, frozen=True, omit_defaults=True):
    """One side of one step for one metric.

    `units` were first exposed in this step; `matured` of them have a final value, whose sum is `total` and whose sum
    of squares is `squares`, on the metric's own scale.
    """

    units: int = 0
    matured: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __add__(self, other: ArmCounts) -> ArmCounts:
        return ArmCounts(
            self.units + other.units,
            self.matured + other.matured,
            self.total + other.total,
            self.squares + other.squares,
        )


class Stratum(msgspec.Struct, frozen=True, omit_defaults=True):
    """Both sides of one step. Totals are compared within a step and never pooled over steps."""

    step: int
    baseline: ArmCounts = ArmCounts()
    candidate: ArmCounts = ArmCounts()
