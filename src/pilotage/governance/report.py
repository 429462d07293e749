"""What is known of one release, gathered for the people who decide: six questions, what answers them, what is missing."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.decision.charter import charter_criteria
from pilotage.decision.gate import gate, next_stage
from pilotage.decision.measured import lasts
from pilotage.decision.wording import currency_of, variant_of
from pilotage.errors import NotFound, Refused
from pilotage.governance import standing
from pilotage.governance.agreed import agreed
from pilotage.governance.answers import OTHER, QUESTIONS, Answers
from pilotage.governance.charter import metric_facts
from pilotage.governance.compared import compared
from pilotage.governance.context import Text
from pilotage.governance.costs import variant_costs
from pilotage.governance.ledger import canonical
from pilotage.governance.organisation import rules_of
from pilotage.governance.outcomes import outcomes
from pilotage.planning.proof import proofs
from pilotage.planning.ramp import stops
from pilotage.planning.whole import whole
from pilotage.planning.worth import worths
from pilotage.report.vega import intervals
from pilotage.status import ROAD, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.governance.standing import Standing
    from pilotage.spec.use_case import UseCase
    from pilotage.status import UseCaseStatus
    from pilotage.store.base.transaction import Transaction

DAY = 86_400_000_000


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the candidate, or of a `variant` that is on its way or live; without a candidate, of what serves."""

    use_case: Text
    variant: Text = ""


def report(context: Context, _: Actor, arguments: Report) -> dict[str, Any]:
    """Return the report as plain data; `digest` is SHA-256 over the canonical JSON of everything else."""
    with context.store.read() as tx:
        return gathered(
            tx, standing.standing(tx, arguments.use_case), arguments.variant, context.clock.now(), past=True
        )


