"""The split as it was set beside the split as it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.decision.wording import share_text
from pilotage.stats import looks
from pilotage.stats.sample_ratio import sample_ratio_p
from pilotage.status import MILLION

if TYPE_CHECKING:
    from pilotage.decision.observation import Observation
    from pilotage.status import RolloutStatus

ALPHA = 0.001


def look_at_split(rollout: RolloutStatus, observation: Observation) -> dict[str, int]:
    """Return {its name in `looks`: looks taken} when a look at this step's split is due, else nothing."""
    if rollout.share in (0, MILLION):
        return {}
    name = _name(rollout)
    count = observation.exposed.baseline + observation.exposed.candidate
    index = looks.due(count, rollout.looks.get(name, 0), looks.FIRST_SAMPLE_RATIO)
    return {} if index is None else {name: index + 1}


def broken_split(rollout: RolloutStatus, observation: Observation) -> str:
    """Return what is wrong with the split at the look that was just taken, or an empty string."""
    exposed = observation.exposed
    count = exposed.baseline + exposed.candidate
    p = sample_ratio_p(exposed.candidate, exposed.baseline, rollout.share / MILLION)
    # Every step has looks of its own, so all steps share one error rate.
    if p >= looks.spent(rollout.looks[_name(rollout)] - 1, ALPHA / len(rollout.shares)):
        return ""
    return (
        f"{exposed.candidate:,} of {count:,} units came to the candidate, where {share_text(rollout.share)} was set "
        f"(p = {p:.1g}); assignment or recording is broken, so nothing can be compared."
    )


def _name(rollout: RolloutStatus) -> str:
    return f"sample ratio at step {rollout.step + 1}"
