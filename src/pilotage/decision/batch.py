"""What has matured since the last tick, as whole numbers: the only data that statistics ever see.

A batch is recorded before anything is decided on it, and its boundaries are kept, so that every decision can be made
again bit for bit. Sums of whole numbers merge in any order; log-wealth grows only in the recorded one.
"""

from __future__ import annotations

import msgspec

BASELINE = 0
"""The baseline's arm; the rollout's candidates are 1, 2, ... in their order."""


class Cell(msgspec.Struct, frozen=True, array_like=True):
    """The units of one arm that matured, by the allocations they lived under.

    They were first exposed under generation `first`, and `last` was in force when they matured. `sums` is what the
    metric's method gathers: (successes, failures) of a rate; bucket, count, total, and so on, of a histogram; (units,
    units other than 0, total, total of squares) of a metric without bounds. Totals are in millionths.
    """

    first: int
    last: int
    arm: int
    sums: tuple[int, ...]


class Batch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What matured until `at` (microseconds UTC).

    `frontier` says by metric up to which maturity time units have entered (under `EXPOSED`: up to which exposure).
    `exposed` holds (generation, arm, units) of first exposures. `moved` units were dropped because the ramp may have
    moved them, `late` ones because they were read after their place in the order had passed. `heard` names the metrics
    about which feedback came for the first time. `groups` holds the same cells once more by group of units and metric
    (`language=de`, and `language=` for those of whom nothing was said), of the segments that the file declares.
    """

    at: int
    frontier: dict[str, int] = {}
    exposed: tuple[tuple[int, int, int], ...] = ()
    metrics: dict[str, tuple[Cell, ...]] = {}
    moved: int = 0
    late: int = 0
    heard: tuple[str, ...] = ()
    groups: dict[str, dict[str, tuple[Cell, ...]]] = {}


EXPOSED = ""
"""The name under which `frontier` tells of first exposures."""
