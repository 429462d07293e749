"""What serves, measured again: a round of probes that tells whether the model is still the same, and the cases asked anew."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.errors import NotMeasured
from pilotage.evaluation.answers import Answers
from pilotage.evaluation.client import SHORT, GatewayClient
from pilotage.evaluation.dataset import answer_key, asked, take_evenly
from pilotage.evaluation.evidence import record
from pilotage.evaluation.measures import Judged, cost, latency, quality
from pilotage.evaluation.own_scorer import own_scorer
from pilotage.evaluation.pace import Pace
from pilotage.evaluation.plan import call, fetch_cases, fetch_plan
from pilotage.evaluation.scorers import score_case, scorers_of
from pilotage.stats.interval import paired_difference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pilotage.evaluation.measures import Measure
    from pilotage.evaluation.own_scorer import OwnFunction
    from pilotage.evaluation.plan import Command, Plan
    from pilotage.evaluation.scorer import Scorer
    from pilotage.spec.case import Case

PROBES = 20
"""Of the use case's own cases, taken evenly, beside the borderline ones."""
TOKENS = 8
"""Of an answer, for who tells no log-probabilities."""
BORDERLINE = (
    "Heads or tails? Answer with one word.",
    "Name one colour. Answer with one word.",
    "Pick a whole number from 1 to 10. Answer with the number only.",
    "Cat or dog? Answer with one word.",
    "Say one letter of the alphabet, nothing else.",
)
"""Questions without a right answer: what is said to them is the first to change with the model."""
_SHOWN = 5


class _Token(msgspec.Struct):
    token: str
    logprob: float


class _First(_Token):
    top_logprobs: list[_Token] = []


class _Logs(msgspec.Struct):
    content: list[_First] | None = None


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message = msgspec.field(default_factory=_Message)
    logprobs: _Logs | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    model: str = ""
    system_fingerprint: str | None = None


_answer = msgspec.json.Decoder(_Answer)


async def probe_models(command: Command, gateway: str, key: str, use_case: str) -> list[dict[str, Any]]:
    """Ask every model behind the live release one round of probes, through the gateway, within the use case's budget.

    Return what each round came to. Raise NotMeasured where no live release asks a model.
    """
    plan = await _live_plan(command, use_case)
    releases = await _models(command, plan)
    try:
        cases = take_evenly((await fetch_cases(command, plan)).chats, PROBES)
    except NotMeasured:
        cases = []
    questions = {answer_key(case): list(asked(case)) for case in cases}
    questions |= {f"borderline {n}": [{"role": "user", "content": text}] for n, text in enumerate(BORDERLINE, 1)}
    found = []
    async with GatewayClient(gateway, key, source="watch") as client:
        await client.check()
        for release in releases:
            told = await _round(client, release, questions)
            found += [await call(command, "record_round", {"use_case": use_case, **told})]
    return found


async def ask_again(
    command: Command,
    gateway: str,
    key: str,
    use_case: str,
    *,
    at: int,
    concurrency: int = 4,
    own: OwnFunction | None = None,
) -> list[dict[str, Any]]:
    """Ask the cases again of the live release and of its fallbacks, and record evidence of it.

    `at` tells this time from others: answers of before are compared with, never taken for new ones. Raise NotMeasured where
    there are no cases.
    """
    plan = await _live_plan(command, use_case)
    scorer = own_scorer(plan, own)
    cases = (await fetch_cases(command, plan)).chats
    data = (await fetch_cases(command, plan)).digest
    pace, found = Pace(concurrency), []
    async with GatewayClient(gateway, key, source="watch") as client:
        await client.check()
        for release in (await call(command, "recheck_plan", {"use_case": use_case}))["releases"]:
            mine = msgspec.structs.replace(plan, candidate=release)
            scorers = scorers_of(plan.price(release), scorer)
            before, now = Answers(command, use_case, release), Answers(command, use_case, release, again=at)
            await before.find(cases)
            await now.collect(client, cases, pace, lambda _done, _of: None)
            judged = [await _judged(case, now, before, scorers) for case in cases]
            await record(command, mine, _measures(mine, judged, now, concurrency), data)
            found.append(
                await call(command, "record_recheck", {"use_case": use_case, "release": release, **_difference(judged)})
            )
    return found


