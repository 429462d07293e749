"""One open transaction's statements: a read-only one refuses to write, a finished one refuses everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.errors import Tampered

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence


def insist(what: str, listed: tuple[object, ...], is_: tuple[object, ...]) -> None:
    """Raise Tampered where the columns by which a row is found are not what the row itself says."""
    if listed != is_:
        raise Tampered(
            f"{what} was altered: it is listed as {listed}, and is {is_}",
            hint="`pilotage ledger verify` tells what else was; compare with a backup",
        )


class Session:
    def __init__(self, connection: sqlite3.Connection, *, writable: bool) -> None:
        self._connection = connection
        self._writable = writable
        self._open = True
        self.destroyed = False

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield rows as they are fetched; only while the transaction is open."""
        cursor = self._run(sql, parameters)
        while self._check() and (row := cursor.fetchone()) is not None:
            yield row

    def row(self, sql: str, parameters: Sequence[object] = ()) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._run(sql, parameters).fetchone()
        return row

    def write(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Return how many rows were changed."""
        if not self._writable:
            raise RuntimeError("writing needs store.write(); this transaction is store.read()'s")
        return self._run(sql, parameters).rowcount

    def finish(self) -> None:
        self._open = False

    def _run(self, sql: str, parameters: Sequence[object]) -> sqlite3.Cursor:
        self._check()
        return self._connection.execute(sql, parameters)

    def _check(self) -> bool:
        if not self._open:
            raise RuntimeError("this transaction has ended; read what you need before leaving it")
        return True
