"""The split as it was set beside the split as it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.decision.wording import variant_of
from pilotage.stats.claim import threshold
from pilotage.stats.tilt import ALPHA

if TYPE_CHECKING:
    from pilotage.decision.findings import Findings
    from pilotage.spec.use_case import UseCase
    from pilotage.status import RolloutStatus


def broken_split(spec: UseCase, rollout: RolloutStatus, findings: Findings) -> str:
    """Return what is wrong with the newest split of a candidate, or an empty string.

    What was so when the rollout was paused or let go on is pardoned: from there on the e-process begins anew (its value
    over the one it had there is an e-process as well), so that a person's yes is not undone at the next tick.
    """
    line = threshold(ALPHA / len(rollout.candidates))
    for found in findings.broken:
        if found.release in rollout.out or found.log_e - rollout.pardoned.get(found.release, 0.0) < line:
            continue
        whose = "the candidate" if len(rollout.candidates) == 1 else variant_of(found.release)
        return (
            f"{found.candidate:,} of {found.units:,} {spec.unit}s came to {whose}, where about {found.expected:,.0f} were "
            f"due (e-value {_power(found.log_e)}); assignment or recording is broken, so nothing can be compared."
        )
    return ""


def _power(log_e: float) -> str:
    """Say `12,000`, or `10^31` of what nobody counts."""
    return f"{2.718281828459045**log_e:,.0f}" if log_e < 16 else f"10^{log_e / 2.302585092994046:.0f}"
