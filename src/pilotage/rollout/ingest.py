"""Reads what every process appends: into the observer at once, into Parquet soon after."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pilotage.errors import Conflict, Tampered, WorkspaceUnusable
from pilotage.rollout.observe import Followed
from pilotage.rollout.running import Running
from pilotage.rollout.sealed import recount
from pilotage.rollout.tally import frontier
from pilotage.rollout.watched import watched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.clock import Clock
    from pilotage.records import SpoolEvent
    from pilotage.rollout.observe import Observer
    from pilotage.store.base import Events, SpoolReader, Store, Transaction

log = logging.getLogger(__name__)

READ = 4 << 20
"""Bytes read at once. A read that gives less than half of it reached the segment's end: a frame holds at most 1 MB."""
READS_A_TURN = 8
SEAL_BYTES = 4 << 20
SEAL_SECONDS = 5.0
UNSEALED_LIMIT = 64 << 20
"""While sealing fails (a full disk), reading goes on up to this many bytes; then counts grow old and rollouts hold."""


class Sealer(Protocol):
    """Makes a range of a segment part of the tables, all of it or nothing."""

    def seal(
        self, segment: str, start: int, end: int, events: Sequence[tuple[int, SpoolEvent]], *, finished: bool
    ) -> None: ...


@dataclass(slots=True)
class Segment:
    """How far one segment was read and sealed. `pending` was read and is not sealed yet."""

    sealed: int
    read: int
    since: float
    ended: bool = False
    dropped: bool = False
    pending: list[tuple[int, SpoolEvent]] = field(default_factory=list)


class Ingest:
    """One reader of the whole spool. `turn` and `seal_due` may run in threads, each in one at a time."""

    def __init__(
        self,
        store: Store,
        spool: SpoolReader,
        *,
        sealer: Sealer,
        events: Events,
        observer: Observer,
        clock: Clock,
    ) -> None:
        self._store, self._spool, self._sealer, self._events = store, spool, sealer, events
        self._observer, self._clock = observer, clock
        self._segments: dict[str, Segment] = {}
        self._running = Running()
        self._caught_up = time.monotonic()
        with store.read() as tx:
            finished = tx.progress.finished()
        for segment in finished:
            self._drop(segment)

    @property
    def lag(self) -> int:
        """Return microseconds of real time since a turn began that then read everything there was."""
        return int((time.monotonic() - self._caught_up) * 1e6)

    def turn(self) -> int:
        """Read what is new and count it; return how many events that was."""
        began, began_at = time.monotonic(), self._clock.now()
        fresh: list[tuple[Segment, list[tuple[int, SpoolEvent]], int, bool]] = []
        everything = True
        names = self._spool.segments()
        for name in [name for name in self._segments if name not in names]:
            del self._segments[name]
        for name in names:
            batch, complete = self._read(name)
            fresh.append(batch)
            everything &= complete
        # Only now: whoever was assigned by a rollout in what was read was assigned after that rollout was written.
        self._follow()
        count = 0
        for segment, events, end, ended in fresh:
            for _, event in events:
                self._observer.feed(event)
            count += len(events)
            if not segment.pending:
                segment.since = began
            segment.pending += events
            segment.read, segment.ended = end, ended
        if everything:
            self._observer.caught_up(began_at, began)
            self._caught_up = began
        return count

    def seal_due(self, *, everything: bool = False) -> None:
        """Seal what is large or old enough, and drop segments that ended and are sealed."""
        for name, segment in list(self._segments.items()):
            waiting = segment.read - segment.sealed
            old = time.monotonic() - segment.since >= SEAL_SECONDS
            if not segment.ended and not (waiting and (everything or old or waiting >= SEAL_BYTES)):
                continue
            if segment.ended and segment.dropped:
                continue
            events, end, ended = list(segment.pending), segment.read, segment.ended
            try:
                self._sealer.seal(name, segment.sealed, end, events, finished=ended)
                segment.sealed, segment.since = end, time.monotonic()
                del segment.pending[: len(events)]
                if ended:
                    segment.dropped = True
                    self._drop(name)
            except Conflict:
                self._reread(name, segment)
            except WorkspaceUnusable as fault:
                log.error("%s; %s", fault.message, fault.hint)  # noqa: TRY400 (the message says it all)
                return

    def _read(self, name: str) -> tuple[tuple[Segment, list[tuple[int, SpoolEvent]], int, bool], bool]:
        """Return what is new in one segment, and whether that is all there was."""
        segment = self._segments.get(name)
        if segment is None:
            with self._store.read() as tx:
                sealed = tx.progress.sealed(name)
            segment = self._segments[name] = Segment(sealed, sealed, time.monotonic())
        found: list[tuple[int, SpoolEvent]] = []
        end, ended = segment.read, segment.ended
        if ended:
            return (segment, found, end, ended), True
        for _ in range(READS_A_TURN):
            if end - segment.sealed >= UNSEALED_LIMIT:
                return (segment, found, end, ended), False
            start = end
            events, end, ended = self._spool.read(name, start, limit=READ)
            found += events
            if ended or end - start < READ // 2:
                return (segment, found, end, ended), True
        return (segment, found, end, ended), False

    def _reread(self, name: str, segment: Segment) -> None:
        """Go on from where a segment really is sealed.

        A commit that was said to have failed may have been made all the same. Raise Conflict where that explains
        nothing: somebody else is sealing.
        """
        with self._store.read() as tx:
            sealed = tx.progress.sealed(name)
        if not segment.sealed < sealed <= segment.read:
            raise Conflict(
                f"segment {name} is sealed up to {sealed}, and was read from {segment.sealed} to {segment.read}",
                hint="only one control process may run on a workspace",
            )
        # In place, for a turn may be adding to it in another thread.
        del segment.pending[: sum(offset < sealed for offset, _ in list(segment.pending))]
        segment.sealed, segment.since = sealed, time.monotonic()

    def _drop(self, segment: str) -> None:
        """Unlink a wholly sealed segment. Forgotten first, one that a crash left behind would be sealed again."""
        self._spool.remove(segment)
        with self._store.write() as tx:
            tx.progress.forget(segment)

    def _follow(self) -> None:
        """Tell the observer which rollouts are under way; count what is already sealed of those new to it."""
        with self._store.read() as tx:
            running = self._running.read(tx)
            new = {name for name, one in running.items() if not self._observer.follows(name, one.rollout.id)}
            frontiers = {name: _frontier(tx, running[name].rollout.id) for name in new}
        self._observer.follow(
            {name: Followed(one.rollout, watched(one.spec), frontiers.get(name, {})) for name, one in running.items()}
        )
        try:
            for name in sorted(new):
                recount(self._events, self._observer, name, running[name].rollout)
        except BaseException:
            # Half counted is not counted: the next turn begins anew with those that are new.
            for name in new:
                self._observer.forget(name)
            raise


def _frontier(tx: Transaction, rollout: str) -> dict[str, int]:
    try:
        return frontier(tx, rollout)
    except Tampered:
        # The controller says so, and decides nothing on what is counted here.
        return {}
