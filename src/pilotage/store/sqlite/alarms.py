"""Alarms, and the notices that tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.records import Alarm, Notice
from pilotage.store.sqlite.session import insist

if TYPE_CHECKING:
    from pilotage.store.sqlite.session import Session

_encode = msgspec.json.encode
_alarm = msgspec.json.Decoder(Alarm)
_notice = msgspec.json.Decoder(Notice)


class SqliteAlarms:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, alarm: Alarm) -> None:
        self._session.write(
            "INSERT INTO alarm (id, use_case, open, body) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET open = excluded.open, body = excluded.body",
            (alarm.id, alarm.use_case, alarm.open, _encode(alarm)),
        )

    def get(self, alarm: str) -> Alarm | None:
        row = self._session.row("SELECT id, use_case, open, body FROM alarm WHERE id = ?", (alarm,))
        return _as_it_is(*row) if row else None

    def of(self, use_case: str = "", *, open_only: bool = False, newest: int = 1_000) -> list[Alarm]:
        rows = self._session.rows(
            "SELECT id, use_case, open, body FROM alarm WHERE ? IN ('', use_case) AND open >= ? ORDER BY number DESC LIMIT ?",
            (use_case, int(open_only), newest),
        )
        return [_as_it_is(*row) for row in rows][::-1]


def _as_it_is(alarm: str, use_case: str, open_: int, body: bytes) -> Alarm:
    """Return a row's alarm; raise Tampered where it is listed as what it is not."""
    found = _alarm.decode(body)
    insist(f"alarm {found.id}", (alarm, use_case, bool(open_)), (found.id, found.use_case, found.open))
    return found


class SqliteNotices:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, notice: Notice) -> None:
        self._session.write(
            "INSERT INTO notice (id, use_case, state, due, body) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET state = excluded.state, due = excluded.due, body = excluded.body",
            (notice.id, notice.use_case, notice.state, notice.due, _encode(notice)),
        )

    def get(self, notice: str) -> Notice | None:
        row = self._session.row("SELECT body FROM notice WHERE id = ?", (notice,))
        return _notice.decode(row[0]) if row else None

    def due(self, now: int, *, most: int) -> list[Notice]:
        rows = self._session.rows(
            "SELECT body FROM notice WHERE state = 'waiting' AND due <= ? ORDER BY due, number LIMIT ?", (now, most)
        )
        return [_notice.decode(body) for (body,) in rows]

    def of(self, use_case: str = "", *, state: str = "", newest: int = 1_000) -> list[Notice]:
        rows = self._session.rows(
            "SELECT body FROM notice WHERE ? IN ('', use_case) AND ? IN ('', state) ORDER BY number DESC LIMIT ?",
            (use_case, state, newest),
        )
        return [_notice.decode(body) for (body,) in rows][::-1]
