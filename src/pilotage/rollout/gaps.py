"""Telling people, once, that a rollout is held because a candidate is worse for a group than for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.clock import new_id
from pilotage.decision.parity import gaps
from pilotage.decision.statistics import by_group
from pilotage.governance.alarms import raise_alarm
from pilotage.records import Alarm

if TYPE_CHECKING:
    from pilotage.clock import Clock
    from pilotage.decision.statistics import Statistics
    from pilotage.rollout.running import Rolling
    from pilotage.store.base.transaction import Transaction

KIND = "parity"


def tell(tx: Transaction, clock: Clock, rolling: Rolling, statistics: Statistics, now: int) -> None:
    """Raise an alarm of each gap of a rollout of which none was raised since it began. It moves nobody: the hold does."""
    spec, rollout = rolling.spec, rolling.rollout
    if not spec.fairness.margins:
        return
    told = {
        (one.watch, one.release) for one in tx.alarms.of(spec.name) if one.kind == KIND and one.at >= rollout.started
    }
    for release, groups in by_group(statistics, spec, rollout).items():
        for gap in gaps(spec, groups) if release in rollout.remaining else ():
            watch = f"{KIND}/{gap.group}/{gap.metric}"
            if (watch, release) in told:
                continue
            alarm = Alarm(
                id=new_id(clock),
                use_case=spec.name,
                release=release,
                kind=KIND,
                what=gap.metric,
                watch=watch,
                at=now,
                since=now,
                says=gap.says,
                last=now,
                detail=msgspec.to_builtins(groups[gap.group][gap.metric]),
            )
            raise_alarm(tx, spec, alarm)
