"""Reads what every process appends: into the observer at once, into Parquet soon after."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pilotage.clock import SECOND
from pilotage.counting.pulse import Pulse
from pilotage.counting.sealed import recount
from pilotage.errors import Conflict, Tampered, WorkspaceUnusable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pilotage.clock import Clock
    from pilotage.counting.course import Followed
    from pilotage.counting.observe import Observer
    from pilotage.records import SpoolEvent
    from pilotage.store.base.recorded import Events, SpoolReader
    from pilotage.store.base.transaction import Store, Transaction

log = logging.getLogger(__name__)

READ = 4 << 20
"""Bytes read at once. A read that gives less than half of it reached the segment's end: a frame holds at most 1 MB."""
READS_A_TURN = 8
SEAL_BYTES = 4 << 20
SEAL_SECONDS = 5.0
UNSEALED_LIMIT = 64 << 20
"""While sealing fails (a full disk), reading goes on up to this many bytes; then counts grow old and rollouts hold."""


class Source(Protocol):
    """Says what is to be followed now, each by a name of its own."""

    def followed(self, tx: Transaction) -> dict[str, Followed]:
        """Return what is followed; its frontier is empty here, and asked for once a name is new."""

    def frontier(self, tx: Transaction, rollout: str) -> Mapping[str, int]:
        """Return how far the recorded batches go; raise Tampered where they are not whole."""


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
        sources: Sequence[Source],
        clock: Clock,
        pulse: Pulse | None = None,
    ) -> None:
        self._pulse = pulse or Pulse(clock.now())
        self._store, self._spool, self._sealer, self._events = store, spool, sealer, events
        self._observer, self._sources, self._clock = observer, sources, clock
        self._segments: dict[str, Segment] = {}
        self._caught_up = time.monotonic()
        self._read_at: int | None = None
        with store.read() as tx:
            finished = tx.progress.finished()
        for segment in finished:
            self._drop(segment)

    @property
    def lag(self) -> int:
        """Return microseconds of real time since a turn began that then read everything there was."""
        return int((time.monotonic() - self._caught_up) * 1e6)

    def sealed_until(self) -> int | None:
        """Return the clock's time up to which everything that was read is sealed; None before all was read once."""
        if self._read_at is None:
            return None
        # The first that waits of each segment is its oldest, but for those of other threads of the same process.
        waiting = [event.at for segment in list(self._segments.values()) for _, event in segment.pending[:1]]
        return min([self._read_at, *waiting]) - SECOND

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
                self._pulse.feed(event, began_at)
            count += len(events)
            if not segment.pending:
                segment.since = began
            segment.pending += events
            segment.read, segment.ended = end, ended
        if everything:
            self._observer.caught_up(began_at, began)
            self._caught_up, self._read_at = began, began_at
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
        """Tell the observer what is under way; count what is already sealed of what is new to it."""
        courses: dict[str, Followed] = {}
        new = []
        with self._store.read() as tx:
            for source in self._sources:
                for name, one in source.followed(tx).items():
                    courses[name] = one
                    if not self._observer.follows(name, one.rollout.id):
                        courses[name] = one._replace(frontier=_frontier(source, tx, one.rollout.id))
                        new.append(name)
        self._observer.follow(courses)
        try:
            for name in sorted(new):
                recount(self._events, self._observer, name, courses[name])
        except BaseException:
            # Half counted is not counted: the next turn begins anew with those that are new.
            for name in new:
                self._observer.forget(name)
            raise


def _frontier(source: Source, tx: Transaction, rollout: str) -> Mapping[str, int]:
    try:
        return source.frontier(tx, rollout)
    except Tampered:
        # The controller says so, and decides nothing on what is counted here.
        return {}
