"""Whether a candidate is worse for one group of units than for the others: what each group shows, and the gap.

For a group g and all others, the two sides of the rollout are compared as for everybody, each within its own units, so
that chance alone decided who got what. With the anytime-valid intervals [l, u] of both differences (candidate minus
baseline), the gap d_g - d_others lies within [l_g - u_others, u_g - l_others] (union bound). A gap is shown to be above
its margin where the end towards the better is worse than the margin; each end is at
alpha / (2 k m), for m pairs of group and metric with a margin, and k candidates. So the chance that a rollout without any such gap
is ever held by one is at most alpha, however often it is looked at. That is conservative: the ends rarely meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pilotage.decision.comparison import Comparison, opened
from pilotage.decision.stratum import difference
from pilotage.decision.verdict import judged
from pilotage.decision.wording import amount_text, currency_of
from pilotage.spec.fairness import group_of
from pilotage.stats.asymptotic import AsymptoticSequence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pilotage.decision.batch import Cell
    from pilotage.spec.metric import Metric
    from pilotage.spec.use_case import UseCase

OTHERS = "!"
"""Begins the name of all others than a group."""


class Gap(NamedTuple):
    """One metric that is worse for a group than for the others, and how it is in words, the metric first."""

    group: str
    metric: str
    says: str


class Rates(NamedTuple):
    """The chance with which an end of what is shown may be wrong, and both ends that a gap is read from together."""

    shown: float
    gap: float


class Parity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one metric shows of one group, and how far the candidate's effect there is from that on all others.

    All figures are candidate minus baseline on the metric's own scale; `units` and `against` count the group's matured units on both sides.
    Where `few` they are too few to be shown, and all figures are 0. `above` says that the gap is shown to be above its margin.
    """

    units: int = 0
    against: int = 0
    value: float = 0.0
    low: float = 0.0
    high: float = 0.0
    gap: float = 0.0
    gap_low: float = 0.0
    gap_high: float = 0.0
    margin: float | None = None
    above: bool = False
    few: bool = False


def begin(spec: UseCase, *, compared: bool) -> dict[str, dict[str, Comparison]]:
    """Return the comparisons before any unit, by group and metric: of each group, and of all others than it."""
    metrics = judged(spec)
    found = {name: known for name, metric in metrics.items() if (known := opened(metric, compared=compared))}
    return {name: dict(found) for group in spec.fairness.groups for name in (group, OTHERS + group)}


def cells_of(
    spec: UseCase, name: str, groups: Mapping[str, Mapping[str, Sequence[Cell]]]
) -> Mapping[str, Sequence[Cell]]:
    """Return by metric the cells of a group, or of all others than it: those of whom nothing was said are among them."""
    if not name.startswith(OTHERS):
        return groups.get(name, {})
    segment, _, value = name.removeprefix(OTHERS).partition("=")
    found: dict[str, list[Cell]] = {}
    for other in ("", *spec.fairness.segments[segment]):
        if other != value:
            for metric, cells in groups.get(group_of(segment, other), {}).items():
                found.setdefault(metric, []).extend(cells)
    return found


def parities(
    spec: UseCase, comparisons: Mapping[str, Mapping[str, Comparison]], *, alpha: float
) -> dict[str, dict[str, Parity]]:
    """Return what is known now, by group and metric. `alpha` is what one candidate's claims may be wrong by.

    A group with fewer units than `least` on either side is not shown; and where it is the only one of its segment, the
    next smallest is not either, or it would be told by taking the others away from the whole.
    """
    metrics, fairness = judged(spec), spec.fairness
    pairs = max(1, len(fairness.groups) * len(fairness.margins))
    found: dict[str, dict[str, Parity]] = {group: {} for group in fairness.groups}
    for metric in metrics:
        for segment, values in fairness.segments.items():
            groups = [group_of(segment, value) for value in values]
            least = {group: _least(comparisons.get(group, {}).get(metric)) for group in groups}
            few = _few(least, fairness.least)
            for group in groups:
                known = comparisons.get(group, {}).get(metric)
                others = comparisons.get(OTHERS + group, {}).get(metric)
                if known is None or others is None or group in few:
                    found[group][metric] = Parity(few=True)
                    continue
                margin = fairness.margins.get(metric)
                found[group][metric] = _parity(metrics[metric], margin, (known, others), Rates(alpha, alpha / pairs))
    return found


def gaps(spec: UseCase, known: Mapping[str, Mapping[str, Parity]]) -> Iterator[Gap]:
    """Yield each gap that is shown to be above its margin."""
    metrics, currency = judged(spec), currency_of(spec)
    for group, by_metric in known.items():
        for name, one in by_metric.items():
            if not one.above or one.margin is None:
                continue
            ends = sorted((abs(one.gap_low), abs(one.gap_high)))
            amount, least, most, margin = (
                amount_text(value, metrics[name], currency) for value in (abs(one.gap), *ends, one.margin)
            )
            allowed = f"above the {margin} that fairness.margins.{name} allows"
            yield Gap(
                group, name, f"is worse for {group} than for the others by {amount} ({least} to {most}), {allowed}"
            )


def unequal(spec: UseCase, known: Mapping[str, Mapping[str, Parity]]) -> list[str]:
    """Return each gap that is shown to be above its margin, in words."""
    return [f"{gap.metric} {gap.says}" for gap in gaps(spec, known)]


def _few(least: Mapping[str, int], wanted: int) -> set[str]:
    few = {group for group, units in least.items() if units < wanted}
    shown = [group for group in least if group not in few]
    if len(few) == 1 and shown:
        few.add(min(shown, key=lambda group: least[group]))
    return few


def _least(known: Comparison | None) -> int:
    if known is None:
        return 0
    against, units = known.units
    return units if known.level is not None else min(against, units)


def _parity(metric: Metric, margin: float | None, pair: tuple[Comparison, Comparison], rates: Rates) -> Parity:
    known, others = pair
    against, units = known.units
    told = known.sequence.interval(2 * rates.shown)
    value, beside = difference(known.strata, known.level), difference(others.strata, others.level)
    if told is None or value is None:
        return Parity(few=True)
    alone = Parity(
        units=units, against=against, value=value, low=min(told[0], value), high=max(told[1], value), margin=margin
    )
    one, rest = known.sequence.interval(rates.gap), others.sequence.interval(rates.gap)
    if one is None or rest is None or beside is None:
        return alone
    low, high = one[0] - rest[1], one[1] - rest[0]
    worst = high if metric.direction == "up" else -low
    return msgspec.structs.replace(
        alone,
        gap=min(max(value - beside, low), high),
        gap_low=low,
        gap_high=high,
        above=margin is not None and worst < -margin and _ready(known) and _ready(others),
    )


def _ready(known: Comparison) -> bool:
    """Return whether an interval is more than orientation: those without bounds wait for their burn-in."""
    return not isinstance(known.sequence, AsymptoticSequence) or bool(known.sequence.tuning)
