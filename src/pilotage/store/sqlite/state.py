"""What is: use cases, releases, blobs, statuses, keys and what the workers serve."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from pilotage.access import Key
from pilotage.errors import Conflict, NotFound
from pilotage.spec.release import Release
from pilotage.status import UseCaseStatus
from pilotage.store.base.registered import Policy, Registered, Serving

if TYPE_CHECKING:
    from pilotage.store.sqlite.session import Session

_encode = msgspec.json.encode
_registered = msgspec.json.Decoder(Registered)
_policy = msgspec.json.Decoder(Policy)
_release = msgspec.json.Decoder(Release)
_status = msgspec.json.Decoder(UseCaseStatus)
_key = msgspec.json.Decoder(Key)


class SqliteUseCases:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, registered: Registered) -> None:
        self._session.write(
            "INSERT INTO use_case VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body",
            (registered.name, _encode(registered)),
        )

    def get(self, name: str) -> Registered | None:
        row = self._session.row("SELECT body FROM use_case WHERE name = ?", (name,))
        return _registered.decode(row[0]) if row else None

    def names(self) -> list[str]:
        return [name for (name,) in self._session.rows("SELECT name FROM use_case ORDER BY name")]


class SqlitePolicies:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, policy: Policy) -> None:
        self._session.write(
            "INSERT INTO policy VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET body = excluded.body", (_encode(policy),)
        )

    def get(self) -> Policy | None:
        row = self._session.row("SELECT body FROM policy")
        return _policy.decode(row[0]) if row else None


class SqliteReleases:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, release: Release, *, author: str, at: int) -> None:
        self._session.write(
            "INSERT INTO release (reference, use_case, author, at, body) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (reference) DO NOTHING",
            (release.reference, release.use_case, author, at, _encode(release)),
        )

    def get(self, reference: str) -> Release | None:
        row = self._session.row("SELECT body FROM release WHERE reference = ?", (reference,))
        return _release.decode(row[0]) if row else None

    def author(self, reference: str) -> str:
        row = self._session.row("SELECT author FROM release WHERE reference = ?", (reference,))
        if row is None:
            raise NotFound(f"no release {reference}", hint="`pilotage status NAME` lists a use case's releases")
        return str(row[0])

    def of(self, use_case: str) -> list[str]:
        rows = self._session.rows("SELECT reference FROM release WHERE use_case = ? ORDER BY number", (use_case,))
        return [reference for (reference,) in rows]


class SqliteBlobs:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self._session.write("INSERT INTO blob VALUES (?, ?) ON CONFLICT (digest) DO NOTHING", (digest, data))
        return digest

    def get(self, digest: str) -> bytes | None:
        row = self._session.row("SELECT data FROM blob WHERE digest = ?", (digest,))
        return bytes(row[0]) if row else None


class SqliteStatuses:
    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, use_case: str) -> UseCaseStatus | None:
        row = self._session.row("SELECT body FROM status WHERE use_case = ?", (use_case,))
        return _status.decode(row[0]) if row else None

    def put(self, status: UseCaseStatus) -> None:
        row = self._session.row("SELECT version FROM status WHERE use_case = ?", (status.use_case,))
        stored = row[0] if row else 0
        if stored != status.version - 1:
            raise Conflict(
                f"the status of {status.use_case} is at version {stored}, not {status.version - 1}: somebody changed it",
                hint="look at the status again and repeat the command",
            )
        self._session.write(
            "INSERT INTO status VALUES (?, ?, ?)"
            " ON CONFLICT (use_case) DO UPDATE SET version = excluded.version, body = excluded.body",
            (status.use_case, status.version, _encode(status)),
        )

    def all(self) -> list[UseCaseStatus]:
        return [_status.decode(body) for (body,) in self._session.rows("SELECT body FROM status ORDER BY use_case")]


def _next_change(session: Session) -> int:
    """Move the counter that the workers poll. It moves inside the transaction, so no reader sees it early."""
    session.write("UPDATE change SET value = value + 1")
    row = session.row("SELECT value FROM change")
    return int(row[0]) if row else 0


class SqliteKeys:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, key: Key) -> None:
        changed = self._session.write(
            "INSERT INTO access_key (id, body) VALUES (?, ?)"
            " ON CONFLICT (id) DO UPDATE SET body = excluded.body WHERE body <> excluded.body",
            (key.id, _encode(key)),
        )
        if changed:
            _next_change(self._session)

    def get(self, key_id: str) -> Key | None:
        row = self._session.row("SELECT body FROM access_key WHERE id = ?", (key_id,))
        return _key.decode(row[0]) if row else None

    def all(self) -> list[Key]:
        return [_key.decode(body) for (body,) in self._session.rows("SELECT body FROM access_key ORDER BY number")]


class SqliteServingRows:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, use_case: str, body: bytes) -> None:
        row = self._session.row("SELECT body FROM serving WHERE use_case = ?", (use_case,))
        if row and row[0] == body:
            return
        change = _next_change(self._session)
        self._session.write(
            "INSERT INTO serving VALUES (?, ?, ?)"
            " ON CONFLICT (use_case) DO UPDATE SET change = excluded.change, body = excluded.body",
            (use_case, change, body),
        )

    def changed(self, after: int) -> list[Serving]:
        rows = self._session.rows(
            "SELECT use_case, change, body FROM serving WHERE change > ? ORDER BY change", (after,)
        )
        return [Serving(use_case=use_case, change=change, body=bytes(body)) for use_case, change, body in rows]
