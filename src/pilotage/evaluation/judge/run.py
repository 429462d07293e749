"""The judge suite: replies to the cases, judged by a release of the use case's own, through a real gateway, into evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from pilotage.errors import Conflict, FaultyFile, NotMeasured, WrongCall
from pilotage.evaluation.answers import Answers
from pilotage.evaluation.client import GatewayClient
from pilotage.evaluation.collection import must_be_whole
from pilotage.evaluation.dataset import answer_key
from pilotage.evaluation.evidence import outcome, record
from pilotage.evaluation.judge.measure import Row, judge_difference, judge_rate, people, preference
from pilotage.evaluation.judge.sheet import sheet
from pilotage.evaluation.judge.verdict import asks_whether_right, asks_which_is_better, choice_of, verdict_of
from pilotage.evaluation.measures import SAFETY
from pilotage.evaluation.media.shelf import part_of
from pilotage.evaluation.pace import Pace
from pilotage.evaluation.plan import fetch_cases, fetch_files, fetch_plan
from pilotage.evaluation.purse import Purse, tariff_of
from pilotage.spec.label import Label, Preference, read_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.evaluation.client import Reply
    from pilotage.evaluation.judge.measure import People
    from pilotage.evaluation.measures import Measure
    from pilotage.evaluation.plan import Command, Plan
    from pilotage.spec.case import Case

Progress = Callable[[str, int, int], None]
LABELS = 100


async def judge(
    command: Command,
    gateway: str,
    key: str,
    use_case: str,
    *,
    variant: str = "",
    max_cases: int | None = None,
    concurrency: int = 8,
    max_cost: float | None = None,
    pairs: bool = False,
    labels: int = LABELS,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Have the judge say which replies of the candidate, and of what serves, are right; record evidence of it.

    With `pairs` it also says which of the two is better, asked in both orders. `sheet` in the result is a CSV table for
    people to label, with replies to `labels` cases. Answers and verdicts that are there already are not paid for again.
    Raise NotMeasured where no judge is named, or none of its verdicts could be read; FaultyFile for labels that are none.
    """
    if concurrency < 1 or labels < 1:
        raise WrongCall("concurrency and labels are at least 1")
    plan = await fetch_plan(command, use_case, variant)
    if not plan.judge:
        raise NotMeasured(
            f"{use_case} names no judge",
            hint='name a variant whose prompt is the rubric: [evaluation] judge = "judge" (docs/evaluation.md)',
        )
    known = _labels(await fetch_files(command, plan.labels))
    cases = await fetch_cases(command, plan, max_cases)
    mine = [case for case in cases.taken if case.kind not in SAFETY]
    if not mine:
        raise NotMeasured(f"{use_case} has no case to judge", hint="cases of kind security and privacy are not judged")
    capped, baseline = max_cost is not None, plan.baseline if plan.baseline != plan.candidate else ""
    words = any(case.surface == "chat" for case in mine)
    asked = {
        name: tariff_of(plan, name, capped=capped, chats=words or name == plan.judge)
        for name in (plan.candidate, baseline, plan.judge)
        if name
    }
    sides = {name: Answers(command, use_case, name, tariff) for name, tariff in asked.items()}
    pace, purse = Pace(concurrency), Purse(max_cost, plan.currency)
    told = progress or (lambda _what, _done, _of: None)
    async with GatewayClient(gateway, key, source="evaluation") as client:
        await client.check()
        for name in filter(None, (plan.candidate, baseline)):
            await sides[name].collect(client, mine, pace, partial(told, name), purse)
        replies = [
            tuple(
                _judgeable(sides[name].replies[answer_key(case)]) if name else None
                for name in (plan.candidate, baseline)
            )
            if all(answer_key(case) in sides[name].replies for name in (plan.candidate, baseline) if name)
            else (None, None)
            for case in mine
        ]
        questions = [
            one
            for case, (now, before) in zip(mine, replies, strict=True)
            for one in _questions(case, now, before, pairs=pairs)
        ]
        await sides[plan.judge].collect(client, questions, pace, partial(told, "judge"), purse)
    must_be_whole(list(sides.values()), purse)
    rows = [
        _row(case, now, before, sides[plan.judge], pairs=pairs)
        for case, (now, before) in zip(mine, replies, strict=True)
    ]
    measures = _measures(rows, known, plan.judge, baseline, pairs=pairs)
    later = await fetch_plan(command, use_case, variant)
    if _what(later) != _what(plan):
        raise Conflict(f"{use_case} was changed meanwhile, so nothing was recorded", hint="run it again")
    digest = hashlib.sha256("\n".join([cases.digest, plan.judge, *(file.digest for file in plan.labels)]).encode())
    evidence = await record(command, plan, measures, digest.hexdigest())
    return {
        **outcome(plan, measures, {}, evidence),
        "judge": plan.judge,
        "baseline": baseline,
        "cases": len(mine),
        "spent": purse.spent,
        "kept": sum(side.kept for side in sides.values()),
        "sheet": sheet(rows, known, labels, pairs=pairs),
        "summary": _summary(measures),
    }


