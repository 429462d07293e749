"""One candidate and one metric: the claims that decide, and all that is known, after the batches so far.

A guardrail is proved where the candidate is no worse than the margin, and harmed where it is worse than `rollback_at`
allows. A goal is proved where the candidate is better, and futile where it is better by less than `minimum_effect`.

Harm is the mean of two e-processes of one null, nine parts of the usual one and one part of one that bets on
differences up to nine tenths of the range. The usual bets end at 3.5 margins; where everything fails, at a share of a
half, the pooled rate drifts to a half too, and there a failure is no news to them. A mean of e-processes is one; the
usual one loses ln(1 / .9) = .11 by it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from pilotage.decision.method import Bounded, Method, Rate, method_of
from pilotage.decision.stratum import Stratum, arm_of, merged, pooled, ready, totals
from pilotage.decision.verdict import level_today
from pilotage.spec.metric import Guardrail
from pilotage.stats.asymptotic import AsymptoticSequence, Sums
from pilotage.stats.binary import Batch
from pilotage.stats.claim import Better, Claim, futile, harmful, not_inferior, superior
from pilotage.stats.demand import KNOWN, expected_rate
from pilotage.stats.histogram import Histogram
from pilotage.stats.one_sequence import OneMeanSequence, OneRateSequence, one_mean_sequence, one_rate_sequence
from pilotage.stats.sequence import MeanSequence, RateSequence, differences, mean_sequence, rate_sequence

if TYPE_CHECKING:
    from pilotage.decision.parts import Part
    from pilotage.spec.metric import Goal

Gathered: TypeAlias = tuple[int, int] | Histogram | Sums
Sequence: TypeAlias = RateSequence | MeanSequence | OneRateSequence | OneMeanSequence | AsymptoticSequence

WIDE = 0.1
"""What of the harm e-process bets on a cliff."""
_WIDEST = 0.36
"""2.5 times this is nine tenths."""
_SMALL = 0.02
"""The part of a metric's range that stands for an effect where the file gives none."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate's standing in one metric.

    `here` counts its matured units by the step of their first exposure. The logs of the e-values are those of now;
    the peaks are the highest so far, by which it is decided, for the chance that a false claim ever reaches its line is
    what alpha bounds. `level` is what it is compared with where there is no baseline.
    """

    sequence: Sequence
    level: float | None = None
    strata: tuple[Stratum, ...] = ()
    here: dict[int, int] = {}
    log_proof: float = 0.0
    log_against: float = 0.0
    proof_peak: float = 0.0
    against_peak: float = 0.0

    @property
    def units(self) -> tuple[int, int]:
        """Return the matured units of the baseline and of the candidate."""
        baseline, candidate = pooled(self.strata)
        return baseline.n, candidate.n


class Arrived(NamedTuple):
    """What matured of one split in one batch."""

    part: Part
    step: int
    baseline: tuple[int, ...]
    candidate: tuple[int, ...]


def opened(metric: Goal | Guardrail, *, compared: bool) -> Comparison | None:
    """Return the comparison before any unit; None where there is neither a baseline nor a level to compare with."""
    level = None if compared else level_today(metric)
    if level is None and not compared:
        return None
    return Comparison(sequence=_sequence(metric, method_of(metric), level), level=level)


def after(known: Comparison, method: Method, arrived: Arrived) -> Comparison:
    """Return the comparison with one split's units of one batch."""
    part = arrived.part
    baseline = method.read(arrived.baseline if known.level is None else method.gather(()))
    candidate = method.read(arrived.candidate)
    one = Stratum(part.lo, part.base, arm_of(baseline), arm_of(candidate))
    if not one.baseline.n + one.candidate.n:
        return known
    strata = merged(known.strata, one)
    here = known.here
    if one.candidate.n:
        here = {**here, arrived.step: here.get(arrived.step, 0) + one.candidate.n}
    sequence = _updated(known, baseline, candidate, strata, part)
    log_e = sequence.log_e
    proof, against = float(log_e[0]), float(log_e[1])
    if len(sequence.claims) > 2:
        against = _mean(against, float(log_e[2]))
    return Comparison(
        sequence=sequence,
        level=known.level,
        strata=strata,
        here=here,
        log_proof=proof,
        log_against=against,
        proof_peak=max(known.proof_peak, proof),
        against_peak=max(known.against_peak, against),
    )


