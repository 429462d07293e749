"""Looks after what is asked of live releases and answered by them: learns what is usual, raises an alarm when that moves.

It works from what is sealed, beside the turns and never in a tick's way. What it has looked at and what that came to is one row,
written with the alarms of the same turn; so killed at any moment it goes on with neither a lost nor a doubled request.
"""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np

from pilotage import __version__
from pilotage.clock import DAY, new_id
from pilotage.decision import drift
from pilotage.decision.drift import Drift, Reference, slice_text
from pilotage.decision.watch import after
from pilotage.governance.alarms import raise_alarm, raise_or_join
from pilotage.monitor.shown import streams_of
from pilotage.monitor.vectors import Vectors
from pilotage.records import Alarm
from pilotage.status import MILLION

if TYPE_CHECKING:
    from collections.abc import Callable

    from pilotage.decision.watch import Crossing, Setting
    from pilotage.governance.context import Context
    from pilotage.governance.mandate import Mandate
    from pilotage.monitor.asked import AskedReader
    from pilotage.monitor.vectors import Embed
    from pilotage.monitor.watches import Live, Watches
    from pilotage.spec.use_case import UseCase
    from pilotage.store.base.transaction import Transaction

LEARNS_AT_MOST = 4_000
LEARNS_WITHIN = 7 * DAY
LEARNS_FROM = 2 * drift.FEWEST

log = logging.getLogger(__name__)


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    drift: Drift
    version: str = __version__


class _Learned(msgspec.Struct, frozen=True, kw_only=True):
    reference: Reference
    version: str = __version__


Row = TypeVar("Row", _Kept, _Learned)

_kept, _learned = msgspec.msgpack.Decoder(_Kept), msgspec.msgpack.Decoder(_Learned)
_encode = msgspec.msgpack.Encoder().encode


