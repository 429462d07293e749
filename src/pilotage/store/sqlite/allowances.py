"""What was handed out of each account in each period."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.store.base import Handed

if TYPE_CHECKING:
    from pilotage.store.sqlite.session import Session


class SqliteAllowances:
    def __init__(self, session: Session) -> None:
        self._session = session

    def take(self, account: str, period: str, cap: int, wanted: int, least: int) -> Handed:
        taken = self.taken(account, period)
        left = max(0, cap - taken)
        given = max(0, min(wanted, max(left // 4, least), left))
        if given:
            self._session.write(
                "INSERT INTO allowance VALUES (?, ?, ?)"
                " ON CONFLICT (account, period) DO UPDATE SET taken = taken + excluded.taken",
                (account, period, given),
            )
        return Handed(given, taken + given)

    def give_back(self, account: str, period: str, amount: int) -> None:
        self._session.write(
            "UPDATE allowance SET taken = taken - ? WHERE account = ? AND period = ?", (amount, account, period)
        )

    def taken(self, account: str, period: str) -> int:
        row = self._session.row("SELECT taken FROM allowance WHERE account = ? AND period = ?", (account, period))
        return int(row[0]) if row else 0
