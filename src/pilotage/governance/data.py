"""People's data: what is held of one unit, given out, or destroyed. Statistics and the ledger stay valid."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pilotage import access
from pilotage.access import Role
from pilotage.errors import Denied, Refused, WrongCall
from pilotage.governance import ledger, serving_row, standing, words
from pilotage.governance.alarms import Handle, examples_of, named
from pilotage.governance.context import Text, moment
from pilotage.guardrails.personal_data import redact
from pilotage.store.base.erasable import Erasure

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.store.base.holdings import Holdings
    from pilotage.store.base.transaction import Transaction


class Unit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A unit by its name as applications send it, or by the digest that stands for it in events.

    `use_case` empty: every one that the actor may act on. The reason goes into the ledger, so it names nobody.
    """

    use_case: Text = ""
    unit: Annotated[str, msgspec.Meta(max_length=512)] = ""
    digest: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{32})?$")] = ""
    reason: Text = ""


class Examples(Handle, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With `reveal` texts are given out as they are kept, and `note` says why; without, with personal data redacted."""

    reveal: bool = False


def data_find(context: Context, actor: Actor, arguments: Unit) -> dict[str, Any]:
    """Say what is held of a unit, by use case and kind."""
    names = _use_cases(context, actor, arguments)
    with held_in(context) as holdings:
        found = {name: _found(context, holdings, name, unit) for name, unit in names.items()}
    held = {name: counts for name, counts in found.items() if any(counts.values())}
    _told(context, actor, "data_find", arguments, {name: sum(counts.values()) for name, counts in held.items()})
    return {"held": held}


def data_export(context: Context, actor: Actor, arguments: Unit) -> dict[str, Any]:
    """Give out all that is held of a unit, retained texts in the clear. The ledger says that it was done, not for whom."""
    names = _use_cases(context, actor, arguments)
    _why(arguments.reason)
    # On record before anything is shown.
    _told(context, actor, "data_export", arguments, dict.fromkeys(names, 0))
    with held_in(context) as holdings:
        data = {name: holdings.export(name, unit) for name, unit in names.items()}
    with context.store.read() as tx:
        for name, unit in names.items():
            if cases := _proposed(tx, name, unit):
                data[name]["cases"] = cases
    return {"data": {name: tables for name, tables in data.items() if any(tables.values())}}


def data_erase(context: Context, actor: Actor, arguments: Unit) -> dict[str, Any]:
    """Destroy a unit's key, and with it every text; put a random name in its place in figures.

    A unit that comes back is new. What workers keep of its answers in memory goes with the next request of the use case.
    """
    names = _use_cases(context, actor, arguments)
    erased: dict[str, dict[str, int]] = {}
    seq = None
    with held_in(context) as holdings:
        for name, unit in names.items():
            pseudonym = secrets.token_hex(16)
            with context.store.write() as tx:
                now = moment(context, tx)
                keys = int(tx.unit_keys.destroy(name, unit))
                cases = tx.proposals.forget(name, unit)
                tx.erasures.put(erasure := Erasure(name, unit, pseudonym, now))
                _compile_again(tx, name)
                detail = {"keys": keys, "reason": words.apart(tx, arguments.reason, name)}
                seq = ledger.append(tx, at=now, actor=actor.id, action="data_erase", use_case=name, detail=detail).seq
            counts = {"keys": keys, **holdings.erase(erasure), **({"cases": cases} if cases else {})}
            if any(counts.values()):
                erased[name] = counts
    return {"erased": erased, "ledger": seq}


def alarm_examples(context: Context, actor: Actor, arguments: Examples) -> dict[str, Any]:
    """Give out the texts of an alarm's examples, as far as they are kept. On record before anything is shown.

    What redaction finds in them is hidden; who asks for all of it says why.
    """
    if arguments.reveal:
        _why(arguments.note)
    with context.store.write() as tx:
        alarm = named(tx, arguments)
        ids = examples_of(alarm)
        revealed = {"revealed": True} if arguments.reveal else {}
        detail = {
            "alarm": alarm.id,
            "rows": len(ids),
            **revealed,
            "reason": words.apart(tx, arguments.note, alarm.use_case),
        }
        ledger.append(
            tx, at=moment(context, tx), actor=actor.id, action="alarm_examples", use_case=alarm.use_case, detail=detail
        )
    with held_in(context) as holdings:
        found = holdings.texts(alarm.use_case, ids)
    shown = found if arguments.reveal else [hidden(one) for one in found]
    return {"id": alarm.id, "use_case": alarm.use_case, "examples": shown}


def hidden(example: dict[str, Any]) -> dict[str, Any]:
    return {**example, **{side: redact(example[side])[0] for side in ("request", "reply") if side in example}}


def _why(reason: str) -> None:
    if not reason.strip():
        raise WrongCall(
            "people's texts in the clear are given out for a reason", hint="say why; the ledger keeps it apart"
        )


def _found(context: Context, holdings: Holdings, name: str, unit: str) -> dict[str, int]:
    with context.store.read() as tx:
        keys = int(tx.unit_keys.has(name, unit))
        cases = len(_proposed(tx, name, unit))
    return {"keys": keys, **holdings.find(name, unit), **({"cases": cases} if cases else {})}


def _proposed(tx: Transaction, name: str, unit: str) -> list[dict[str, Any]]:
    """Return the cases that were made of what this unit asked, and wait to be taken."""
    return [one.case for one in tx.proposals.of(name) if one.unit == unit]


def _use_cases(context: Context, actor: Actor, arguments: Unit) -> dict[str, str]:
    """Return the unit's digest by use case: each has one of its own, so that nobody can join them."""
    if bool(arguments.unit) == bool(arguments.digest):
        raise WrongCall("name the unit by `unit` or by `digest`", hint="--unit ID, as applications send it")
    with context.store.read() as tx:
        known = tx.use_cases.names()
    if arguments.use_case:
        with context.store.read() as tx:
            standing.standing(tx, arguments.use_case)
        known = [arguments.use_case]
    names = [name for name in known if actor.allows(Role.ADMIN, name)]
    if not names:
        raise Denied(
            f"{actor.id} may not act on people's data here", hint="it takes the role admin, on the use case or on all"
        )
    secret = context.store.secret("unit")
    return {name: arguments.digest or access.keyed(secret, name, arguments.unit) for name in names}


def held_in(context: Context) -> AbstractContextManager[Holdings]:
    if context.holdings is None:
        raise Refused("what is held of people cannot be reached from here", hint="use the command line or the server")
    return context.holdings()


def _told(context: Context, actor: Actor, action: str, arguments: Unit, found: dict[str, int]) -> None:
    with context.store.write() as tx:
        for name, rows in found.items():
            detail = {"rows": rows, "reason": words.apart(tx, arguments.reason, name)}
            ledger.append(tx, at=moment(context, tx), actor=actor.id, action=action, use_case=name, detail=detail)


def _compile_again(tx: Transaction, name: str) -> None:
    registered, status = tx.use_cases.get(name), tx.statuses.get(name)
    if registered is not None and status is not None:
        spec = standing.spec_of(registered)
        tx.serving.put(name, serving_row.compile_route(tx, status, registered, spec))
