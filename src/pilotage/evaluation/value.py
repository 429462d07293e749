"""What it is worth: money for a goal reached, the net value of a month, and the traffic that pays what is fixed.

A right answer on the cases stands for a goal reached: that is as far as cases can tell. What customers do is measured live.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.errors import NotMeasured
from pilotage.evaluation.measures import CONFIDENCE, MONTH, SAFETY, TIMES, Measure
from pilotage.evaluation.price import Price, paid
from pilotage.stats.interval import mean_interval
from pilotage.stats.ratio import ratio_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.evaluation.client import Reply
    from pilotage.evaluation.measures import Judged
    from pilotage.evaluation.plan import Plan

_SUPPOSED = "a right answer on the cases stands for a goal reached"


class Bargain(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says of money. `worth` is what a goal reached is worth, `fixed` what a month costs whatever is asked.

    `before` is the baseline's price; without a baseline, a right answer is compared with nothing.
    """

    currency: str
    price: Price
    before: Price | None = None
    goal: str = ""
    worth: float | None = None
    fixed: float | None = None
    units_a_day: float | None = None
    requests_a_unit: float = 1.0


class _Side(msgspec.Struct, frozen=True):
    """One case at one release: whether it was right (None: unscored), and the money it took."""

    right: float | None
    paid: float


class _Row(msgspec.Struct, frozen=True):
    now: _Side
    before: _Side


def worths(
    plan: Plan, judged: Sequence[Judged], price: Price, before: Sequence[Reply | None]
) -> tuple[list[Measure], dict[str, str]]:
    """Return what could be said of the candidate's worth, and why the rest could not."""
    measures: list[Measure] = []
    try:
        bargain = bargain_of(plan, price)
        baseline = plan.baseline if before else ""
        measures.append(cost_a_goal(judged, bargain, before, baseline))
    except NotMeasured as fault:
        return measures, {"cost_a_goal": fault.message}
    if bargain.worth is None:
        # Most files say no worth, and need not hear of it each time.
        return measures, {}
    try:
        measures += net_value(judged, bargain, before, baseline)
    except NotMeasured as fault:
        return measures, {"net_value_a_month": fault.message}
    why = why_no_break_even(measures)
    return measures, {"break_even_units_a_day": why} if why and bargain.fixed else {}


def cost_a_goal(
    judged: Sequence[Judged], bargain: Bargain, before: Sequence[Reply | None] = (), baseline: str = ""
) -> Measure:
    """Return the money for each right answer: all that was paid, over all that was right."""
    rows = _rows(judged, bargain, before)
    found = _each([one.now for one in rows])
    detail: dict[str, Any] = {"currency": bargain.currency}
    if baseline:
        try:
            _priced(bargain, baseline)
            detail["before"] = {"release": baseline, "cost_a_goal": _each([one.before for one in rows])}
        except NotMeasured as fault:
            detail["before"] = {"release": baseline, "not_measured": fault.message}
    return Measure(
        measure="cost_a_goal",
        value=found[0],
        low=found[1],
        high=found[2],
        n=len(rows),
        baseline=baseline,
        method=f"{bargain.currency} paid for each right answer ({_SUPPOSED}), Fieller's interval; unscored cases count as right"
        " at its lower end, wrong at its upper",
        detail=detail,
    )


def net_value(
    judged: Sequence[Judged], bargain: Bargain, before: Sequence[Reply | None] = (), baseline: str = ""
) -> list[Measure]:
    """Return `net_value_a_month` and, where it can be said, `break_even_units_a_day`; raise NotMeasured for neither."""
    if bargain.worth is None:
        raise NotMeasured("no goal of the file says what reaching it is worth: [goals.NAME] worth = 2.40")
    if bargain.units_a_day is None:
        raise NotMeasured("the file declares no traffic: [traffic] new_units_a_day = 3000")
    _priced(bargain, baseline)
    rows = _rows(judged, bargain, before)
    if len(rows) < 2:
        raise NotMeasured(f"{len(rows)} cases say how many tokens they took; two are needed")
    worth, asks, daily = bargain.worth, bargain.requests_a_unit, bargain.units_a_day

    def gains(unscored: float, unscored_before: float) -> list[float]:
        """Return by case what a unit brings more than before, less what it costs more."""
        found = []
        for one in rows:
            now, then = (_known(one.now.right, unscored), _known(one.before.right, unscored_before))
            found.append(worth * (now - then) - asks * (one.now.paid - one.before.paid))
        return found

    compared = bool(baseline)
    whole = [one for one in rows if one.now.right is not None and (not compared or one.before.right is not None)]
    if not whole:
        raise NotMeasured("no case was scored on both sides")
    value = sum(
        worth * ((one.now.right or 0.0) - (one.before.right or 0.0)) - asks * (one.now.paid - one.before.paid)
        for one in whole
    ) / len(whole)
    least = min(value, mean_interval(gains(0.0, float(compared)), CONFIDENCE).low)
    most = max(value, mean_interval(gains(1.0, 0.0), CONFIDENCE).high)
    fixed = bargain.fixed or 0.0
    months = {f"{times}x": [one * daily * MONTH * times - fixed for one in (value, least, most)] for times in TIMES}
    told = f"{bargain.goal} at {worth:g} {bargain.currency} each"
    against = f"more than {baseline}" if compared else "beside nothing"
    detail: dict[str, Any] = {
        "currency": bargain.currency,
        "goal": bargain.goal,
        "worth": worth,
        "fixed_a_month": fixed,
        "a_unit": [value, least, most],
        "a_month": months,
    }
    found = [
        Measure(
            measure="net_value_a_month",
            value=months["1x"][0],
            low=months["1x"][1],
            high=months["1x"][2],
            n=len(whole),
            baseline=baseline,
            method=f"{told}, {against}, less what answers cost and {fixed:g} {bargain.currency} fixed, at the declared traffic;"
            f" {_SUPPOSED}; Student's interval over cases, unscored ones count as the worst at each end",
            detail=detail,
        )
    ]
    if fixed and least > 0:
        found.append(
            Measure(
                measure="break_even_units_a_day",
                value=fixed / MONTH / value,
                low=fixed / MONTH / most,
                high=fixed / MONTH / least,
                n=len(whole),
                baseline=baseline,
                method=f"new units a day whose net value pays {fixed:g} {bargain.currency} fixed a month; {_SUPPOSED}",
                detail={"a_unit": [value, least, most]},
            )
        )
    return found


