"""What is known of one release, gathered for the people who decide: six questions, what answers them, what is missing."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pilotage.decision.charter import charter_criteria
from pilotage.decision.gate import gate, next_stage
from pilotage.decision.measured import lasts, measured_criteria, measured_line, newest
from pilotage.decision.verdict import Verdict
from pilotage.decision.wording import amount_text, currency_of, evidence_text, is_rate, variant_of
from pilotage.errors import NotFound, Refused
from pilotage.governance import standing
from pilotage.governance.agreed import agreed
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
    from collections.abc import Iterator, Sequence

    from pilotage.access import Actor
    from pilotage.decision.criterion import CriterionResult
    from pilotage.decision.rules import Rules
    from pilotage.governance.context import Context
    from pilotage.governance.standing import Standing
    from pilotage.records import Evidence
    from pilotage.spec.metric import Metric
    from pilotage.spec.use_case import UseCase
    from pilotage.status import UseCaseStatus
    from pilotage.store.base import Transaction

WORST = 10
DAY = 86_400_000_000


class Question(NamedTuple):
    """What people ask, and how the measures begin that answer it."""

    name: str
    asks: str
    measures: tuple[str, ...]


QUESTIONS = (
    Question("feasible", "Does it work?", ("quality", "judge", "preference", "score")),
    Question("safe", "Is it safe?", ("security", "over_refusal")),
    Question("private", "Does it keep what is private?", ("privacy", "redaction")),
    Question("fair", "Is it fair?", ("bias", "fairness", "parity")),
    Question("affordable", "What does it cost?", ("cost", "net_value", "break_even")),
    Question(
        "scalable",
        "Does it hold under real traffic?",
        ("latency", "replay", "load", "fault", "shadow", "capacity", "scalability"),
    ),
)
OTHER = Question("other", "What else was measured?", ())
_WORSE = (Verdict.FAIL, Verdict.MISSING, Verdict.INCONCLUSIVE)


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the candidate, or of a `variant` that is on its way or live; without a candidate, of what serves."""

    use_case: Text
    variant: Text = ""


def report(context: Context, _: Actor, arguments: Report) -> dict[str, Any]:
    """Return the report as plain data; `digest` is SHA-256 over the canonical JSON of everything else."""
    with context.store.read() as tx:
        return gathered(tx, standing.standing(tx, arguments.use_case), arguments.variant, context.clock.now())


def digested(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts with the SHA-256 over their canonical JSON."""
    return {**facts, "digest": hashlib.sha256(canonical(msgspec.to_builtins(facts))).hexdigest()}


def verdicts(tx: Transaction, stands: Standing, variant: str, now: int) -> dict[str, str]:
    """Return by measure what is known: its verdict, or that it was measured where nothing judges it.

    It is asked for with every status, so it looks at nothing else (the dates of a report take seconds to compute).
    """
    rules = rules_of(tx, stands.registered, stands.spec)
    answers = _Answers(stands, subject(stands, variant), tx.evidence.of(stands.spec.name), rules, now)
    return answers.verdicts()


def gathered(tx: Transaction, stands: Standing, variant: str, now: int, *, until: int = 0) -> dict[str, Any]:
    """Return what is known of one release at one moment; with `until`, as if that were the ledger's newest entry."""
    rules = rules_of(tx, stands.registered, stands.spec)
    release = subject(stands, variant)
    evidence = tx.evidence.of(stands.spec.name)
    approvals = [given for given in tx.approvals.of(stands.spec.name) if given.release == release]
    seq, digest = tx.ledger.head()
    if 0 < until < seq:
        seq, digest = until, next(iter(tx.ledger.read(after=until - 1))).digest
    spec, status = stands.spec, stands.status
    answers = _Answers(stands, release, evidence, rules, now)
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
        "stage": stage_of(status, release),
        "owner": spec.owner,
        "objective": spec.objective,
        "tier": spec.tier,
        "unit": spec.unit,
        "currency": currency_of(spec),
        "does": list(spec.scope.does),
        "does_not": list(spec.scope.does_not),
        "charter": status.charter,
        "charter_lines": [line.as_json() for line in charter_criteria(spec, rules.require)],
        "goals": [_goal(name, metric, spec) for name, metric in spec.goals.items()],
        "guardrails": [_goal(name, metric, spec) for name, metric in spec.guardrails.items()],
        "questions": [answers.of(question) for question in (*QUESTIONS, OTHER)],
        "way": way,
        "path": _path(spec, way, now),
        "worst": answers.worst(),
        "costs": variant_costs(stands, evidence, rules, now - lasts(spec, rules)),
        "worth": [worth.says for worth in worths(spec)],
        "approvals": agreed(stands, rules, approvals, evidence, now),
        "outcomes": outcomes(tx, stands, release),
        "ledger": {"entries": seq, "digest": digest},
    }
    facts["pictures"] = {one["name"]: drawn for one in facts["questions"] if (drawn := _specification(one))}
    facts["questions"] = [one for one in facts["questions"] if one["name"] != OTHER.name or one["lines"]]
    return digested(facts)


