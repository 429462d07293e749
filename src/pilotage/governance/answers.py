"""The six questions about a release, and what of its evidence answers each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pilotage.decision.measured import lasts, measured_criteria, measured_line, newest
from pilotage.decision.verdict import Verdict
from pilotage.decision.wording import currency_of, evidence_text, is_rate
from pilotage.governance.findings import tables_of
from pilotage.status import ROAD, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pilotage.decision.criterion import CriterionResult
    from pilotage.decision.rules import Rules
    from pilotage.governance.standing import Standing
    from pilotage.records import Evidence

WORST = 10


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


class Answers:
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
            "findings": [table for name in names if (fact := self._newest[name][0]) for table in tables_of(fact)],
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