def why_no_break_even(measures: Sequence[Measure]) -> str:
    """Say why there is no break-even traffic among the measures; empty where there is."""
    names = {one.measure: one for one in measures}
    if "break_even_units_a_day" in names or "net_value_a_month" not in names:
        return ""
    a_unit = names["net_value_a_month"].detail["a_unit"]
    if a_unit[1] <= 0:
        return "it is not shown that a unit brings more than it costs, so no traffic is known to pay"
    return (
        "nothing is fixed, so any traffic pays: [budget] fixed_a_month = 500 says what a month costs whatever is asked"
    )


def _paid(reply: Reply | None, price: tuple[float, ...]) -> float | None:
    """Return the money that a reply took; None where nobody says."""
    if not any(price) or (reply is not None and reply.error and reply.output_tokens is None):
        # Whoever did not answer is taken to ask for nothing.
        return 0.0
    return None if reply is None else paid(reply, price)


def _priced(bargain: Bargain, baseline: str) -> None:
    if baseline and bargain.before is None:
        raise NotMeasured(f"{baseline} has no price, so what it costs cannot be compared")


def _rows(judged: Sequence[Judged], bargain: Bargain, before: Sequence[Reply | None]) -> list[_Row]:
    """Return the cases that can be scored and whose price is known on both sides."""
    replies = before or [None] * len(judged)
    found = []
    for one, reply in zip(judged, replies, strict=True):
        if one.score is None or one.case.kind in SAFETY:
            continue
        now = _paid(one.reply, bargain.price)
        then = _paid(reply, bargain.before) if bargain.before is not None else 0.0
        if now is None or then is None:
            continue
        found.append(_Row(_Side(one.value, now), _Side(one.value_before if before else 0.0, then)))
    return found


def _each(sides: Sequence[_Side]) -> list[float]:
    """Return (value, low, high) of the money for each right answer."""
    scored = [one for one in sides if one.right is not None]
    right = sum(one.right or 0.0 for one in scored)
    if len(sides) < 2 or not right:
        raise NotMeasured(
            f"of {len(sides)} cases whose tokens are known {right:g} were right, so no price of one can be told"
        )
    money = [one.paid for one in sides]
    best = ratio_interval(money, [_known(one.right, 1.0) for one in sides], CONFIDENCE)
    worst = ratio_interval(money, [_known(one.right, 0.0) for one in sides], CONFIDENCE)
    if best is None or worst is None:
        raise NotMeasured(f"too few of {len(sides)} cases were right to bound what one costs")
    value = sum(one.paid for one in scored) / right
    return [value, max(0.0, min(best.low, value)), max(worst.high, value)]


def bargain_of(plan: Plan, price: Price) -> Bargain:
    """Return what a plan's file says of money. The goal is the first that is reached or not, and has a worth."""
    goals = (plan.spec.get("goals") or {}).items()
    wanted = [
        (name, goal)
        for name, goal in goals
        if goal.get("worth") and goal.get("kind", "binary") == "binary" and goal.get("direction", "up") == "up"
    ]
    name, goal = wanted[0] if wanted else ("", {})
    traffic, budget = plan.spec.get("traffic") or {}, plan.spec.get("budget") or {}
    before = None
    if plan.baseline and plan.baseline != plan.candidate:
        before = (
            Price(0.0, 0.0) if plan.variant(plan.baseline).get("upstream") == "search" else plan.price(plan.baseline)
        )
    return Bargain(
        currency=plan.currency,
        price=price,
        before=before,
        goal=name,
        worth=goal.get("worth"),
        fixed=budget.get("fixed_a_month"),
        units_a_day=traffic.get("new_units_a_day"),
        requests_a_unit=float(traffic.get("requests_a_unit", 1.0)),
    )


def _known(right: float | None, unscored: float) -> float:
    return unscored if right is None else right
