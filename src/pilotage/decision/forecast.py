"""How many more units a proof takes, and when they will have come, if things stay as they are.

With D the distance of the effect from the null and V = s_C^2 / pi + s_B^2 / (1 - pi), a bet on delta grows by about
(delta D - delta^2 / 2) / V with each unit (the mean of a log-likelihood ratio of normal means); the best of the mixture's
five is what the proof grows by. The effect is what was seen, drawn towards what is supposed (no difference for a
guardrail, the smallest that matters for a goal) as long as little was seen.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from pilotage.decision.batch import EXPOSED
from pilotage.decision.comparison import scale_of, width_of
from pilotage.decision.exposure import exposed_at
from pilotage.decision.parts import part_of, share_in
from pilotage.decision.stratum import difference, pooled
from pilotage.decision.verdict import judged
from pilotage.spec.metric import Guardrail
from pilotage.stats.asymptotic import BURN_IN, AsymptoticSequence
from pilotage.stats.claim import threshold
from pilotage.stats.mixture import MULTIPLES
from pilotage.status import MILLION

if TYPE_CHECKING:
    from pilotage.decision.comparison import Comparison
    from pilotage.decision.statistics import Statistics
    from pilotage.decision.stratum import Arm
    from pilotage.spec.metric import Goal
    from pilotage.spec.use_case import UseCase
    from pilotage.status import RolloutStatus

PRICE = 0.2
"""What a mixture over five effects costs in log-wealth, beside the one right bet."""
_NEVER = 1_000_000_000
"""More units than anybody waits for."""


class Expected(msgspec.Struct, frozen=True):
    """About how many more candidate units a proof takes, and when they will have an outcome (microseconds)."""

    units: int
    at: int


def needed(
    metric: Goal | Guardrail, known: Comparison, rollout: RolloutStatus, release: str, line: float
) -> int | None:
    """Return about how many more candidate units the proof takes at the present share; None where it cannot be told."""
    if known.proof_peak >= line:
        return 0
    share = _share_now(rollout, release, compared=known.level is None)
    if share is None:
        return None
    baseline, candidate = pooled(known.strata)
    of_candidate, of_baseline = _variance(metric, candidate), _variance(metric, baseline)
    variance = of_candidate if known.level is not None else of_candidate / share + of_baseline / (1 - share)
    growth = _growth(metric, known, (of_candidate + of_baseline) / 2, variance)
    units = share * (line + PRICE - known.log_proof) / growth if growth > 0 else math.inf
    if isinstance(known.sequence, AsymptoticSequence) and not known.sequence.tuning:
        waits = [float(BURN_IN - candidate.n)]
        if known.level is None:
            waits.append((BURN_IN - baseline.n) * share / (1 - share))
        units = max(units, *waits)
    return math.ceil(units) if units < _NEVER else None


def expected(
    statistics: Statistics, spec: UseCase, rollout: RolloutStatus, name: str, now: int, *, release: str = ""
) -> Expected | None:
    """Return when one metric's proof is about to come, of the first candidate unless another is named.

    None where it cannot be told: nothing has come yet, or the proof is out of reach.
    """
    release = release or rollout.candidate
    arm = rollout.candidates.index(release) + 1
    known = statistics.comparisons[arm - 1].get(name)
    a_microsecond = arrivals(statistics, rollout, release, now)
    if known is None or not a_microsecond:
        return None
    metric = judged(spec)[name]
    units = needed(metric, known, rollout, release, threshold(spec.rollout.alpha / len(rollout.candidates)))
    if units is None:
        return None
    # Those who were exposed and have no outcome yet will have one without anybody else's coming.
    waiting = exposed_at(statistics.exposures, rollout).get(arm, 0) - known.units[1]
    still = max(0, units - max(0, waiting))
    lasts = metric.matures_after if units else 0
    return Expected(units, now + round(still / a_microsecond) + lasts)


def arrivals(statistics: Statistics, rollout: RolloutStatus, release: str, now: int) -> float:
    """Return a candidate's new units a microsecond at its present share, from all first exposures so far."""
    until = min(now, statistics.frontier.get(EXPOSED, now))
    open_to = 0.0
    for split, following in zip(rollout.allocations, (*rollout.allocations[1:], None), strict=True):
        lasted = min(following.at if following else until, until) - split.at
        shares = [share_in(split, other) for other in rollout.candidates]
        # Without a baseline nobody but the candidates' units is recorded.
        covered = 1.0 if rollout.baseline else sum(shares) / len(shares) / MILLION
        open_to += max(0, lasted) * covered
    units = sum(exposed_at(statistics.exposures, rollout).values())
    if not open_to or not rollout.allocations:
        return 0.0
    share = share_in(rollout.allocations[-1], release) / MILLION / len(rollout.candidates)
    return units / open_to * share


def _share_now(rollout: RolloutStatus, release: str, *, compared: bool) -> float | None:
    """Return the candidate's chance among both sides at present; None where one of them gets nobody."""
    if not rollout.allocations:
        return None
    newest = rollout.allocations[-1].generation
    part = part_of(rollout, release, newest, newest)
    if not part.comparable(compared=compared):
        return None
    return part.share if compared else 1.0


def _variance(metric: Goal | Guardrail, arm: Arm) -> float:
    """Return a unit's variance; a guess (from today's rate, or a quarter of the range) counts as one unit."""
    width = width_of(metric)
    if metric.kind == "binary":
        today = 0.5 if metric.today is None else metric.today
        guess = max(today * (1 - today), scale_of(metric) / 4)
    else:
        guess = (width / 4 if math.isfinite(width) else scale_of(metric)) ** 2
    return (arm.around + guess) / (arm.n + 1)


def _growth(metric: Goal | Guardrail, known: Comparison, of_one: float, variance: float) -> float:
    """Return the log-wealth that one unit on either side is expected to add."""
    claim, seen = known.sequence.claims[0], difference(known.strata, known.level)
    supposed = 0.0 if isinstance(metric, Guardrail) else claim.scale
    if seen is None:
        effect = supposed
    else:
        if known.level is None:
            weight = sum(stratum.weight for stratum in known.strata if stratum.baseline.n and stratum.candidate.n)
        else:
            weight = float(known.units[1])
        trust = weight / (weight + of_one / claim.scale**2)
        effect = trust * claim.sign * seen + (1 - trust) * supposed
    distance = effect - claim.null
    if isinstance(known.sequence, AsymptoticSequence):
        return distance * distance / (2 * variance) if distance > 0 else 0.0
    bets = [multiple * claim.scale for multiple in MULTIPLES]
    return max((bet * distance - bet * bet / 2) / variance for bet in bets)
