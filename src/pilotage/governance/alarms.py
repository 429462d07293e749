"""Alarms as what they are to people: raised once, told of, acknowledged, resolved; each of it in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pilotage.access import Role
from pilotage.clock import DAY
from pilotage.errors import NotFound, Refused
from pilotage.governance import ledger, standing, words
from pilotage.governance.context import Text, require
from pilotage.records import Notice

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.records import Alarm
    from pilotage.spec.use_case import UseCase
    from pilotage.store.base.transaction import Transaction

TOGETHER = DAY
"""What moves within so long is taken to have one cause."""
READERS = (Role.OPERATE, Role.APPROVE)


class Alarms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without a use case, those of every one that the actor may see."""

    use_case: Text = ""
    everything: bool = False


class Handle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`alarm` is its id, or enough of its beginning."""

    use_case: Text
    alarm: Annotated[str, msgspec.Meta(min_length=4, max_length=64)]
    note: Text = ""


class Resend(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    use_case: Text


def raise_alarm(tx: Transaction, spec: UseCase, alarm: Alarm) -> Alarm:
    """Raise an alarm, or note that one which is open was noticed again; return it as it stands.

    What is noticed again is told again only where it now asks for more than it did: nobody reads the hundredth message.
    """
    for known in tx.alarms.of(alarm.use_case, open_only=True):
        if (known.watch, known.release) == (alarm.watch, alarm.release):
            more = alarm.acts and not known.acts
            again = msgspec.structs.replace(
                known,
                count=known.count + 1,
                last=alarm.at,
                acts=known.acts or alarm.acts,
                says=alarm.says if more else known.says,
                detail=_kept_beside(known, alarm) if more else known.detail,
                changed=alarm.at if more else known.changed,
            )
            tx.alarms.put(again)
            if more:
                _told(tx, spec, again, "worse", alarm.at)
                _recorded(tx, again, "alarm", actor="monitor")
            return again
    tx.alarms.put(alarm)
    _told(tx, spec, alarm, "raised", alarm.at)
    _recorded(tx, alarm, "alarm", actor="monitor")
    return alarm


def raise_or_join(tx: Transaction, spec: UseCase, alarm: Alarm) -> Alarm:
    """Raise an alarm, unless one of its kind was raised of the release within a day before: what moves together is one thing.

    Such a one holds it under `also` from then on, and the ledger tells; people are told again only where it asks for more.
    """
    found = [
        known
        for known in tx.alarms.of(alarm.use_case, open_only=True)
        if (known.kind, known.release) == (alarm.kind, alarm.release)
    ]
    if any(known.watch == alarm.watch for known in found):
        return raise_alarm(tx, spec, alarm)
    joined = next((known for known in found if alarm.at - known.at <= TOGETHER or alarm.watch in _watches(known)), None)
    if joined is None:
        return raise_alarm(tx, spec, alarm)
    more = alarm.acts and not joined.acts
    part = {"watch": alarm.watch, "what": alarm.what, "says": alarm.says, "since": alarm.since, **alarm.detail}
    also = [one for one in joined.detail.get("also", ()) if one["watch"] != alarm.watch]
    again = msgspec.structs.replace(
        joined,
        count=joined.count + 1,
        last=alarm.at,
        acts=joined.acts or alarm.acts,
        detail={**joined.detail, "also": [*also, part]},
        changed=alarm.at,
    )
    tx.alarms.put(again)
    _recorded(tx, again, "alarm", actor="monitor")
    if more:
        _told(tx, spec, again, "worse", alarm.at)
    return again


def examples_of(alarm: Alarm) -> list[str]:
    """Return the ids of the requests that an alarm names, those of what has joined it too."""
    parts = (alarm.detail, *alarm.detail.get("also", ()))
    return list(dict.fromkeys(str(one) for part in parts for one in part.get("examples", ())))


def _kept_beside(known: Alarm, alarm: Alarm) -> dict[str, Any]:
    also = {"also": known.detail["also"]} if "also" in known.detail else {}
    return {**alarm.detail, **also}


def _watches(alarm: Alarm) -> set[str]:
    return {part["watch"] for part in alarm.detail.get("also", ())}


def acted(tx: Transaction, spec: UseCase, alarm: Alarm, did: str, at: int) -> None:
    """Note what was done about an alarm."""
    after = msgspec.structs.replace(alarm, did=did, changed=at)
    tx.alarms.put(after)
    _told(tx, spec, after, "acted", at)
    _recorded(tx, after, "alarm_act", actor="monitor")


def alarms(context: Context, actor: Actor, arguments: Alarms) -> dict[str, Any]:
    """Return the open alarms, or all, oldest first, and the messages that nobody took."""
    if arguments.use_case:
        require(actor, READERS, arguments.use_case)
    with context.store.read() as tx:
        if arguments.use_case:
            standing.standing(tx, arguments.use_case)
        shown = [
            alarm
            for alarm in tx.alarms.of(arguments.use_case, open_only=not arguments.everything)
            if any(actor.allows(role, alarm.use_case) for role in READERS)
        ]
        dead = [
            notice
            for notice in tx.notices.of(arguments.use_case, state="dead")
            if any(actor.allows(role, notice.use_case) for role in READERS)
        ]
    return {
        "alarms": [msgspec.structs.asdict(alarm) for alarm in shown],
        "undelivered": [msgspec.structs.asdict(notice) for notice in dead],
    }


def acknowledge(context: Context, actor: Actor, arguments: Handle) -> dict[str, Any]:
    """Say that somebody is on it."""
    return _handled(context, actor, arguments, "acknowledged")


def resolve(context: Context, actor: Actor, arguments: Handle) -> dict[str, Any]:
    """Say that it is over. Should the same be noticed again, that is another alarm."""
    return _handled(context, actor, arguments, "resolved")


def resend(context: Context, actor: Actor, arguments: Resend) -> dict[str, Any]:
    """Let the messages of a use case that nobody took be tried again."""
    now = context.clock.now()
    with context.store.write() as tx:
        standing.standing(tx, arguments.use_case)
        dead = tx.notices.of(arguments.use_case, state="dead")
        for notice in dead:
            tx.notices.put(msgspec.structs.replace(notice, state="waiting", due=now, tries=0))
        if dead:
            detail = {"notices": [notice.id for notice in dead]}
            ledger.append(tx, at=now, actor=actor.id, action="resend", use_case=arguments.use_case, detail=detail)
    return {"use_case": arguments.use_case, "resent": len(dead)}


def _handled(context: Context, actor: Actor, arguments: Handle, state: Any) -> dict[str, Any]:
    now = context.clock.now()
    with context.store.write() as tx:
        alarm = named(tx, arguments)
        if not alarm.open:
            raise Refused(f"alarm {alarm.id[:12]} is resolved already")
        if alarm.state == state:
            raise Refused(f"alarm {alarm.id[:12]} is acknowledged already, by {alarm.actor}")
        note = words.apart(tx, arguments.note, alarm.use_case) or alarm.note
        after = msgspec.structs.replace(alarm, state=state, actor=actor.id, note=note, changed=now)
        tx.alarms.put(after)
        stands = standing.standing(tx, alarm.use_case)
        _told(tx, stands.spec, after, state, now)
        entry = _recorded(tx, after, f"alarm_{state}", actor=actor.id)
    return {"id": after.id, "use_case": after.use_case, "state": after.state, "ledger": entry}


def named(tx: Transaction, arguments: Handle) -> Alarm:
    """Return the alarm of which an id, or its beginning, is given; raise NotFound or Refused."""
    wanted = arguments.alarm
    standing.standing(tx, arguments.use_case)
    found = [alarm for alarm in tx.alarms.of(arguments.use_case) if alarm.id.startswith(wanted)]
    if not found:
        hint = f"`pilotage alarms {arguments.use_case}` lists those that are open"
        raise NotFound(f"{arguments.use_case} has no alarm {wanted!r}", hint=hint)
    if len(found) > 1:
        raise Refused(f"{len(found)} alarms begin with {wanted!r}", hint="give more of the id")
    return found[0]


def _told(tx: Transaction, spec: UseCase, alarm: Alarm, event: str, at: int) -> None:
    """Put a message for every receiver that the file names in line."""
    for number, receiver in enumerate(spec.watch.notify):
        notice = Notice(
            id=f"{alarm.id}-{event}-{number}",
            use_case=alarm.use_case,
            alarm=alarm.id,
            target=receiver.name,
            event=event,
            at=at,
            due=at,
        )
        if tx.notices.get(notice.id) is None:
            tx.notices.put(notice)


def _recorded(tx: Transaction, alarm: Alarm, action: str, *, actor: str) -> int:
    detail = {**msgspec.to_builtins(alarm), "row": vouched(alarm)}
    return ledger.append(
        tx, at=alarm.changed or alarm.at, actor=actor, action=action, use_case=alarm.use_case, detail=detail
    ).seq


def vouched(alarm: Alarm) -> str:
    """Return the fingerprint of an alarm without what changes whenever it is noticed again."""
    return ledger.fingerprint(msgspec.structs.replace(alarm, count=1, last=0))
