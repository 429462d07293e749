"""What the statistics of a rollout say at one moment: all that judging it reads of its units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.decision.exposure import Mismatch, exposed_at, mismatches
from pilotage.decision.forecast import expected
from pilotage.decision.parity import Parity
from pilotage.decision.statistics import by_group, readings
from pilotage.status import Reading

if TYPE_CHECKING:
    from pilotage.decision.statistics import Statistics
    from pilotage.spec.use_case import UseCase
    from pilotage.status import RolloutStatus


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """`readings` and `exposed` (units that met it so far) are by candidate; `units` counts everybody's first exposure.

    `expected` says by candidate and metric when its proof may be complete, `parity` what is
    known by candidate, group and metric, `broken` which candidates' splits are not as
    they were set, `heard` about which metrics feedback has come at all, `late` how many units were read too late to count.
    """

    readings: dict[str, dict[str, Reading]]
    exposed: dict[str, int] = {}
    expected: dict[str, dict[str, int]] = {}
    parity: dict[str, dict[str, dict[str, Parity]]] = {}
    broken: tuple[Mismatch, ...] = ()
    heard: tuple[str, ...] = ()
    units: int = 0
    late: int = 0


def findings(statistics: Statistics, spec: UseCase, rollout: RolloutStatus, now: int) -> Findings:
    """Read the statistics. When proofs may come is told where the present step waits for them."""
    found = readings(statistics, spec, rollout)
    exposures = exposed_at(statistics.exposures, rollout)
    times: dict[str, dict[str, int]] = {}
    if "prove" in spec.rollout.steps[rollout.step].demands:
        for release in rollout.remaining:
            open_yet = (name for name, reading in found[release].items() if not reading.proved and reading.needed)
            told = {name: expected(statistics, spec, rollout, name, now, release=release) for name in open_yet}
            times[release] = {name: one.at for name, one in told.items() if one is not None}
    return Findings(
        readings=found,
        exposed={release: exposures.get(arm, 0) for arm, release in enumerate(rollout.candidates, 1)},
        expected=times,
        parity=by_group(statistics, spec, rollout),
        broken=mismatches(statistics.exposures, rollout),
        heard=statistics.heard,
        units=sum(exposures.values()),
        late=statistics.late,
    )
