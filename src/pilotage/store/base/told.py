"""What people are told, and what they propose: alarms, notices, cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.records import Alarm, Notice, Proposal


class Alarms(Protocol):
    def put(self, alarm: Alarm) -> None:
        """Store it, in place of the one with its id."""

    def get(self, alarm: str) -> Alarm | None: ...
    def of(self, use_case: str = "", *, open_only: bool = False, newest: int = 1_000) -> list[Alarm]:
        """Return alarms, oldest first; of all use cases unless one is named."""


class Notices(Protocol):
    """What is to be told to whom: nothing is lost by a receiver that is down."""

    def put(self, notice: Notice) -> None:
        """Store it, in place of the one with its id."""

    def get(self, notice: str) -> Notice | None: ...
    def due(self, now: int, *, most: int) -> list[Notice]:
        """Return those that wait to be sent and are due, the longest due first."""

    def of(self, use_case: str = "", *, state: str = "", newest: int = 1_000) -> list[Notice]: ...


class Proposals(Protocol):
    """Cases made of what was asked in production, until they are taken into the team's folder."""

    def add(self, proposal: Proposal) -> None:
        """Store it; raise Conflict where the use case has one with this id."""

    def of(self, use_case: str) -> list[Proposal]:
        """Return them, oldest first."""

    def use_cases(self) -> list[str]:
        """Return the use cases that have any."""

    def remove(self, use_case: str, ids: Sequence[str]) -> list[str]:
        """Destroy these for good; return those that were there."""

    def forget(self, use_case: str, unit: str) -> int:
        """Destroy those of a unit for good; return how many."""

    def expire(self, use_case: str, before: int) -> int:
        """Destroy those that were made before a time; return how many."""