def subject(stands: Standing, variant: str) -> str:
    """Return the release that a report is about: the first on its way, or what serves, of this variant where it is named."""
    status = stands.status
    known = [release for release in (*status.candidates, status.live) if release]
    for release in known:
        if not variant or variant_of(release) == variant:
            return release
    if not known:
        raise Refused(f"{status.use_case} has neither a candidate nor anything that serves", hint="apply its folder")
    raise NotFound(f"{variant} is neither on its way nor live", hint=f"there are: {', '.join(map(variant_of, known))}")


def stage_of(status: UseCaseStatus, release: str) -> str:
    """Return how far a release that is on its way or live has come."""
    return str(status.stage if release in status.candidates else Stage.PRODUCTION)


class _Answers:
    """The newest evidence of a release that counts, by measure, and what each stage demands of it."""

    def __init__(self, stands: Standing, release: str, evidence: Sequence[Evidence], rules: Rules, now: int) -> None:
        spec, status = stands.spec, stands.status
        if release == status.live:
            # What it was compared with on its way is what served before it.
            status = msgspec.structs.replace(status, live=status.previous)
        since = now - lasts(spec, rules)
        wanted = {stage: measured_criteria(spec, status, stage, rules) for stage in ROAD}
        measures = sorted(
            {fact.measure for fact in evidence if fact.release == release}
            | {name for of in wanted.values() for name in of}
        )
        self._spec = spec
        self._newest = {name: newest(evidence, status, name, release, since=since) for name in measures}
        self._verdicts: dict[str, list[tuple[Stage, CriterionResult]]] = {name: [] for name in measures}
        for stage, criteria in wanted.items():
            for name, criterion in criteria.items():
                line = measured_line(spec, stage, name, criterion, self._newest[name], variant="")
                self._verdicts[name].append((stage, line))

    def verdicts(self) -> dict[str, str]:
        return {
            name: self._worst(name) or ("" if fact is None else "measured") for name, (fact, _) in self._newest.items()
        }

    def of(self, question: Question) -> dict[str, Any]:
        """Return a question with its lines. It is answered no better than by the worst verdict; by none, it is open."""
        names = [name for name in self._newest if _asks(name) == question]
        verdicts = [line.verdict for name in names for _, line in self._verdicts[name]]
        worst = next((verdict for verdict in _WORSE if verdict in verdicts), Verdict.PASS)
        measured = [name for name in names if self._newest[name][0] is not None]
        if not verdicts:
            worst = Verdict.INCONCLUSIVE if measured else Verdict.MISSING
        return {
            "name": question.name,
            "asks": question.asks,
            "verdict": str(worst),
            "says": _SAID[worst] if verdicts else _UNJUDGED[bool(measured)],
            "lines": [self._line(name) for name in names],
        }

    def worst(self) -> list[dict[str, Any]]:
        """Return the worst answers that any evaluation found, one of each measure in turn."""
        lists = [
            [{"measure": name, **_answer(one)} for one in fact.detail.get("worst", ()) if isinstance(one, dict)]
            for name, (fact, _) in self._newest.items()
            if fact is not None
        ]
        return [answer for row in _in_turns(lists) for answer in row][:WORST]

    def _worst(self, name: str) -> str:
        """Return the worst verdict over the stages that ask for a bound; empty where none does."""
        given = {line.verdict for _, line in self._verdicts[name]}
        return str(next((one for one in (*_WORSE, Verdict.PASS, Verdict.WAIVED) if one in given), ""))

    def _line(self, name: str) -> dict[str, Any]:
        fact, why_not = self._newest[name]
        found: dict[str, Any] = {
            "measure": name,
            "says": evidence_text(fact, currency_of(self._spec))
            if fact
            else f"{name}: {why_not or 'not measured yet'}",
            "rate": fact is not None and is_rate(name) and fact.low <= fact.value <= fact.high,
            "verdict": self._worst(name),
            "criteria": [{"stage": str(stage), **line.as_json()} for stage, line in self._verdicts[name]],
        }
        if fact is not None:
            found |= {
                key: getattr(fact, key)
                for key in (
                    "id",
                    "value",
                    "low",
                    "high",
                    "n",
                    "confidence",
                    "method",
                    "data",
                    "at",
                    "actor",
                    "baseline",
                    "origin",
                )
            }
        return found


