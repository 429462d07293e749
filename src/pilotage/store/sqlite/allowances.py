"""What was handed out of each account in each period, and to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.store.base.handed_out import Handed, Share

if TYPE_CHECKING:
    from pilotage.store.sqlite.session import Session

_SETTLED = ""


class SqliteAllowances:
    def __init__(self, session: Session) -> None:
        self._session = session

    def take(self, account: str, period: str, holder: str, *, cap: int, wanted: int, least: int) -> Handed:
        taken, _ = self.total(account, period)
        left = max(0, cap - taken)
        most = max(left // 4, least) if least <= left else left // 4
        given = max(0, min(wanted, most, left))
        self._add(account, period, holder, given, 0)
        return Handed(given, taken + given)

    def give_back(self, account: str, period: str, holder: str, amount: int) -> None:
        self._add(account, period, holder, -amount, 0)

    def spent(self, account: str, period: str, holder: str, amount: int) -> None:
        self._session.write(
            "UPDATE allowance SET spent = ? WHERE account = ? AND period = ? AND holder = ?",
            (amount, account, period, holder),
        )

    def settle(self, account: str, period: str, holder: str, spent: int) -> None:
        row = self._session.row(
            "SELECT taken FROM allowance WHERE account = ? AND period = ? AND holder = ?", (account, period, holder)
        )
        if row is None or holder == _SETTLED:
            return
        counted = min(int(row[0]), spent)
        self._session.write(
            "DELETE FROM allowance WHERE account = ? AND period = ? AND holder = ?", (account, period, holder)
        )
        self._add(account, period, _SETTLED, counted, counted)

    def shares(self) -> list[Share]:
        rows = self._session.rows(
            "SELECT account, period, holder, taken, spent FROM allowance WHERE holder <> ?"
            " ORDER BY account, period, holder",
            (_SETTLED,),
        )
        return [Share(*row) for row in rows]

    def total(self, account: str, period: str) -> tuple[int, int]:
        row = self._session.row(
            "SELECT COALESCE(SUM(taken), 0), COALESCE(SUM(spent), 0) FROM allowance WHERE account = ? AND period = ?",
            (account, period),
        )
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def tell(self, account: str, period: str, part: int) -> bool:
        row = self._session.row("SELECT part FROM allowance_told WHERE account = ? AND period = ?", (account, period))
        if row is not None and row[0] >= part:
            return False
        self._session.write(
            "INSERT INTO allowance_told VALUES (?, ?, ?)"
            " ON CONFLICT (account, period) DO UPDATE SET part = excluded.part",
            (account, period, part),
        )
        return True

    def _add(self, account: str, period: str, holder: str, taken: int, spent: int) -> None:
        if taken or spent:
            self._session.write(
                "INSERT INTO allowance VALUES (?, ?, ?, ?, ?) ON CONFLICT (account, period, holder)"
                " DO UPDATE SET taken = taken + excluded.taken, spent = spent + excluded.spent",
                (account, period, holder, taken, spent),
            )
