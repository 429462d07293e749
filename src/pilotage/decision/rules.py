"""What the organisation asks of one use case at one moment: compiled from its file, and all that a gate reads of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.spec.gates import Criterion

if TYPE_CHECKING:
    from collections.abc import Mapping

DAY = 86_400_000_000


class Bound(msgspec.Struct, frozen=True, omit_defaults=True):
    """A bound on one measure, as the organisation sets it."""

    at_least: float | None = None
    at_most: float | None = None

    def tightened(self, own: Criterion | None) -> Criterion:
        """Return what holds where the use case has a bound of its own: the stricter, the organisation's where they part."""
        at_least = own.at_least if own is not None else None
        at_most = own.at_most if own is not None else None
        if self.at_most is not None:
            return Criterion(at_most=self.at_most if at_most is None else min(at_most, self.at_most))
        floor = self.at_least or 0.0
        return Criterion(at_least=floor if at_least is None else max(at_least, floor))

    def loosened_by(self, own: Criterion) -> bool:
        """Return whether a bound of the use case's own lets through what this one does not."""
        if self.at_most is not None:
            return own.at_most is None or own.at_most > self.at_most
        return own.at_least is None or own.at_least < (self.at_least or 0.0)


class Rules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`organisation` is whose rules these are, empty where nobody set any.

    `bounds`, `approvals` and `approvers` are by stage; of each of the approvers that a stage asks for, who may be it.
    `breaches` say, each with file and line, which rules the use case breaks. `evidence_for` and `approvals_for` are
    microseconds. `on_call` is who answers for the owner (None: nobody asks). `quotas` gives by provider the requests a
    second that it lets through and those that all of its use cases need at their peaks.
    """

    organisation: str = ""
    bounds: dict[str, dict[str, Bound]] = {}
    approvals: dict[str, int] = {}
    approvers: dict[str, dict[str, tuple[str, ...]]] = {}
    require: tuple[str, ...] = ()
    waivable: tuple[str, ...] = ()
    breaches: tuple[str, ...] = ()
    evidence_for: int = 90 * DAY
    approvals_for: int = 30 * DAY
    risk_appetite: int = 25
    on_call: tuple[str, ...] | None = None
    quotas: dict[str, tuple[float, float]] = {}

    def tightened(self, stage: str, own: Mapping[str, Criterion]) -> dict[str, Criterion]:
        """Return a use case's bounds before a stage, none looser than the organisation's."""
        return {
            **own,
            **{measure: bound.tightened(own.get(measure)) for measure, bound in self.bounds.get(stage, {}).items()},
        }

    def may_waive(self, stage: str, measure: str) -> bool:
        return measure not in self.bounds.get(stage, {}) or measure in self.waivable


NO_RULES = Rules()
