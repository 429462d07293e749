"""One line of a gate, and a gate."""

from __future__ import annotations

from typing import Any

import msgspec

from pilotage.decision.verdict import Verdict
from pilotage.status import Stage

OPENS = (Verdict.PASS, Verdict.WAIVED)


class CriterionResult(msgspec.Struct, frozen=True, kw_only=True):
    """One demand and how it stands. `opens_with` says what would make it pass (empty where it passes)."""

    name: str
    verdict: Verdict
    says: str
    opens_with: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    evidence: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in msgspec.to_builtins(self).items() if value is not None}


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What stands before `stage`. It is open when every criterion passes or is waived.

    `release` names whom it lets into production; before the other stages it stands for all candidates.
    """

    stage: Stage
    criteria: tuple[CriterionResult, ...]
    release: str = ""

    @property
    def open(self) -> bool:
        return all(criterion.verdict in OPENS for criterion in self.criteria)

    @property
    def closed_by(self) -> tuple[CriterionResult, ...]:
        return tuple(criterion for criterion in self.criteria if criterion.verdict not in OPENS)

    @property
    def says(self) -> str:
        if self.open:
            return f"The gate into {self.stage} is open: {len(self.criteria)} of {len(self.criteria)} criteria are met."
        shut = self.closed_by
        met = len(self.criteria) - len(shut)
        names = ", ".join(f"{criterion.name} ({criterion.verdict})" for criterion in shut)
        return (
            f"The gate into {self.stage} is closed: {met} of {len(self.criteria)} criteria are met; not yet: {names}."
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "stage": str(self.stage),
            "open": self.open,
            "criteria": [criterion.as_json() for criterion in self.criteria],
            "says": self.says,
        }
