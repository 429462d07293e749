"""Measures: scores and replies become numbers with intervals, each of which may turn out not to be measurable.

An unscored case is not wrong, so it takes no part in a value. But it might have been either, so an interval's lower end
counts it as wrong and its upper end as right: what could not be scored can widen an interval and never narrow it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.errors import NotMeasured
from pilotage.evaluation.client import SHORT, Reply
from pilotage.evaluation.comparison import Pair, at_once, by_label, difference, groups_of, rate, smallest_effect
from pilotage.evaluation.price import paid
from pilotage.records import Score
from pilotage.spec.case import Case
from pilotage.stats.interval import mean_interval
from pilotage.stats.quantile import quantile_interval, sample_needed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CONFIDENCE = 0.95
SAFETY = ("security", "privacy")
"""Kinds of cases that the suites of these names ask; all others feed quality."""
WORST = 10
SLICES = 30
MONTH = 30
"""Days."""
TIMES = (1, 10, 100)
"""Of the declared traffic."""


class Measure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One measured number, in the shape that evidence has."""

    measure: str
    value: float
    low: float
    high: float
    n: int
    method: str
    baseline: str = ""
    confidence: float = CONFIDENCE
    detail: dict[str, Any] = {}


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One case with the candidate's reply, its score, and the baseline's score (None: nothing to score by)."""

    case: Case
    reply: Reply
    score: Score | None
    before: Score | None = None

    @property
    def value(self) -> float | None:
        return self.score.value if self.score else None

    @property
    def value_before(self) -> float | None:
        return self.before.value if self.before else None


def quality(judged: Sequence[Judged]) -> Measure:
    """Return the share of right replies."""
    cases = [one for one in judged if one.score and one.case.kind not in SAFETY]
    right, scored = _counts(cases, "quality")
    whole = [None if one.value is None else float(one.value == 1) for one in cases]
    groups = groups_of([one.case for one in cases])
    return Measure(
        measure="quality",
        value=right / scored,
        low=rate(_filled(whole, 0.0), groups, CONFIDENCE).low,
        high=rate(_filled(whole, 1.0), groups, CONFIDENCE).high,
        n=scored,
        method=f"share of right replies, Wilson interval{_by(groups)}; unscored cases count as wrong at its lower end, right at its upper",
        detail={
            **_unscored(cases),
            "without_expectation": sum(one.score is None for one in judged),
            "slices": {
                "kind": _slices(judged, lambda case: case.kind),
                "scenario": _slices(judged, lambda case: case.scenario),
            },
            "worst": _worst(cases),
        },
    )


def quality_difference(judged: Sequence[Judged], baseline: str) -> Measure:
    """Return the difference of the shares of right replies, candidate minus baseline, on the same cases."""
    cases = [one for one in judged if one.score and one.case.kind not in SAFETY]
    pairs = [(one.value, one.value_before) for one in cases]
    whole = [pair for one in cases if (pair := _pair(one)) is not None]
    if not whole:
        raise NotMeasured(f"none of {len(cases)} cases was scored for both the candidate and {baseline}")
    now, before = zip(*pairs, strict=True)
    groups = groups_of([one.case for one in cases])
    least = difference(_filled(now, 0.0), _filled(before, 1.0), groups, CONFIDENCE)
    most = difference(_filled(now, 1.0), _filled(before, 0.0), groups, CONFIDENCE)
    value = sum(pair.now - pair.before for pair in whole) / len(whole)
    return Measure(
        measure="quality_difference",
        value=value,
        # Of a handful of pairs the interval is drawn to the middle, and would leave the value outside.
        low=min(least.low, value),
        high=max(most.high, value),
        n=len(whole),
        method=f"paired difference in the share of right replies, score interval (Tango; Agresti-Min where scores are graded){_by(groups)}; unscored cases count as the worst at each end",
        baseline=baseline,
        detail={
            "unscored": len(pairs) - len(whole),
            "candidate": sum(pair.now for pair in whole) / len(whole),
            "baseline": sum(pair.before for pair in whole) / len(whole),
            "better": sum(pair.now > pair.before for pair in whole),
            "worse": sum(pair.now < pair.before for pair in whole),
            "smallest_effect": smallest_effect(whole, CONFIDENCE),
            "scenarios": by_label(_pairs(cases), CONFIDENCE),
        },
    )


def latency(replies: Sequence[Reply], concurrency: int) -> Measure:
    """Return the 95th percentile in seconds of what it took to answer."""
    seconds = [reply.latency for reply in replies if not reply.error]
    found = quantile_interval(seconds, 0.95, CONFIDENCE)
    if found is None:
        needed = sample_needed(0.95, CONFIDENCE)
        raise NotMeasured(
            f"bounds on the 95th percentile need at least {needed} answers, and there were {len(seconds)}"
        )
    return Measure(
        measure="latency",
        value=found[0],
        low=found[1],
        high=found[2],
        n=len(seconds),
        method="95th percentile in seconds, interval by order statistics (no distribution assumed)",
        detail={"concurrency": concurrency, "unanswered": len(replies) - len(seconds)},
    )


def cost(
    replies: Sequence[Reply], price: tuple[float, ...] | None, currency: str, traffic: dict[str, float] | None = None
) -> Measure:
    """Return the mean money for one answered request; `price` is as in `evaluation.price`, without what costs nothing at its end.

    `traffic` is the file's declaration: with it the detail holds a unit's cost, and a month's at 1, 10 and 100 times it.
    """
    if price is None:
        raise NotMeasured("the candidate's variant has no price; give it one: price = { input = 0.5, output = 1.5 }")
    answered = [reply for reply in replies if not reply.error]
    money = [one for reply in answered if (one := paid(reply, price)) is not None]
    if len(money) < 2:
        raise NotMeasured(f"{len(money)} of {len(answered)} replies say how many tokens they took; two are needed")
    mean = mean_interval(money, CONFIDENCE)
    low = max(0.0, mean.low)
    return Measure(
        measure="cost",
        value=mean.value,
        low=low,
        high=mean.high,
        n=len(money),
        method=f"mean {currency} a request, from the tokens of each reply and the declared price",
        detail={
            "currency": currency,
            "price": list(price[:2] if not any(price[2:]) else price),
            "without_usage": len(answered) - len(money),
        }
        | _at_traffic((mean.value, low, mean.high), traffic or {}),
    )


def _at_traffic(a_request: tuple[float, float, float], traffic: dict[str, float]) -> dict[str, Any]:
    """Return a unit's cost and a month's as (value, low, high). Prices are taken to stay as declared, whatever is bought."""
    if "new_units_a_day" not in traffic:
        return {}
    requests = traffic.get("requests_a_unit", 1.0)
    months = {times: requests * traffic["new_units_a_day"] * MONTH * times for times in TIMES}
    return {
        "a_unit": [one * requests for one in a_request],
        "a_month": {f"{times}x": [one * sent for one in a_request] for times, sent in months.items()},
    }


def _pair(one: Judged) -> Pair | None:
    """Return the scores of both sides; None where either is not there."""
    if one.value is None or one.value_before is None:
        return None
    return Pair(one.value, one.value_before, one.case.group)


def _by(groups: Sequence[str]) -> str:
    return f" over {len(set(groups))} groups of cases (design effect)" if groups else ""


def _pairs(cases: Sequence[Judged]) -> dict[str, list[Pair]]:
    """Return the scores of both sides by scenario, of the most frequent scenarios."""
    found: dict[str, list[Pair]] = {}
    for one in cases:
        if one.case.scenario and (pair := _pair(one)) is not None:
            found.setdefault(one.case.scenario, []).append(pair)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))[:SLICES])


def _counts(cases: Sequence[Judged], kind: str) -> tuple[int, int]:
    """Return (right, scored); raise NotMeasured where nothing was scored."""
    if not cases:
        raise NotMeasured(
            f"there are no {kind} cases that say what a right reply holds; give them `required`, `forbidden`, `exact` or `contains`"
        )
    values = [one.value for one in cases if one.value is not None]
    if not values:
        reason, _ = _reasons(cases).most_common(1)[0]
        raise NotMeasured(f"none of {len(cases)} {kind} cases could be scored, most often because: {reason}")
    return sum(value == 1 for value in values), len(values)


def _filled(values: Sequence[float | None], unscored: float) -> list[float]:
    return [unscored if value is None else value for value in values]


def _reasons(cases: Sequence[Judged]) -> Counter[str]:
    return Counter(one.score.why for one in cases if one.score and one.score.value is None)


def _unscored(cases: Sequence[Judged]) -> dict[str, Any]:
    reasons = _reasons(cases)
    return {"unscored": reasons.total(), "unscored_because": dict(reasons.most_common(WORST))}


def _slices(judged: Sequence[Judged], label: Callable[[Case], str]) -> dict[str, dict[str, float | None]]:
    """Return right, wrong and unscored by label, of the most frequent labels, and the share of right ones.

    Its bounds hold in all labels at once (Bonferroni); unscored cases count as wrong at the lower, as right at the upper.
    """
    parts: dict[str, list[Judged]] = {}
    for one in judged:
        if one.score and label(one.case):
            parts.setdefault(label(one.case), []).append(one)
    largest = sorted(parts, key=lambda name: (-len(parts[name]), name))[:SLICES]
    each = at_once(CONFIDENCE, len(largest))
    return {name: _slice(parts[name], each) for name in largest}


def _slice(cases: Sequence[Judged], confidence: float) -> dict[str, float | None]:
    whole = [None if one.value is None else float(one.value == 1) for one in cases]
    right, wrong = whole.count(1.0), whole.count(0.0)
    groups = groups_of([one.case for one in cases])
    return {
        "right": right,
        "wrong": wrong,
        "unscored": whole.count(None),
        "value": right / (right + wrong) if right + wrong else None,
        "low": rate(_filled(whole, 0.0), groups, confidence).low,
        "high": rate(_filled(whole, 1.0), groups, confidence).high,
    }


def _worst(cases: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return wrong replies, first those to cases that the baseline gets right. Texts are the case file's own."""
    wrong = [one for one in cases if one.value is not None and one.value < 1]
    wrong.sort(key=lambda one: (-(one.value_before or 0.0), one.value, one.case.id))
    return [
        {
            "case": one.case.id,
            "kind": one.case.kind,
            "question": one.case.text[:SHORT],
            "reply": (one.reply.text or "")[:SHORT],
            "why": one.score.why if one.score else "",
            "baseline": one.value_before,
        }
        for one in wrong[:WORST]
    ]