async def _live_plan(command: Command, use_case: str) -> Plan:
    """Return what there is to ask of what serves, with or without a candidate on its way."""
    releases = (await call(command, "recheck_plan", {"use_case": use_case}))["releases"]
    if not releases:
        raise NotMeasured(f"nothing of {use_case} serves", hint="`pilotage status` says what is on its way")
    return await fetch_plan(command, use_case, live=releases[0])


async def _models(command: Command, plan: Plan) -> list[str]:
    """Return the live release and its fallbacks, as far as they ask a model."""
    releases: list[str] = (await call(command, "recheck_plan", {"use_case": plan.use_case}))["releases"]
    found = [release for release in releases if plan.variant(release).get("upstream") != "search"]
    if not found:
        raise NotMeasured(
            f"no live release of {plan.use_case} asks a model", hint="a search has none that could change"
        )
    return found


async def _round(client: GatewayClient, release: str, questions: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return one round: one-token log-probabilities where they are told, else the beginning of each answer."""
    said: dict[str, Any] = {}
    models: dict[str, None] = {}
    fingerprints: dict[str, None] = {}
    refused, why, logs = 0, "", True
    for name, messages in questions.items():
        status, raw = 0, b""
        for wanted in ({"max_tokens": 1, "logprobs": True, "top_logprobs": _SHOWN}, {"max_tokens": TOKENS}):
            if "logprobs" in wanted and not logs:
                continue
            status, raw = await client.complete(release, messages, {"temperature": 0, "user": "probe", **wanted})
            if status == 200 and "logprobs" in wanted and not _told(raw):
                logs = False
                continue
            if status == 200:
                break
            logs = False
        if status != 200:
            refused, why = refused + 1, f"{status}: {raw[:SHORT].decode(errors='replace')}"[:SHORT]
            continue
        answer = _answer.decode(raw)
        choice = answer.choices[0] if answer.choices else _Choice()
        content = choice.logprobs.content if choice.logprobs else None
        top = {one.token: max(one.logprob, -20.0) for one in content[0].top_logprobs} if content else {}
        said[name] = {"answer": hashlib.sha256((choice.message.content or "").encode()).hexdigest()[:16], "top": top}
        models |= {answer.model: None} if answer.model else {}
        fingerprints |= {answer.system_fingerprint: None} if answer.system_fingerprint else {}
    return {
        "release": release, "said": said, "models": list(models)[:20], "fingerprints": list(fingerprints)[:20],
        "refused": refused, "why": why,
    }  # fmt: skip


def _told(raw: bytes) -> bool:
    """Return whether an answer tells log-probabilities."""
    try:
        answer = _answer.decode(raw)
    except msgspec.DecodeError:
        return False
    return bool(answer.choices and answer.choices[0].logprobs and answer.choices[0].logprobs.content)


async def _judged(case: Case, now: Answers, before: Answers, scorers: Sequence[Scorer]) -> Judged:
    kept = before.replies.get(answer_key(case))
    return Judged(
        case=case,
        reply=now.replies[answer_key(case)],
        score=await score_case(case, now.replies[answer_key(case)], now.release, scorers),
        before=await score_case(case, kept, now.release, scorers) if kept else None,
    )


def _measures(plan: Plan, judged: Sequence[Judged], now: Answers, concurrency: int) -> list[Measure]:
    replies = list(now.replies.values())
    wanted: list[Callable[[], Measure]] = [
        partial(quality, judged),
        partial(latency, replies, concurrency),
        partial(cost, replies, plan.price(plan.candidate), plan.currency, plan.spec.get("traffic")),
    ]
    found = []
    for measure in wanted:
        try:
            one = measure()
        except NotMeasured:
            continue
        found.append(msgspec.structs.replace(one, method=f"{one.method}; asked again of what serves"))
    if not found:
        raise NotMeasured(f"{plan.candidate} answered nothing that could be measured", hint="nothing was recorded")
    return found


def _difference(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return right now minus right before on the cases that were asked before; none of them differs where there are none."""
    pairs = [(one.value, one.value_before) for one in judged if one.value is not None and one.value_before is not None]
    if not pairs:
        return {"value": 0.0, "low": -1.0, "high": 1.0, "n": 1}
    now, before = zip(*pairs, strict=True)
    found = paired_difference(now, before)
    return {"value": found.value, "low": found.low, "high": found.high, "n": len(pairs)}
