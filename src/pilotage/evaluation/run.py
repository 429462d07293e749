"""One evaluation: candidate and baseline over the same cases, through a real gateway, into evidence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pilotage.errors import Conflict, NotMeasured, WrongCall
from pilotage.evaluation.answers import Answers
from pilotage.evaluation.client import GatewayClient
from pilotage.evaluation.collection import must_be_whole
from pilotage.evaluation.dataset import answer_key
from pilotage.evaluation.evidence import outcome, record
from pilotage.evaluation.hint import unrecorded
from pilotage.evaluation.kept import keep_scores
from pilotage.evaluation.measures import (
    Judged,
    Measure,
    cost,
    latency,
    quality,
    quality_difference,
)
from pilotage.evaluation.own_scorer import own_scorer
from pilotage.evaluation.pace import Pace
from pilotage.evaluation.plan import Cases, Command, Plan, fetch_cases, fetch_plan
from pilotage.evaluation.purse import Purse, tariff_of
from pilotage.evaluation.results import result_of
from pilotage.evaluation.scorers import score_case, scorers_of
from pilotage.evaluation.value import worths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.evaluation.own_scorer import OwnFunction, OwnScorer
    from pilotage.records import Score
    from pilotage.spec.case import Case

Progress = Callable[[str, int, int], None]
"""Told (what is being done, how many are done, of how many)."""


async def evaluate(
    command: Command,
    gateway: str,
    key: str,
    use_case: str,
    *,
    progress: Progress | None = None,
    variant: str = "",
    max_cases: int | None = None,
    concurrency: int = 8,
    max_cost: float | None = None,
    own: OwnFunction | None = None,
) -> dict[str, Any]:
    """Measure a candidate against the baseline on the use case's own cases and record evidence of it.

    `variant` names one of several candidates; the first of them is measured otherwise. `gateway` is a base URL, `key` a
    secret with the roles infer and operate. `own` gives the function of the team's own scorer by its name. `max_cost` is the most that this run may cost, in the file's currency. Return
    plain data: the measures with their intervals, what could not be measured and why, each case with what came of it, and
    a `summary` in a sentence. Raise NotMeasured, with nothing recorded, where there is no candidate, no case, no gateway,
    no reply that could be scored, or not the money for all cases. When interrupted, the answers so far are kept, no
    evidence is recorded, and the next run goes on from there.
    """
    if concurrency < 1 or (max_cases is not None and max_cases < 1):
        raise WrongCall("concurrency and max_cases are at least 1")
    sides = await _prepared(command, use_case, variant, max_cases, max_cost)
    plan, cases, answers, before = sides
    scorer = own_scorer(plan, own)
    told = progress or (lambda _what, _done, _of: None)
    pace, purse = Pace(concurrency), Purse(max_cost, plan.currency)
    async with GatewayClient(gateway, key, source="evaluation") as client:
        await client.check()
        await answers.collect(client, cases.taken, pace, partial(told, "candidate"), purse)
        if before is not None:
            await before.collect(client, cases.taken, pace, partial(told, "baseline"), purse)
    must_be_whole(sides.sides, purse)
    judged = await _judge(plan, cases.taken, answers, before, scorer)
    baseline = before.release if before is not None else ""
    measures, missing = _measure(plan, judged, answers, before, concurrency)
    now = await fetch_plan(command, use_case, variant)
    if (now.candidate, now.charter, now.cases) != (plan.candidate, plan.charter, plan.cases):
        raise Conflict(
            f"{use_case} was changed while it was evaluated, so nothing was recorded",
            hint="run it again: answers that are still good cost nothing",
        )
    measures = await keep_scores(command, plan, judged, (answers, before), measures)
    evidence = await record(command, plan, measures, cases.digest)
    return {
        **outcome(plan, measures, missing, evidence),
        "baseline": baseline,
        "cases": len(cases.taken),
        "cases_of": cases.of,
        "data": cases.digest,
        "asked": sum(len(side.replies) - side.kept for side in sides.sides),
        "kept": sum(side.kept for side in sides.sides),
        "spent": purse.spent,
        "waits": pace.waits,
        "unscored": sum(one.score is not None and one.value is None for one in judged),
        "results": [result_of(one) for one in judged],
        "summary": _summary(plan, baseline, measures, missing),
    }


async def estimate(
    command: Command,
    use_case: str,
    *,
    variant: str = "",
    max_cases: int | None = None,
) -> dict[str, Any]:
    """Return what `evaluate` would ask and what that costs, with nothing asked: at most, and likely by what is kept."""
    sides = await _prepared(command, use_case, variant, max_cases, None)
    found = []
    for side in sides.sides:
        questions = await side.find(sides.cases.taken)
        bounded = side.bounded
        found.append(
            {
                "release": side.release,
                "ask": len(questions),
                "kept": side.kept,
                "cost_at_most": side.most(questions) if bounded else None,
                "cost_likely": side.likely(questions) if side.priced else None,
            }
        )
    return {
        "use_case": use_case,
        "candidate": sides.plan.candidate,
        "currency": sides.plan.currency,
        "cases": len(sides.cases.taken),
        "cases_of": sides.cases.of,
        "sides": found,
    }


class Sides(NamedTuple):
    plan: Plan
    cases: Cases
    answers: Answers
    before: Answers | None

    @property
    def sides(self) -> tuple[Answers, ...]:
        return (self.answers,) if self.before is None else (self.answers, self.before)


async def _prepared(
    command: Command, use_case: str, variant: str, max_cases: int | None, max_cost: float | None
) -> Sides:
    plan = await fetch_plan(command, use_case, variant)
    cases = await fetch_cases(command, plan, max_cases)
    baseline = plan.baseline if plan.baseline != plan.candidate else ""
    capped = max_cost is not None
    answers, before = (
        Answers(command, use_case, release, tariff_of(plan, release, capped=capped, chats=bool(cases.chats)))
        if release
        else None
        for release in (plan.candidate, baseline)
    )
    assert answers is not None, "a plan names a candidate"
    return Sides(plan, cases, answers, before)


async def _judge(
    plan: Plan, cases: Sequence[Case], answers: Answers, before: Answers | None, own: OwnScorer | None
) -> list[Judged]:
    by_release = {by.release: scorers_of(plan.price(by.release), own) for by in (answers, before) if by is not None}

    async def score(case: Case, by: Answers) -> Score | None:
        return await score_case(case, by.replies[answer_key(case)], by.release, by_release[by.release])

    return [
        Judged(
            case=case,
            reply=answers.replies[answer_key(case)],
            score=await score(case, answers),
            before=await score(case, before) if before else None,
        )
        for case in cases
    ]


def _measure(
    plan: Plan, judged: Sequence[Judged], answers: Answers, before: Answers | None, concurrency: int
) -> tuple[list[Measure], dict[str, str]]:
    """Return what was measured, and why the rest was not; raise NotMeasured where no reply could be scored."""
    replies, price = list(answers.replies.values()), plan.price(plan.candidate)
    baseline = before.release if before is not None else ""
    wanted: dict[str, Callable[[], Measure]] = {"quality": partial(quality, judged)}
    if baseline:
        wanted["quality_difference"] = partial(quality_difference, judged, baseline)
    wanted["latency"] = partial(latency, replies, concurrency)
    wanted["cost"] = partial(cost, replies, price, plan.currency, plan.spec.get("traffic"))
    measures, missing = [], {}
    for name, measure in wanted.items():
        try:
            measures.append(measure())
        except NotMeasured as fault:
            missing[name] = fault.message
    if "quality" in missing:
        raise NotMeasured(
            f"{plan.candidate} could not be measured: {missing['quality']}",
            hint=unrecorded(missing["quality"]),
        )
    if price is not None:
        earlier = [before.replies.get(answer_key(one.case)) for one in judged] if before is not None else []
        more, why_not = worths(plan, judged, price, earlier)
        measures, missing = [*measures, *more], missing | why_not
    return measures, missing


def _summary(plan: Plan, baseline: str, measures: Sequence[Measure], missing: dict[str, str]) -> str:
    by_name = {measure.measure: measure for measure in measures}
    part = f"{plan.candidate} is right in {by_name['quality'].value:.1%} of {by_name['quality'].n} cases"
    if "quality_difference" in by_name:
        difference = by_name["quality_difference"]
        part += (
            f", {difference.value * 100:+.1f} points against {baseline}"
            f" ({difference.low * 100:+.1f} to {difference.high * 100:+.1f};"
            f" so many cases show {difference.detail['smallest_effect'] * 100:.1f} points or more)"
        )
    parts = [part]
    if month := by_name["cost"].detail.get("a_month") if "cost" in by_name else None:
        value, low, high = month["1x"]
        parts.append(f"a month at the declared traffic costs {value:,.2f} {plan.currency} ({low:,.2f} to {high:,.2f})")
    for name, says in (("cost_a_goal", "a right answer costs"), ("net_value_a_month", "a month's net value is")):
        if name in by_name:
            one = by_name[name]
            parts.append(f"{says} {_money(one.value)} {plan.currency} ({_money(one.low)} to {_money(one.high)})")
    if missing:
        parts.append(f"not measured: {', '.join(missing)}")
    return "; ".join(parts) + "."


def _money(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