def _specification(question: dict[str, Any]) -> dict[str, Any] | None:
    """Return the rates among a question's measures as Vega-Lite's plain data; None where there are none."""
    rows = [
        {key: line[key] for key in ("measure", "value", "low", "high")} | {"verdict": line["verdict"]}
        for line in question["lines"]
        if line["rate"]
    ]
    return intervals(f"{question['asks']} Rates with their intervals", rows, "rate") if rows else None


_SAID = {
    Verdict.PASS: "Yes, by every criterion there is.",
    Verdict.FAIL: "No: a criterion is not met.",
    Verdict.INCONCLUSIVE: "Not known yet: the interval is too wide for a criterion.",
    Verdict.MISSING: "Not known yet: something that a gate demands is not measured.",
}
_UNJUDGED = {True: "Measured; no gate demands a bound.", False: "Nothing was measured, and no gate demands it."}


def _asks(measure: str) -> Question:
    return next((one for one in QUESTIONS if measure.startswith(one.measures)), OTHER)


def _answer(one: dict[str, Any]) -> dict[str, str]:
    """Return one bad answer in the words of all suites: cases have a question, probes what was sent."""
    return {
        "case": str(one.get("case", one.get("probe", ""))),
        "asked": str(one.get("question", one.get("sent", ""))),
        "reply": str(one.get("reply", "")),
        "why": str(one.get("why", "")),
    }


def _in_turns(lists: Sequence[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    for turn in range(max(map(len, lists), default=0)):
        yield [one[turn] for one in lists if turn < len(one)]


def _goal(name: str, metric: Metric, spec: UseCase) -> dict[str, Any]:
    currency = currency_of(spec)
    values = {key: getattr(metric, key) for key in ("today", "target", "minimum_effect", "margin", "worth")}
    said = {
        key: "" if value is None else amount_text(value, metric, currency)
        for key, value in values.items()
        if key != "worth"
    }
    return {"name": name, "kind": metric.kind, "direction": metric.direction, **values, "text": said}


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
        plan = whole(spec, proofs(spec))
        likely = plan.likely if plan else None
        if likely is not None and likely.days is not None:
            found.append({"what": "all is shown, 80 % sure", "days": likely.days, "at": now + round(likely.days * DAY)})
    return found