def claims_of(metric: Goal | Guardrail) -> tuple[Claim, Claim]:
    """Return the claims of a metric: what a step demands, and what speaks against the candidate."""
    better: Better = "higher" if metric.direction == "up" else "lower"
    scale = scale_of(metric)
    if isinstance(metric, Guardrail):
        return not_inferior(scale, better), harmful(scale, better, at=metric.rollback_at)
    if not metric.minimum_effect:
        # Whatever is better matters, so only what is shown to be worse is futile.
        return superior(scale, better), harmful(scale, better, at="zero")
    return superior(scale, better), futile(scale, better)


def scale_of(metric: Goal | Guardrail) -> float:
    """Return the difference that bets are made around: the margin or the smallest effect that matters."""
    declared = metric.margin if isinstance(metric, Guardrail) else metric.minimum_effect
    if declared:
        return declared
    if metric.target is not None and metric.today is not None and metric.target != metric.today:
        return abs(metric.target - metric.today)
    low, high = metric.bounds
    return _SMALL * (high - low) if math.isfinite(high - low) else 1.0


def width_of(metric: Goal | Guardrail) -> float:
    low, high = metric.bounds
    return high - low


def _sequence(metric: Goal | Guardrail, method: Method, level: float | None) -> Sequence:
    claims: tuple[Claim, ...] = claims_of(metric)
    scale = scale_of(metric)
    if not isinstance(method, Rate | Bounded):
        return AsymptoticSequence(claims=claims, scale=scale)
    # A narrow range still has two buckets, which may be wider than it.
    width = float(method.scale.points[-1] - method.scale.points[0]) if isinstance(method, Bounded) else 1.0
    if isinstance(metric, Guardrail):
        claims = (*claims, msgspec.structs.replace(claims[1], scale=_WIDEST * (width - claims[1].null)))
    grid = differences(scale, width)
    if isinstance(method, Rate):
        if level is not None:
            return one_rate_sequence(grid, scale, level, claims)
        today = level_today(metric)
        if today is None:
            return rate_sequence(grid, scale, claims=claims)
        return rate_sequence(grid, scale, expected_rate(today, scale), KNOWN, claims)
    if level is not None:
        return one_mean_sequence(grid, scale, level, metric.bounds, claims)
    return mean_sequence(grid, scale, width, claims=claims)


def _updated(
    known: Comparison, baseline: Gathered, candidate: Gathered, strata: tuple[Stratum, ...], part: Part
) -> Sequence:
    match known.sequence, baseline, candidate:
        case AsymptoticSequence() as sequence, _, _:
            enough = ready(strata, compared=known.level is None)
            return sequence.update(totals(strata, known.level), ready=enough)
        case RateSequence() as sequence, (int(won), int(lost)), (int(successes), int(failures)):
            return sequence.update(Batch(won, lost, successes, failures), part.share)
        case OneRateSequence() as sequence, _, (int(successes), int(failures)):
            return sequence.update(successes, failures)
        case MeanSequence() as sequence, Histogram(), Histogram():
            return sequence.update(baseline, candidate, part.share)
        case OneMeanSequence() as sequence, _, Histogram():
            return sequence.update(candidate)
    raise TypeError("what was gathered of a metric is not what its claims are about: the file's metric has changed")


def _mean(usual: float, wide: float) -> float:
    """Return the log of the mean of two e-values from their logs."""
    usual, wide = usual + math.log(1 - WIDE), wide + math.log(WIDE)
    top = max(usual, wide)
    return top + math.log(math.exp(usual - top) + math.exp(wide - top))
