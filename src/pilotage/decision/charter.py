"""What the gate into poc asks of the charter: each key of the file that is wanted, and by which tier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.decision.criterion import CriterionResult
from pilotage.decision.verdict import Verdict
from pilotage.decision.wording import list_text
from pilotage.spec.assessment import TRANSPARENCY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pilotage.spec.use_case import UseCase

Check = tuple[str, str, "Callable[[UseCase], list[str]]"]
"""A name, the question it answers, and a function that returns the keys still to be written (none: it passes)."""


def _owner(spec: UseCase) -> list[str]:
    return [] if spec.owner.strip() else ["owner"]


def _candidate(spec: UseCase) -> list[str]:
    return [] if spec.candidate in spec.variants else ["candidate"]


def _goals(spec: UseCase) -> list[str]:
    return [] if spec.goals else ["[goals.NAME]"]


def _objective(spec: UseCase) -> list[str]:
    return [] if spec.objective.strip() else ["objective"]


def _scope(spec: UseCase) -> list[str]:
    return [f"scope.{key}" for key in ("does", "does_not") if not getattr(spec.scope, key)]


def _levels(spec: UseCase) -> list[str]:
    return [
        f"goals.{name}.{key}"
        for name, goal in spec.goals.items()
        for key in ("today", "target", "minimum_effect")
        if getattr(goal, key) is None
    ]


def _guardrails(spec: UseCase) -> list[str]:
    return [] if spec.guardrails else ["[guardrails.NAME] with a margin"]


def _traffic(spec: UseCase) -> list[str]:
    return [] if spec.traffic else ["traffic.new_units_a_day"]


def _budget(spec: UseCase) -> list[str]:
    budget = spec.budget
    limited = budget is not None and any((budget.a_day, budget.a_month, budget.a_request))
    return [] if limited else ["budget.a_day, a_month or a_request"]


def _data(spec: UseCase) -> list[str]:
    wanted = {
        "sources": bool(spec.data.sources),
        "rights": bool(spec.data.rights.strip()),
        "personal_data": spec.data.personal_data is not None,
    }
    return [f"data.{key}" for key, given in wanted.items() if not given]


def _assessment(spec: UseCase) -> list[str]:
    if spec.assessment is None:
        return ["[assessment]"]
    reasons = [] if spec.assessment.reasons.strip() else ["assessment.reasons"]
    return [*reasons, *(f"assessment.{name}" for name in spec.assessment.unanswered)]


def _transparency(spec: UseCase) -> list[str]:
    return [] if spec.assessment is None or spec.assessment.tells_people.strip() else ["assessment.tells_people"]


def _affected(spec: UseCase) -> list[str]:
    return [] if spec.affected else ["affected"]


def _purpose(spec: UseCase) -> list[str]:
    return [] if spec.purpose.strip() else ["purpose"]


def _risks(spec: UseCase) -> list[str]:
    return [] if spec.risks else ["[risks.NAME]"]


def _approvers(spec: UseCase) -> list[str]:
    return [f"approvals.{stage} = 1" for stage in ("canary", "production") if getattr(spec.approvals, stage) < 1]


CHECKS: dict[str, tuple[Check, ...]] = {
    "minimal": (
        ("owner", "who answers for it", _owner),
        ("candidate", "which variant is on its way", _candidate),
        ("goals", "what it is for", _goals),
    ),
    "limited": (
        ("objective", "what the business gets", _objective),
        ("scope", "what it does and does not do", _scope),
        ("goal_levels", "today's value, the target and the smallest effect that matters of every goal", _levels),
        ("guardrails", "what must not get worse, and by how much it may", _guardrails),
        ("traffic", "how many come", _traffic),
        ("budget", "what it may cost", _budget),
        ("data", "where texts come from, by what right, and whether they hold personal data", _data),
    ),
    "high": (
        ("approvers", "that people must say yes before users see it", _approvers),
        ("assessment", "what it is used for, question by question, and why its tier is right", _assessment),
        ("affected", "whom it affects", _affected),
        ("risks", "what may go wrong", _risks),
    ),
}
"""Checks by the lowest tier that asks for them."""

TIERS = tuple(CHECKS)
REQUIRED: dict[str, Check] = {
    "assessment": CHECKS["high"][1],
    "affected": CHECKS["high"][2],
    "risks": CHECKS["high"][3],
    "purpose": ("purpose", "what it is for, to those whom it affects", _purpose),
}
"""What an organisation may ask of any tier."""


def checks(spec: UseCase, required: Sequence[str] = ()) -> list[Check]:
    """Return the checks of a tier, those of every lower one, what the organisation requires, and what answers bring."""
    found = [check for name in TIERS[: TIERS.index(spec.tier) + 1] for check in CHECKS[name]]
    found += [REQUIRED[name] for name in required if REQUIRED[name] not in found]
    if spec.assessment is not None and spec.assessment.yes(TRANSPARENCY):
        found.append(("transparency", "how people learn that they deal with AI", _transparency))
    return found


def charter_criteria(spec: UseCase, required: Sequence[str] = ()) -> list[CriterionResult]:
    found = []
    for name, question, missing_of in checks(spec, required):
        missing = missing_of(spec)
        if missing:
            says = f"The file does not yet say {question}."
            opens_with = f"Write {list_text(missing)} in usecase.toml."
            found.append(CriterionResult(name=name, verdict=Verdict.MISSING, says=says, opens_with=opens_with))
        else:
            found.append(CriterionResult(name=name, verdict=Verdict.PASS, says=f"The file says {question}."))
    return found
