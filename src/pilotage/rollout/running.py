"""Which rollouts are under way, and the files that they follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pilotage.counting.course import Followed
from pilotage.counting.watched import watched
from pilotage.decision.transition import UNDER_WAY
from pilotage.governance.standing import spec_of
from pilotage.rollout.tally import frontier

if TYPE_CHECKING:
    from pilotage.spec.use_case import UseCase
    from pilotage.status import RolloutStatus, UseCaseStatus
    from pilotage.store.base.transaction import Transaction


class Rolling(NamedTuple):
    spec: UseCase
    status: UseCaseStatus
    rollout: RolloutStatus


class Running:
    """Reads them again each time; a file is validated again only when another one was registered."""

    def __init__(self) -> None:
        self._specs: dict[str, tuple[int, UseCase]] = {}

    def read(self, tx: Transaction) -> dict[str, Rolling]:
        found = {}
        for status in tx.statuses.all():
            name, rollout = status.use_case, status.rollout
            if status.retired or rollout is None or rollout.phase not in UNDER_WAY:
                continue
            registered = tx.use_cases.get(name)
            if registered is None:
                continue
            known = self._specs.get(name)
            if known is None or known[0] != registered.at:
                known = self._specs[name] = (registered.at, spec_of(registered))
            found[name] = Rolling(known[1], status, rollout)
        return found

    def followed(self, tx: Transaction) -> dict[str, Followed]:
        """Return what is to be counted, by use case."""
        return {
            name: Followed(one.rollout, watched(one.spec), {}, segments=one.spec.fairness.segments)
            for name, one in self.read(tx).items()
        }

    def frontier(self, tx: Transaction, rollout: str) -> dict[str, int]:
        return frontier(tx, rollout)
