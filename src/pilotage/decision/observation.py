"""What the controller saw at one moment: the only thing besides spec, status and approvals that a decision reads."""

from __future__ import annotations

import msgspec

from pilotage.stats.counts import ArmCounts, Stratum

__all__ = ["ArmCounts", "Exposed", "Observation", "Stratum"]


class Exposed(msgspec.Struct, frozen=True, omit_defaults=True):
    """Units first exposed since the present step began: the sample ratio is judged on these."""

    baseline: int = 0
    candidate: int = 0


class Observation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rollout as seen `at` one time.

    `lag` is how old the oldest record is that was appended but not yet counted here, in microseconds of real time;
    `lost` counts the records that could not be written within the last seconds. `metrics` holds a stratum for each step
    so far, by the names of `verdict.judged(spec)`; a metric that could not be read is absent. `unheard` names those about
    which nobody has reported anything in the whole rollout: all units are silent, so nothing can be told from them.
    """

    rollout: str
    at: int
    lag: int = 0
    lost: int = 0
    exposed: Exposed = Exposed()
    unheard: tuple[str, ...] = ()
    metrics: dict[str, tuple[Stratum, ...]] = {}