class Drifts:
    """Works under `mandate` alone. `sealed_until` is up to when everything that ended is sealed, None while that is not known."""

    def __init__(
        self,
        context: Context,
        asked: AskedReader,
        mandate: Mandate,
        watches: Watches,
        sealed_until: Callable[[], int | None],
        *,
        embed: Embed,
    ) -> None:
        self._context, self._asked, self._mandate, self._watches = context, asked, mandate, watches
        self._sealed_until, self._embed = sealed_until, embed
        self._horizon: int | None = None
        self._references: dict[str, Reference] = {}
        self._tried: dict[str, int] = {}

    def turn(self) -> None:
        """Look at every live release whose clock has ticked."""
        # One turn late: the texts of what has ended are written a moment after it.
        until, self._horizon = self._horizon, self._sealed_until()
        if until is None:
            return
        with self._context.store.read() as tx:
            live = self._watches.read(tx)
        names = {identity_of(one) for one in live.values()}
        self._references = {name: known for name, known in self._references.items() if name in names}
        self._tried = {name: tick for name, tick in self._tried.items() if name in names}
        for one in live.values():
            if one.spec.watch.drift != "off" and self._mandate.held:
                self.look(one, until)

    def look(self, one: Live, until: int) -> None:
        """Look at what one live release was asked until a time. Raise Conflict, with nothing written, where the mandate is lost."""
        name = identity_of(one)
        with self._context.store.read() as tx:
            row = tx.batches.kept(name)
            vectors = self._vectors(tx, one.spec)
        known = _decoded(_kept, row[1]) if row else None
        reference = self._reference(name) if known else None
        embedding = vectors.release if vectors is not None else ""
        if known is None or reference is None or reference.embedding != embedding:
            learned = self._learn(one, name, until, vectors)
            if learned or known is None or reference is None:
                return
        now = known.drift
        if until // one.setting.watch.tick <= now.until // one.setting.watch.tick:
            return
        if reference.embedding != embedding:
            vectors = None
        seen = self._asked.between(one.spec, one.status.live, now.until, until, vectors=vectors)
        setting = drift.setting(reference, one.spec.watch)
        batch, inside = drift.gathered(reference, seen.asked, until)
        watching, crossings = after(now.watching, batch, setting)
        examples = drift.examples(now, watching, inside)
        fresh = tuple(model for model in seen.models if model not in now.models)
        state = Drift(until=until, watching=watching, examples=examples, models=(*now.models, *fresh))
        with self._context.store.write() as tx:
            self._mandate.check(tx)
            tx.batches.keep(name, watching.seq, _encode(_Kept(drift=state)), _shown(reference, setting, state))
            # What has moved most gives the alarm its name.
            for crossing in sorted(crossings, key=lambda found: -found.times):
                alarm = self._alarm(one, crossing, examples)
                raise_or_join(tx, one.spec, alarm)
                log.warning("%s: %s %s", one.spec.name, alarm.what, alarm.says)
            if vectors is not None and vectors.fault:
                raise_alarm(tx, one.spec, self._no_vectors(one, vectors, until))
            if fresh:
                told = raise_alarm(tx, one.spec, self._other_model(one, now.models, fresh, until))
                log.warning("%s: %s %s", one.spec.name, told.what, told.says)

    def _vectors(self, tx: Transaction, spec: UseCase) -> Vectors | None:
        """Return what embeds a use case's questions, where its file names somebody who does."""
        registered = tx.use_cases.get(spec.name)
        release = registered.releases.get(spec.watch.embedding or "") if registered is not None else None
        return Vectors(self._embed, spec.name, release) if release else None

    def _learn(self, one: Live, name: str, until: int, vectors: Vectors | None) -> bool:
        """Learn what is usual, once there is a whole day of it and enough; return whether that is done.

        Where questions should be embedded and cannot be, it is learned without that, and anew once they can.
        """
        tick = until // one.setting.watch.tick
        if self._tried.get(name) == tick:
            return False
        self._tried[name] = tick
        begins = max(one.status.live_since, until - LEARNS_WITHIN)
        if until - begins < DAY:
            return False
        most = LEARNS_AT_MOST
        seen = self._asked.between(one.spec, one.status.live, begins, until, vectors=vectors, most=most, texts=most)
        if vectors is not None and vectors.fault:
            with self._context.store.write() as tx:
                self._mandate.check(tx)
                raise_alarm(tx, one.spec, self._no_vectors(one, vectors, until))
                if tx.batches.kept(name) is not None:
                    return False
            vectors = None
        if len(seen.asked) < max(LEARNS_FROM, one.spec.watch.learns_from):
            return False
        rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
        reference = drift.learned(seen.asked, rng, vectors.release if vectors is not None else "")
        state = Drift(until=until, watching=drift.begin(reference), models=seen.models)
        with self._context.store.write() as tx:
            self._mandate.check(tx)
            tx.batches.keep(f"{name}-learned", 0, _encode(_Learned(reference=reference)), b"{}")
            tx.batches.keep(
                name, 0, _encode(_Kept(drift=state)), _shown(reference, drift.setting(reference, one.spec.watch), state)
            )
        self._references[name] = reference
        log.info("%s: what is usual is learned from %d requests", one.spec.name, len(seen.asked))
        return True

    def _reference(self, name: str) -> Reference | None:
        if name not in self._references:
            with self._context.store.read() as tx:
                row = tx.batches.kept(f"{name}-learned")
            learned = _decoded(_learned, row[1]) if row else None
            if learned is None:
                return None
            self._references[name] = learned.reference
        return self._references[name]

    def _alarm(self, one: Live, crossing: Crossing, examples: dict[str, tuple[str, ...]]) -> Alarm:
        since = datetime.fromtimestamp(crossing.since / MILLION, UTC).strftime("%-d %B %H:%M UTC")
        return Alarm(
            id=new_id(self._context.clock),
            use_case=one.spec.name,
            release=one.status.live,
            kind="drift",
            what=slice_text(crossing.metric),
            watch=f"drift/{crossing.stream}",
            at=self._context.clock.now(),
            since=crossing.since,
            says=f"are {crossing.value:.1%} since {since} ({crossing.n:,} requests), and were at most {crossing.level:.1%} in the first days",
            action=one.spec.watch.drift,
            acts=crossing.line == "act",
            last=self._context.clock.now(),
            detail={
                "line": crossing.line,
                "level": crossing.level,
                "value": crossing.value,
                "n": crossing.n,
                "examples": list(examples.get(crossing.stream, ())),
            },
        )

    def _no_vectors(self, one: Live, vectors: Vectors, at: int) -> Alarm:
        now = self._context.clock.now()
        return Alarm(
            id=new_id(self._context.clock),
            use_case=one.spec.name,
            release=one.status.live,
            kind="embedding",
            what="the embedding of questions",
            watch="embedding",
            at=now,
            since=at,
            says=f"is not to be had from {vectors.release}: {vectors.fault}",
            last=now,
        )

    def _other_model(self, one: Live, before: tuple[str, ...], now: tuple[str, ...], at: int) -> Alarm:
        """A provider that names another model has changed it: that is a fact and no matter of chance."""
        came = ", ".join(before) or "no name"
        return Alarm(
            id=new_id(self._context.clock),
            use_case=one.spec.name,
            release=one.status.live,
            kind="model",
            what="the provider's model",
            watch=f"model/{','.join(now)}",
            at=self._context.clock.now(),
            since=at,
            says=f"is {', '.join(now)} now; answers came from {came} when this release began to serve",
            action="notify",
            last=self._context.clock.now(),
            detail={"models": list(now), "before": list(before)},
        )


def identity_of(one: Live) -> str:
    """Return what is kept of a live release's drift as: beside its watch, which it ends with."""
    return f"{one.course.id}-drift"


def _decoded(decoder: msgspec.msgpack.Decoder[Row], body: bytes) -> Row | None:
    """Return what was kept, or None where another version kept it."""
    try:
        kept = decoder.decode(body)
    except msgspec.MsgspecError:
        return None
    return kept if kept.version == __version__ else None


def _shown(reference: Reference, setting: Setting, state: Drift) -> bytes:
    slices = [
        {
            **msgspec.structs.asdict(one),
            "what": slice_text(one.stream),
            "usual": state.watching.streams[one.stream].learned.mean,
            "examples": list(state.examples.get(one.stream, ())),
        }
        for one in streams_of(setting, state.watching)
    ]
    shown = {"until": state.until, "models": list(state.models), "embedding": reference.embedding, "slices": slices}
    return msgspec.json.encode(shown)