def digested(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts with the SHA-256 over their canonical JSON."""
    return {**facts, "digest": hashlib.sha256(canonical(msgspec.to_builtins(facts))).hexdigest()}


def verdicts(tx: Transaction, stands: Standing, variant: str, now: int) -> dict[str, str]:
    """Return by measure what is known: its verdict, or that it was measured where nothing judges it.

    It is asked for with every status, so it looks at nothing else (the dates of a report take seconds to compute).
    """
    rules = rules_of(tx, stands.registered, stands.spec)
    answers = Answers(stands, subject(stands, variant), tx.evidence.of(stands.spec.name), rules, now)
    return answers.verdicts()


def gathered(
    tx: Transaction, stands: Standing, variant: str, now: int, *, until: int = 0, past: bool = False
) -> dict[str, Any]:
    """Return what is known of one release at one moment; with `until`, as if that were the ledger's newest entry.

    With `past`, a variant that was named may be neither on its way any more nor live.
    """
    rules = rules_of(tx, stands.registered, stands.spec)
    evidence = tx.evidence.of(stands.spec.name)
    release = subject(stands, variant, [fact.release for fact in reversed(evidence)] if past else ())
    approvals = [given for given in tx.approvals.of(stands.spec.name) if given.release == release]
    seq, digest = tx.ledger.head()
    if 0 < until < seq:
        seq, digest = until, next(iter(tx.ledger.read(after=until - 1))).digest
    spec, status = stands.spec, stands.status
    answers = Answers(stands, release, evidence, rules, now)
    way: list[dict[str, Any]] = []
    if release in status.candidates:
        alone = msgspec.structs.replace(status, candidate=release, rivals=())
        ahead = ROAD[ROAD.index(next_stage(status.stage)) :]
        mine = [fact for fact in evidence if fact.release == release]
        way = [
            gate(spec, alone, stage, evidence=mine, approvals=approvals, now=now, rules=rules).as_json()
            for stage in ahead
        ]
    facts: dict[str, Any] = {
        "use_case": spec.name,
        "at": now,
        "release": release,
        "baseline": status.live if status.live != release else status.previous,
        "live": status.live,
        "stage": stage_of(status, release) if release in (*status.candidates, status.live) else "",
        "ended": _ended(status, release),
        "owner": spec.owner,
        "objective": spec.objective,
        "tier": spec.tier,
        "unit": spec.unit,
        "currency": currency_of(spec),
        "does": list(spec.scope.does),
        "does_not": list(spec.scope.does_not),
        "charter": status.charter,
        "charter_lines": [line.as_json() for line in charter_criteria(spec, rules.require)],
        "goals": [metric_facts(name, metric, spec) for name, metric in spec.goals.items()],
        "guardrails": [metric_facts(name, metric, spec) for name, metric in spec.guardrails.items()],
        "questions": [answers.of(question) for question in (*QUESTIONS, OTHER)],
        "way": way,
        "path": _path(spec, way, now),
        "worst": answers.worst(),
        "side_by_side": compared(tx, spec.name, release, only="wrong"),
        "costs": variant_costs(stands, evidence, rules, now - lasts(spec, rules)),
        "worth": [worth.says for worth in worths(spec)],
        "approvals": agreed(stands, rules, approvals, evidence, now),
        "outcomes": outcomes(tx, stands, release),
        "ledger": {"entries": seq, "digest": digest},
    }
    facts["pictures"] = {one["name"]: drawn for one in facts["questions"] if (drawn := _specification(one))}
    facts["questions"] = [one for one in facts["questions"] if one["name"] != OTHER.name or one["lines"]]
    return digested(facts)


def subject(stands: Standing, variant: str, measured: Sequence[str] = ()) -> str:
    """Return the release that a report is about: the first on its way, or what serves, of this variant where it is named.

    A variant that was named and is neither any more is looked for among `measured`, releases that something is known of.
    """
    status = stands.status
    known = [release for release in (*status.candidates, status.live) if release]
    for release in (*known, *(measured if variant else ())):
        if not variant or variant_of(release) == variant:
            return release
    if not known:
        raise Refused(f"{status.use_case} has neither a candidate nor anything that serves", hint="apply its folder")
    raise NotFound(f"{variant} is neither on its way nor live", hint=f"there are: {', '.join(map(variant_of, known))}")


def stage_of(status: UseCaseStatus, release: str) -> str:
    """Return how far a release that is on its way or live has come."""
    return str(status.stage if release in status.candidates else Stage.PRODUCTION)


def _ended(status: UseCaseStatus, release: str) -> dict[str, Any] | None:
    """Return how the way of a release ended that neither is on its way nor serves; None of any other."""
    if release in (*status.candidates, status.live):
        return None
    last = next((one for one in reversed(status.ended) if one.release == release), None)
    return {"how": last.how, "at": last.at, "reason": last.reason} if last is not None else None


def _specification(question: dict[str, Any]) -> dict[str, Any] | None:
    """Return the rates among a question's measures as Vega-Lite's plain data; None where there are none."""
    rows = [
        {key: line[key] for key in ("measure", "value", "low", "high")} | {"verdict": line["verdict"]}
        for line in question["lines"]
        if line["rate"]
    ]
    return intervals(f"{question['asks']} Rates with their intervals", rows, "rate") if rows else None


def _path(spec: UseCase, way: Sequence[dict[str, Any]], now: int) -> list[dict[str, Any]]:
    """Return what lies ahead with the days on which it may come at the soonest, as the planner sees it."""
    ramp = stops(spec)
    found: list[dict[str, Any]] = []
    at: int | None = now
    for door in way:
        shut = [line for line in door["criteria"] if line["verdict"] not in ("pass", "waived")]
        step: dict[str, Any] = {
            "what": f"gate into {door['stage']}",
            "open": door["open"],
            "lacks": [line["name"] for line in shut],
            "at": None,
        }
        found.append(step)
        if door["stage"] != Stage.CANARY:
            continue
        for stop in ramp:
            found.append(
                {"what": f"{stop.share * 100:g} % of {spec.unit}s", "why": stop.why, "days": stop.days, "at": at}
            )
            at = at + round(stop.days * DAY) if stop.days is not None and at is not None else None
        days = _days_until_all_is_shown(spec)
        if days is not None:
            found.append({"what": "all is shown, 80 % sure", "days": days, "at": now + round(days * DAY)})
    return found


def _days_until_all_is_shown(spec: UseCase) -> float | None:
    """Return the planner's days for all proofs; None where it sees no end. Remembered by file: it takes a third of a second."""
    file = spec.model_dump_json()
    known = _DAYS.get(file, _DAYS)
    if not isinstance(known, dict):
        return known
    plan = whole(spec, proofs(spec))
    likely = plan.likely if plan else None
    if len(_DAYS) >= _REMEMBERED:
        _DAYS.clear()
    return _DAYS.setdefault(file, likely.days if likely is not None else None)


_REMEMBERED = 64
_DAYS: dict[str, float | None] = {}
