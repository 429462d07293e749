"""Looks after what serves: takes what has matured, tick by tick, raises alarms, and does what the file wants done."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

import msgspec

from pilotage.clock import DAY, new_id
from pilotage.decision import moves
from pilotage.decision.response import respond
from pilotage.decision.transition import follow
from pilotage.decision.verdict import judged
from pilotage.decision.watch import after
from pilotage.governance import batches, standing
from pilotage.governance.alarms import acted, raise_alarm
from pilotage.governance.batches import Link
from pilotage.monitor.shown import shown_of
from pilotage.monitor.watches import encode, name_of
from pilotage.monitor.wording import crossing_text
from pilotage.records import Alarm
from pilotage.status import Action, Decision

if TYPE_CHECKING:
    from pilotage.decision.batch import Batch
    from pilotage.decision.watch import Crossing, Watching
    from pilotage.governance.context import Context
    from pilotage.governance.mandate import Mandate
    from pilotage.monitor.watches import Live, Watches
    from pilotage.status import UseCaseStatus
    from pilotage.store.base.transaction import Transaction

ACTOR = "monitor"
DRILL_DAYS = 14
"""Ticks are kept for so long."""
_FORGETS_EVERY = 100
LATE = 20
"""So many units at once, and more than those that count, whose time lies before what was counted are no accident."""

log = logging.getLogger(__name__)


class Matured(Protocol):
    """Hands out what has matured. A batch that was taken is final: it does not come again."""

    def follows(self, name: str, rollout: str) -> bool: ...
    def batch(self, name: str, at: int) -> Batch | None: ...


class _Seen:
    """One watch between two ticks. `taken` is a batch that is not in the store yet: it and no other comes next."""

    def __init__(self, watching: Watching) -> None:
        self.watching = watching
        self.taken: Batch | None = None
        self.tick = watching.tick


class Watcher:
    """Works under `mandate` alone. What it holds in memory is what the store holds, so it may stop at any moment."""

    def __init__(self, context: Context, observer: Matured, mandate: Mandate, watches: Watches) -> None:
        self._context, self._observer, self._mandate, self._watches = context, observer, mandate, watches
        self._seen: dict[str, _Seen] = {}

    def due(self) -> list[str]:
        """Return the use cases whose clock has ticked since they were looked at."""
        now = self._context.clock.now()
        with self._context.store.read() as tx:
            live = self._watches.read(tx)
        ids = {one.course.id for one in live.values()}
        self._seen = {watch: seen for watch, seen in self._seen.items() if watch in ids}
        return sorted(name for name, one in live.items() if self._ticked(one, now))

    def tick(self, use_case: str) -> None:
        """Look at one use case once. Raise Conflict, with nothing written, where somebody else has the mandate now."""
        now = self._context.clock.now()
        with self._context.store.read() as tx:
            one = self._watches.read(tx).get(use_case)
            if one is None or not self._observer.follows(name_of(use_case), one.course.id):
                return
            seen = self._seen.get(one.course.id)
            if seen is None:
                seen = self._seen[one.course.id] = _Seen(self._watches.resumed(tx, one))
        if seen.taken is None:
            seen.taken = self._observer.batch(name_of(use_case), now)
        seen.tick = now // one.setting.watch.tick
        if seen.taken is None:
            return
        watching, crossings = after(seen.watching, seen.taken, one.setting)
        with self._context.store.write() as tx:
            self._mandate.check(tx)
            body = msgspec.json.encode(shown_of(one.setting, watching))
            tx.batches.keep(one.course.id, watching.seq, encode(watching), body)
            _append(tx, one.course.id, seen.taken)
            alarms = [self._alarm(one, crossing, now) for crossing in crossings]
            if seen.taken.late >= LATE and seen.taken.late > sum(n for _, _, n in seen.taken.exposed):
                alarms.append(self._late(one, seen.taken.late, now))
            for alarm in alarms:
                told = raise_alarm(tx, one.spec, alarm)
                log.warning("%s: %s %s", use_case, told.what, told.says)
        seen.watching, seen.taken = watching, None

    def act(self) -> None:
        """Do what is to be done about alarms: whatever the ledger tells of an alarm was there before anything moved."""
        with self._context.store.read() as tx:
            waiting = [
                alarm
                for alarm in tx.alarms.of(open_only=True)
                if alarm.acts and alarm.action != "notify" and not alarm.did
            ]
        for alarm in waiting:
            with self._context.store.write() as tx:
                self._mandate.check(tx)
                self._do(tx, alarm)

    def _do(self, tx: Transaction, alarm: Alarm) -> None:
        now = self._context.clock.now()
        stands = standing.standing(tx, alarm.use_case)
        response = respond(stands.status, alarm)
        if response.action is not None:
            moved = _moved(stands.status, response.action, response.reason, now)
            detail = {"release": alarm.release, "reason": response.reason, "alarm": alarm.id}
            standing.write(tx, moved, at=now, actor=ACTOR, action=response.action.value, detail=detail)
        acted(tx, stands.spec, alarm, response.reason, now)
        log.warning("%s: %s", alarm.use_case, response.reason)

    def _ticked(self, one: Live, now: int) -> bool:
        seen = self._seen.get(one.course.id)
        return seen is None or seen.taken is not None or now // one.setting.watch.tick != seen.tick

    def _alarm(self, one: Live, crossing: Crossing, now: int) -> Alarm:
        metric, asked = judged(one.spec)[crossing.metric], one.setting.asked[crossing.stream]
        return Alarm(
            id=new_id(self._context.clock),
            use_case=one.spec.name,
            release=one.status.live,
            kind="silence" if asked.told else "degradation",
            what=crossing.metric,
            watch=crossing.stream,
            at=now,
            since=crossing.since,
            says=crossing_text(one.spec, metric, asked, crossing),
            # That nobody reports any more says nothing against the release.
            action="notify" if asked.told else metric.on_alarm,
            acts=crossing.line == "act",
            last=now,
            detail={"line": crossing.line, "level": crossing.level, "value": crossing.value, "n": crossing.n},
        )

    def _late(self, one: Live, late: int, now: int) -> Alarm:
        return Alarm(
            id=new_id(self._context.clock),
            use_case=one.spec.name,
            release=one.status.live,
            kind="silence",
            what="the clock",
            watch="clock",
            at=now,
            since=now,
            says=f"lies behind what was counted already: {late:,} {one.spec.unit}s of one tick do not count, and none will until it "
            "has caught up; was it set back, or is it another one where the gateway runs?",
            last=now,
        )


def _append(tx: Transaction, watch: str, batch: Batch) -> None:
    """Keep what was seen for some days: a drill is played on it."""
    last, body = Link(*tx.batches.last(watch)), batches.encode(batch)
    link = last.to(body)
    tx.batches.append(watch, link.seq, batch.at, body, link.digest)
    if link.seq % _FORGETS_EVERY == 0:
        tx.batches.forget(watch, batch.at - DRILL_DAYS * DAY)


def _moved(status: UseCaseStatus, action: Action, reason: str, now: int) -> UseCaseStatus:
    if action is Action.ROLL_BACK:
        return moves.live_rolled_back(status, reason=reason, actor=ACTOR, now=now)
    return follow(status, Decision(action=action, reason=reason, at=now, actor=ACTOR))
