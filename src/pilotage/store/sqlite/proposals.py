"""Cases that wait to be taken into a team's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.errors import Conflict
from pilotage.records import Proposal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.store.sqlite.session import Session

_encode = msgspec.json.encode
_proposal = msgspec.json.Decoder(Proposal)


class SqliteProposals:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, proposal: Proposal) -> None:
        row = (proposal.id, proposal.use_case, proposal.unit, proposal.at, _encode(proposal))
        if not self._session.write("INSERT INTO proposal VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row):
            raise Conflict(
                f"{proposal.use_case} has a proposed case {proposal.id!r} already",
                hint="give this one another id, or drop the other: `pilotage cases drop`",
            )

    def of(self, use_case: str) -> list[Proposal]:
        rows = self._session.rows("SELECT body FROM proposal WHERE use_case = ? ORDER BY at, id", (use_case,))
        return [_proposal.decode(body) for (body,) in rows]

    def use_cases(self) -> list[str]:
        return [name for (name,) in self._session.rows("SELECT DISTINCT use_case FROM proposal ORDER BY use_case")]

    def remove(self, use_case: str, ids: Sequence[str]) -> list[str]:
        return [
            one
            for one in ids
            if self._gone(self._session.write("DELETE FROM proposal WHERE use_case = ? AND id = ?", (use_case, one)))
        ]

    def forget(self, use_case: str, unit: str) -> int:
        return self._gone(
            self._session.write("DELETE FROM proposal WHERE use_case = ? AND unit = ? AND unit <> ''", (use_case, unit))
        )

    def expire(self, use_case: str, before: int) -> int:
        return self._gone(self._session.write("DELETE FROM proposal WHERE use_case = ? AND at < ?", (use_case, before)))

    def _gone(self, rows: int) -> int:
        self._session.destroyed |= bool(rows)
        return rows