def _what(plan: Plan) -> tuple[object, ...]:
    return plan.candidate, plan.baseline, plan.charter, plan.cases, plan.judge, plan.labels


def _labels(files: Sequence[tuple[str, bytes]]) -> People:
    found: list[Label | Preference] = []
    faults: list[str] = []
    for name, data in files:
        here, wrong = read_labels(data)
        found += here
        faults += [f"{name}:{one.number}: {one.says}" for one in wrong]
    if faults:
        raise FaultyFile(faults, outcome="nothing was asked")
    return people(
        [one for one in found if isinstance(one, Label)], [one for one in found if isinstance(one, Preference)]
    )


def _judgeable(reply: Reply) -> Reply | None:
    """Return a reply that the judge can be shown; None where there is none, or what came is too large or of a form that no judge takes."""
    if reply.text is None or any(part_of(one) is None for one in reply.media):
        return None
    return reply


def _questions(case: Case, now: Reply | None, before: Reply | None, *, pairs: bool) -> list[Case]:
    asks = [asks_whether_right(case, reply) for reply in (now, before) if reply is not None]
    if pairs and now is not None and before is not None:
        asks += [asks_which_is_better(case, now, before), asks_which_is_better(case, before, now)]
    return asks


def _row(case: Case, now: Reply | None, before: Reply | None, by: Answers, *, pairs: bool) -> Row:
    def said(question: Case) -> Any:
        return by.replies[answer_key(question)]

    verdicts = [None if reply is None else verdict_of(said(asks_whether_right(case, reply))) for reply in (now, before)]
    better = None
    if pairs and now is not None and before is not None:
        one = choice_of(said(asks_which_is_better(case, now, before)))
        two = choice_of(said(asks_which_is_better(case, before, now)))
        if one is not None and two is not None:
            turned = {"first": "second", "second": "first", "tie": "tie"}[two.better]
            better = one.better if one.better == turned else "position"
    mine, theirs = verdicts
    return Row(
        case,
        now.text if now is not None else None,
        None if mine is None else mine.verdict == "right",
        mine.why if mine else "",
        before.text if before is not None else None,
        None if theirs is None else theirs.verdict == "right",
        better,
    )


def _measures(rows: Sequence[Row], known: People, judge: str, baseline: str, *, pairs: bool) -> list[Measure]:
    measures = [judge_rate(rows, known, judge)]
    if baseline:
        measures.append(judge_difference(rows, known, judge, baseline))
        if pairs:
            measures.append(preference(rows, known, judge, baseline))
    return measures


def _summary(measures: Sequence[Measure]) -> str:
    rate = measures[0]
    read = f"The judge calls {rate.detail['uncorrected']:.1%} of {rate.n} replies right"
    if not rate.detail["calibrated"]:
        return f"{read}; nobody has labelled any, so no gate opens on that (--sheet FILE writes a table to label)."
    return f"{read}; by {rate.detail['labels']} labels of people it is {rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%})."
