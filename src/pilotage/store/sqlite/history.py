"""What happened and how far it was processed: ledger, evidence, approvals, results, sealing, text keys."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pilotage.clock import DAY
from pilotage.errors import Conflict
from pilotage.records import Approval, Evidence, LedgerEntry
from pilotage.store.base.erasable import WORDS, Erasure, Spoken
from pilotage.store.sqlite.session import insist

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pilotage.store.sqlite.session import Session

NO_DIGEST = "0" * 64

Row = TypeVar("Row", Evidence, Approval)

_encode = msgspec.json.encode
_evidence = msgspec.json.Decoder(Evidence)
_approval = msgspec.json.Decoder(Approval)


class SqliteLedger:
    def __init__(self, session: Session) -> None:
        self._session = session

    def head(self) -> tuple[int, str]:
        row = self._session.row("SELECT seq, digest FROM ledger ORDER BY seq DESC LIMIT 1")
        return (int(row[0]), str(row[1])) if row else (0, NO_DIGEST)

    def append(self, entry: LedgerEntry) -> None:
        seq, digest = self.head()
        if (entry.seq, entry.previous) != (seq + 1, digest):
            raise Conflict(
                f"ledger entry {entry.seq} does not follow entry {seq}: somebody appended first",
                hint="read the head and append in one store.write() transaction",
            )
        self._session.write(
            "INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                entry.seq,
                entry.at,
                entry.actor,
                entry.action,
                entry.use_case,
                _encode(entry.detail),
                entry.previous,
                entry.digest,
            ),
        )

    def read(self, *, after: int = 0, before: int = 0, use_case: str = "", newest: int = 0) -> Iterator[LedgerEntry]:
        sql = "SELECT seq, at, actor, action, use_case, detail, previous, digest FROM ledger WHERE seq > ?"
        parameters: list[object] = [after]
        if before:
            sql += " AND seq < ?"
            parameters.append(before)
        if use_case:
            sql += " AND use_case = ?"
            parameters.append(use_case)
        if newest:
            sql = f"SELECT * FROM ({sql} ORDER BY seq DESC LIMIT ?)"  # noqa: S608 (constants only)
            parameters.append(newest)
        for seq, at, actor, action, name, detail, previous, digest in self._session.rows(
            sql + " ORDER BY seq", parameters
        ):
            yield LedgerEntry(
                seq=seq,
                at=at,
                actor=actor,
                action=action,
                use_case=name,
                detail=msgspec.json.decode(detail),
                previous=previous,
                digest=digest,
            )


class SqliteEvidence:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, evidence: Evidence) -> None:
        self._session.write(
            "INSERT INTO evidence (id, use_case, release, body) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            (evidence.id, evidence.use_case, evidence.release, _encode(evidence)),
        )

    def of(self, use_case: str, *, release: str = "") -> list[Evidence]:
        rows = self._session.rows(
            "SELECT id, body FROM evidence WHERE use_case = ? AND ? IN ('', release) ORDER BY number",
            (use_case, release),
        )
        return [_listed(known, _evidence.decode(body)) for known, body in rows]


def _listed(known: str, row: Row) -> Row:
    insist(f"{type(row).__name__.lower()} {row.id}", (known,), (row.id,))
    return row


class SqliteApprovals:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, approval: Approval) -> None:
        self._session.write(
            "INSERT INTO approval (id, use_case, release, body) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            (approval.id, approval.use_case, approval.release, _encode(approval)),
        )

    def of(self, use_case: str, *, release: str = "") -> list[Approval]:
        rows = self._session.rows(
            "SELECT id, body FROM approval WHERE use_case = ? AND ? IN ('', release) ORDER BY number",
            (use_case, release),
        )
        return [_listed(known, _approval.decode(body)) for known, body in rows]


class SqliteProgress:
    def __init__(self, session: Session) -> None:
        self._session = session

    def sealed(self, segment: str) -> int:
        row = self._session.row("SELECT sealed FROM segment WHERE name = ?", (segment,))
        return int(row[0]) if row else 0

    def seal(
        self, segment: str, start: int, end: int, files: Sequence[tuple[str, str, int]], *, finished: bool
    ) -> None:
        sealed = self.sealed(segment)
        if sealed != start:
            raise Conflict(
                f"segment {segment} is sealed up to {sealed}, not {start}",
                hint="somebody else sealed it: read on there",
            )
        self._session.write(
            "INSERT INTO segment VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, finished = excluded.finished",
            (segment, end, int(finished)),
        )
        for table, name, count in files:
            self._list(table, name, count)

    def finished(self) -> list[str]:
        return [name for (name,) in self._session.rows("SELECT name FROM segment WHERE finished ORDER BY name")]

    def forget(self, segment: str) -> None:
        self._session.write("DELETE FROM segment WHERE name = ?", (segment,))

    def files(self, table: str) -> list[str]:
        return [name for name, _ in self.listed(table)]

    def listed(self, table: str) -> list[tuple[str, int]]:
        return list(self._session.rows("SELECT name, count FROM event_file WHERE kind = ? ORDER BY number", (table,)))

    def replace(self, table: str, old: Sequence[str], name: str, count: int) -> None:
        for gone in old:
            if not self._session.write("DELETE FROM event_file WHERE kind = ? AND name = ?", (table, gone)):
                raise Conflict(f"{table}/{gone} is not listed any more", hint="somebody else merged it: list again")
        self._list(table, name, count)

    def _list(self, table: str, name: str, count: int) -> None:
        self._session.write("INSERT INTO event_file (kind, name, count) VALUES (?, ?, ?)", (table, name, count))


class SqliteUnitKeys:
    def __init__(self, session: Session) -> None:
        self._session = session

    def get_or_create(self, units: Iterable[tuple[str, str]], *, at: int) -> dict[tuple[str, str], tuple[str, bytes]]:
        found: dict[tuple[str, str], tuple[str, bytes]] = {}
        for use_case, unit in units:
            sql = "SELECT id, key, at FROM unit_key WHERE use_case = ? AND unit = ?"
            row = self._session.row(sql, (use_case, unit))
            if row is None:
                row = (secrets.token_hex(8), secrets.token_bytes(32), at)
                self._session.write("INSERT INTO unit_key VALUES (?, ?, ?, ?, ?)", (row[0], use_case, unit, row[1], at))
            elif at - row[2] >= DAY:
                self._session.write("UPDATE unit_key SET at = ? WHERE id = ?", (at, row[0]))
            found[use_case, unit] = row[0], bytes(row[1])
        return found

    def by_id(self, key_ids: Iterable[str]) -> dict[str, bytes]:
        wanted = _encode(list(key_ids)).decode()
        rows = self._session.rows(
            "SELECT id, key FROM unit_key WHERE id IN (SELECT value FROM json_each(?))", (wanted,)
        )
        return {key_id: bytes(key) for key_id, key in rows}

    def has(self, use_case: str, unit: str) -> bool:
        sql = "SELECT 1 FROM unit_key WHERE use_case = ? AND unit = ?"
        return self._session.row(sql, (use_case, unit)) is not None

    def use_cases(self) -> list[str]:
        return [name for (name,) in self._session.rows("SELECT DISTINCT use_case FROM unit_key ORDER BY use_case")]

    def expire(self, use_case: str, before: int) -> int:
        gone = self._session.write("DELETE FROM unit_key WHERE use_case = ? AND at < ?", (use_case, before))
        self._session.destroyed |= bool(gone)
        return gone

    def destroy(self, use_case: str, unit: str) -> bool:
        sql = "DELETE FROM unit_key WHERE use_case = ? AND unit = ?"
        destroyed = bool(self._session.write(sql, (use_case, unit)))
        self._session.destroyed |= destroyed
        return destroyed


class SqliteErasures:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, erasure: Erasure) -> None:
        self._session.write("INSERT INTO erasure (use_case, unit, pseudonym, at) VALUES (?, ?, ?, ?)", erasure)

    def open(self) -> list[Erasure]:
        sql = "SELECT use_case, unit, pseudonym, at FROM erasure WHERE unit <> '' ORDER BY number"
        return [Erasure(*row) for row in self._session.rows(sql)]

    def count(self, use_case: str) -> int:
        row = self._session.row("SELECT count(*) FROM erasure WHERE use_case = ?", (use_case,))
        return int(row[0]) if row else 0

    def close(self, before: int) -> None:
        sql = "UPDATE erasure SET unit = '', pseudonym = '' WHERE at < ? AND unit <> ''"
        self._session.destroyed |= bool(self._session.write(sql, (before,)))


class SqliteWords:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, use_case: str, text: str) -> str:
        salt = secrets.token_bytes(32)
        reference = WORDS + hashlib.sha256(salt + text.encode()).hexdigest()
        self._session.write("INSERT INTO words VALUES (?, ?, ?, ?)", (reference, use_case, salt, text))
        return reference

    def get(self, reference: str) -> Spoken | None:
        row = self._session.row("SELECT reference, use_case, salt, text FROM words WHERE reference = ?", (reference,))
        return Spoken(*row) if row else None

    def all(self) -> Iterator[Spoken]:
        rows = self._session.rows("SELECT reference, use_case, salt, text FROM words ORDER BY reference")
        return (Spoken(*row) for row in rows)

    def erase(self, reference: str) -> bool:
        erased = bool(self._session.write("DELETE FROM words WHERE reference = ?", (reference,)))
        self._session.destroyed |= erased
        return erased


class SqliteResults:
    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, run: str) -> dict[str, dict[str, Any]]:
        rows = self._session.rows("SELECT item, body FROM result WHERE run = ? ORDER BY item", (run,))
        return {case: msgspec.json.decode(body) for case, body in rows}

    def put(self, run: str, case: str, result: dict[str, Any]) -> None:
        self._session.write(
            "INSERT INTO result VALUES (?, ?, ?) ON CONFLICT (run, item) DO NOTHING", (run, case, _encode(result))
        )
