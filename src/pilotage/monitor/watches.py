"""What serves, as something to be followed: one watch for every live release, for as long as it is live."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pilotage import __version__
from pilotage.clock import DAY
from pilotage.counting.course import Followed, Period
from pilotage.counting.watched import told, watched
from pilotage.decision.batch import EXPOSED
from pilotage.decision.watch import Setting, Watching, begin, course_of, held_back, identity_of, setting, shown_by
from pilotage.governance.standing import spec_of
from pilotage.status import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pilotage.clock import Clock
    from pilotage.counting.watched import Watched
    from pilotage.decision.statistics import Statistics
    from pilotage.spec.use_case import UseCase
    from pilotage.status import RolloutStatus, UseCaseStatus
    from pilotage.store.base.transaction import Transaction


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What was kept of a watch, by a version of the program: another one learns anew."""

    watching: Watching
    version: str = __version__


class Live(NamedTuple):
    """One live release and what it is watched for."""

    spec: UseCase
    status: UseCaseStatus
    course: RolloutStatus
    setting: Setting


_encode = msgspec.msgpack.Encoder().encode
_kept = msgspec.msgpack.Decoder(Kept)


class Watches:
    """Reads what serves again each time; a file is validated again only when another one was registered."""

    def __init__(self, clock: Clock, resumed: Callable[[Transaction, UseCase, RolloutStatus], Statistics]) -> None:
        self._clock, self._resumed = clock, resumed
        self._specs: dict[str, _Known] = {}

    def read(self, tx: Transaction) -> dict[str, Live]:
        """Return every live release's watch, by use case."""
        found = {}
        for status in tx.statuses.all():
            registered = tx.use_cases.get(status.use_case)
            if status.retired or not status.live or registered is None:
                continue
            known = self._specs.get(status.use_case)
            if known is None or (known.at, known.live, known.since) != (registered.at, status.live, status.live_since):
                known = self._specs[status.use_case] = _known(registered.at, spec_of(registered), status)
            found[status.use_case] = Live(known.spec, status, known.course, known.setting)
        return found

    def followed(self, tx: Transaction) -> dict[str, Followed]:
        found = {}
        for name, one in self.read(tx).items():
            known = self._specs[name]
            period = Period(known.spec.watch.cycle, one.status.live, holdback_of(known.spec, one.status))
            found[name_of(name)] = Followed(
                one.course, known.metrics, {}, period, segments=known.spec.fairness.segments
            )
        return found

    def frontier(self, tx: Transaction, rollout: str) -> Mapping[str, int]:
        """Return how far a watch has come; a new one begins with the first request since its release is live under this file.

        So one that dies before it has kept anything loses nobody. Longer ago than a day, it begins there.
        """
        known = next((known for known in self._specs.values() if known.course.id == rollout), None)
        kept = self.kept(tx, rollout)
        so_far = kept.frontier if kept is not None else {}
        if known is None:
            return so_far
        begins = max(known.since, known.at, self._clock.now() - DAY)
        return {EXPOSED: begins, **{metric.name: begins + metric.matures_after for metric in known.metrics}, **so_far}

    def kept(self, tx: Transaction, watch: str) -> Watching | None:
        row = tx.batches.kept(watch)
        return decode(row[1]) if row else None

    def resumed(self, tx: Transaction, one: Live) -> Watching:
        """Return what is known of a watch: as it was kept, else what its release's rollout has shown."""
        kept = self.kept(tx, one.course.id)
        if kept is not None:
            return kept
        rollout, known = one.status.rollout, {}
        if rollout is not None and rollout.phase is Phase.PROMOTED:
            known = shown_by(self._resumed(tx, one.spec, rollout), rollout, one.status.live)
        # All of it is kept with the first tick: of what has not matured by then, nobody is asked for twice.
        return msgspec.structs.replace(begin(one.setting, known), frontier=dict(self.frontier(tx, one.course.id)))


class _Known(NamedTuple):
    at: int
    live: str
    since: int
    spec: UseCase
    metrics: tuple[Watched, ...]
    setting: Setting
    course: RolloutStatus


def decode(body: bytes) -> Watching | None:
    """Return what was kept, or None where another version kept it."""
    try:
        kept = _kept.decode(body)
    except msgspec.MsgspecError:
        return None
    return kept.watching if kept.version == __version__ else None


def encode(watching: Watching) -> bytes:
    return _encode(Kept(watching=watching))


def name_of(use_case: str) -> str:
    """Return what a use case's watch is followed as, beside its rollout."""
    return f"{use_case}/watch"


def holdback_of(spec: UseCase, status: UseCaseStatus) -> tuple[str, str]:
    """Return the rollout that a part of all units is held back from, and what they get; empty where nobody is."""
    rollout = status.rollout
    if rollout is None or not held_back(status, spec):
        return "", ""
    return rollout.id, rollout.baseline


def _known(at: int, spec: UseCase, status: UseCaseStatus) -> _Known:
    holdback = holdback_of(spec, status)
    asked = setting(spec, holdback=bool(holdback[0]))
    of = {question.metric for question in asked.asked.values()}
    base = [metric for metric in watched(spec) if metric.name in of]
    metrics = (*base, *(told(metric) for metric in base if not metric.by_gateway))
    course = course_of(identity_of(spec, status), status.live, holdback[1], status.live_since)
    return _Known(at, status.live, status.live_since, spec, metrics, asked, course)
