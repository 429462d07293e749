"""What matured in each rollout, what was computed from it, and who may compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.errors import Conflict
from pilotage.store.base.handed_out import Lease

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pilotage.store.sqlite.session import Session

_NO_END = (1 << 63) - 1


class SqliteBatches:
    def __init__(self, session: Session) -> None:
        self._session = session

    def append(self, rollout: str, seq: int, at: int, body: bytes, digest: str) -> None:
        last, _ = self.last(rollout)
        if seq != last + 1:
            raise Conflict(
                f"batch {seq} of rollout {rollout} does not follow batch {last}: somebody appended first",
                hint="read the last one, and append in one store.write() transaction",
            )
        self._session.write("INSERT INTO batch VALUES (?, ?, ?, ?, ?)", (rollout, seq, at, body, digest))

    def last(self, rollout: str) -> tuple[int, str]:
        row = self._session.row("SELECT seq, digest FROM batch WHERE rollout = ? ORDER BY seq DESC LIMIT 1", (rollout,))
        return (int(row[0]), str(row[1])) if row else (0, "")

    def read(self, rollout: str, *, after: int = 0, until: int | None = None) -> Iterator[tuple[int, int, bytes, str]]:
        yield from self._session.rows(
            "SELECT seq, at, body, digest FROM batch WHERE rollout = ? AND seq > ? AND seq <= ? ORDER BY seq",
            (rollout, after, _NO_END if until is None else until),
        )

    def forget(self, rollout: str, before: int) -> None:
        self._session.write("DELETE FROM batch WHERE rollout = ? AND at < ?", (rollout, before))

    def rollouts(self) -> list[str]:
        rows = self._session.rows("SELECT DISTINCT rollout FROM batch UNION SELECT rollout FROM kept ORDER BY 1")
        return [rollout for (rollout,) in rows]

    def keep(self, rollout: str, seq: int, state: bytes, standing: bytes) -> None:
        self._session.write(
            "INSERT INTO kept VALUES (?, ?, ?, ?) ON CONFLICT (rollout) DO UPDATE"
            " SET seq = excluded.seq, state = excluded.state, standing = excluded.standing",
            (rollout, seq, state, standing),
        )

    def kept(self, rollout: str) -> tuple[int, bytes, bytes] | None:
        row = self._session.row("SELECT seq, state, standing FROM kept WHERE rollout = ?", (rollout,))
        return (int(row[0]), bytes(row[1]), bytes(row[2])) if row else None


class SqliteLeases:
    def __init__(self, session: Session) -> None:
        self._session = session

    def take(self, name: str, holder: str, now: int, until: int) -> int | None:
        found = self.held(name)
        if found is not None and found.holder != holder and found.until > now:
            return None
        # A holder that comes back to a lease that nobody has taken meanwhile missed nothing.
        fence = 1 if found is None else found.fence + (found.holder != holder)
        self._session.write(
            "INSERT INTO lease VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE"
            " SET fence = excluded.fence, holder = excluded.holder, until = excluded.until",
            (name, fence, holder, until),
        )
        return fence

    def check(self, name: str, fence: int) -> None:
        found = self.held(name)
        if found is None or found.fence != fence:
            who = f"is {found.holder}'s now (fence {found.fence})" if found else "is nobody's"
            raise Conflict(
                f"the lease of the {name} {who}, and this was to be written under fence {fence}",
                hint="whoever has the lease goes on from what is stored; stop, and ask for it again",
            )

    def release(self, name: str, fence: int) -> None:
        self._session.write("UPDATE lease SET until = 0 WHERE name = ? AND fence = ?", (name, fence))

    def held(self, name: str) -> Lease | None:
        row = self._session.row("SELECT fence, holder, until FROM lease WHERE name = ?", (name,))
        return Lease(int(row[0]), str(row[1]), int(row[2])) if row else None
