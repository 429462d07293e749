"""Tells people in time that a model behind what serves will be shut down, and again when that day has come."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from pilotage.clock import DAY, HOUR, new_id
from pilotage.decision.wording import variant_of
from pilotage.governance import standing
from pilotage.governance.alarms import raise_alarm
from pilotage.governance.retirement import retirements
from pilotage.records import Alarm

if TYPE_CHECKING:
    from pilotage.governance.context import Context
    from pilotage.governance.mandate import Mandate
    from pilotage.governance.retirement import Retirement
    from pilotage.governance.standing import Standing

PAUSE_SECONDS = 10.0

log = logging.getLogger(__name__)


class Retirements:
    """Works under `mandate` alone."""

    def __init__(self, context: Context, mandate: Mandate, *, pause: float = PAUSE_SECONDS) -> None:
        self._context, self._mandate, self._pause = context, mandate, pause
        self._next = 0.0
        self._looked = -1

    def turn(self) -> None:
        """Look at every use case, once an hour."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._pause
        now = self._context.clock.now()
        if now // HOUR == self._looked:
            return
        with self._context.store.read() as tx:
            due = [
                alarm
                for name in tx.use_cases.names()
                if not (stands := standing.standing(tx, name)).status.retired
                for one in retirements(tx, stands)
                if (alarm := self._alarm(stands, one, now)) is not None
                # Told once, whoever has resolved it since: the date is no news any more.
                and alarm.watch not in {known.watch for known in tx.alarms.of(name)}
            ]
        for alarm in due:
            with self._context.store.write() as tx:
                self._mandate.check(tx)
                raise_alarm(tx, standing.standing(tx, alarm.use_case).spec, alarm)
            log.warning("%s: %s %s", alarm.use_case, alarm.what, alarm.says)
        self._looked = now // HOUR

    def _alarm(self, stands: Standing, one: Retirement, now: int) -> Alarm | None:
        left = one.at - now
        if left > stands.spec.watch.notice:
            return None
        says = f"is shut down on {one.day}, as {one.source} says"
        days = -(-left // DAY)
        says += f": in {days} days" if days > 1 else ": within a day" if left > 0 else ", which has come"
        if one.release == stands.status.live:
            says += "; it serves, so bring a candidate with another model on its way"
        else:
            says += "; what serves falls back on it"
        return Alarm(
            id=new_id(self._context.clock),
            use_case=stands.status.use_case,
            release=one.release,
            kind="retirement",
            what=f"{one.model} of {variant_of(one.release)}",
            watch=f"retirement/{one.release}/{one.day}/{'near' if left > 0 else 'come'}",
            at=now,
            since=now,
            says=says,
            last=now,
            detail={"at": one.at, "source": one.source},
        )
