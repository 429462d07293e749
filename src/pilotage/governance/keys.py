"""Keys: the secret is shown once, only its digest is stored, and the ledger tells of every one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pilotage import access
from pilotage.access import Key, Role
from pilotage.clock import DAY
from pilotage.errors import NotFound, Refused, WrongCall
from pilotage.governance import budgets, ledger
from pilotage.governance.context import Text, moment, require
from pilotage.spec.price import MILLION

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.store.base.transaction import Transaction

UseCaseName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


Money = Annotated[float, msgspec.Meta(ge=1e-6, le=1e9)]


class KeysCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`use_cases` empty: all of them. `expires` in microseconds since 1970, 0 for never.

    `person` is who answers for what is done with it: whoever makes it, unless given.
    The limits hold over all use cases; money is in units of `currency`.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    roles: Annotated[tuple[Role, ...], msgspec.Meta(min_length=1)]
    use_cases: tuple[UseCaseName, ...] = ()
    expires: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 0
    person: Annotated[str, msgspec.Meta(pattern=r"^([a-z][a-z0-9_.-]{0,62})?$")] = ""
    requests_a_minute: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None = None
    tokens_a_minute: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000_000)] | None = None
    a_day: Money | None = None
    a_month: Money | None = None
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")] = "EUR"


class KeysList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`ended`: those as well that were revoked or have expired."""

    ended: bool = False


class KeysRotate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`overlap` is how long the old key goes on being good, in microseconds."""

    id: Text
    overlap: Annotated[int, msgspec.Meta(ge=0, le=366 * DAY)] = DAY


class KeysRevoke(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Text


def keys_create(context: Context, actor: Actor, arguments: KeysCreate) -> dict[str, Any]:
    """Make a key and return its secret, which nobody can ever read again."""
    now = context.clock.now()
    if arguments.expires and arguments.expires <= now:
        raise WrongCall("expires lies in the past", hint="microseconds since 1970, or 0 for a key that never expires")
    key_id, secret = access.new_secret()
    key = Key(
        id=key_id,
        name=arguments.name,
        digest=access.digest(secret),
        roles=tuple(dict.fromkeys(arguments.roles)),
        created=now,
        use_cases=tuple(dict.fromkeys(arguments.use_cases)),
        expires=arguments.expires,
        person=arguments.person or actor.who,
        makers=_makers(actor, arguments.person),
        requests_a_minute=arguments.requests_a_minute or 0,
        tokens_a_minute=arguments.tokens_a_minute or 0,
        a_day=round((arguments.a_day or 0) * MILLION),
        a_month=round((arguments.a_month or 0) * MILLION),
        currency=arguments.currency,
    )
    with context.store.write() as tx:
        tx.keys.put(key)
        detail = shown(key)
        vouched = {**detail, "row": ledger.fingerprint(key)}
        entry = ledger.append(tx, at=now, actor=actor.id, action="key_create", detail=vouched)
    return {**detail, "secret": secret, "ledger": entry.seq}


def _makers(actor: Actor, person: str) -> tuple[str, ...]:
    """Return through whose hands a new key comes: one's own second key through the same as the first."""
    if person in ("", actor.who):
        return actor.makers
    return tuple(dict.fromkeys((*actor.makers, actor.who)))


def keys_list(context: Context, _: Actor, arguments: KeysList) -> dict[str, Any]:
    now = context.clock.now()
    with context.store.read() as tx:
        return {
            "keys": [
                {**shown(key), "budget": budgets.stand(tx, budgets.account_of_key(key.id), budgets.of_key(key), now)}
                for key in tx.keys.all()
                if arguments.ended or access.lives(key, now)
            ]
        }


def keys_rotate(context: Context, actor: Actor, arguments: KeysRotate) -> dict[str, Any]:
    """Make a key's successor with the same powers, and let the old one end after the overlap; return the new secret.

    Whoever holds a key may rotate it; anybody else's takes the role admin.
    """
    own = actor.id == f"key:{arguments.id}"
    if not own:
        require(actor, (Role.ADMIN,))
    with context.store.write() as tx:
        now, old = moment(context, tx), tx.keys.get(arguments.id)
        if old is None:
            raise NotFound(f"there is no key {arguments.id!r}", hint="`pilotage keys list` shows ids")
        if not access.lives(old, now):
            raise Refused(f"key {old.id} ({old.name}) is good no more", hint="`pilotage keys create` makes a new one")
        if old.successor:
            # Else whoever finds an old secret within its overlap has a key of their own, for as long as they like.
            says = f"key {old.id} ({old.name}) was rotated already"
            raise Refused(
                says, hint=f"rotate {old.successor}, which took its place; revoke it if somebody else did that"
            )
        key_id, secret = access.new_secret()
        new = msgspec.structs.replace(
            old,
            id=key_id,
            digest=access.digest(secret),
            created=now,
            expires=now + old.expires - old.created if old.expires else 0,
            # An administrator who hands it on has had it in hand.
            makers=old.makers if own else tuple(dict.fromkeys((*old.makers, *_makers(actor, old.person)))),
        )
        until = now + arguments.overlap
        old = msgspec.structs.replace(old, expires=min(old.expires or until, until), successor=new.id)
        tx.keys.put(old)
        tx.keys.put(new)
        vouched = {**shown(old), "row": ledger.fingerprint(old), "successor": new.id}
        ledger.append(tx, at=now, actor=actor.id, action="key_rotate", detail=vouched)
        detail = {**shown(new), "row": ledger.fingerprint(new), "predecessor": old.id}
        entry = ledger.append(tx, at=now, actor=actor.id, action="key_create", detail=detail)
    return {**shown(new), "secret": secret, "ledger": entry.seq, "old": old.id, "old_expires": old.expires}


def keys_revoke(context: Context, actor: Actor, arguments: KeysRevoke) -> dict[str, Any]:
    """Make a key useless at once; it stays on record."""
    now = context.clock.now()
    with context.store.write() as tx:
        key = tx.keys.get(arguments.id)
        if key is None:
            raise NotFound(f"there is no key {arguments.id!r}", hint="`pilotage keys list` shows ids")
        if key.revoked:
            raise Refused(f"key {key.id} ({key.name}) is revoked already")
        key = msgspec.structs.replace(key, revoked=now)
        tx.keys.put(key)
        detail = shown(key)
        vouched = {**detail, "row": ledger.fingerprint(key)}
        entry = ledger.append(tx, at=now, actor=actor.id, action="key_revoke", detail=vouched)
    return {**detail, "ledger": entry.seq}


def end_expired(context: Context) -> int:
    """Revoke what has expired, so that a clock that is set back brings none of it to life again; return how many."""
    with context.store.read() as tx:
        now = moment(context, tx)
        if not _expired(tx, now):
            return 0
    with context.store.write() as tx:
        ended = _expired(tx, now)
        for key in ended:
            gone = msgspec.structs.replace(key, revoked=now)
            tx.keys.put(gone)
            vouched = {**shown(gone), "row": ledger.fingerprint(gone), "reason": "it had expired"}
            ledger.append(tx, at=now, actor="controller", action="key_revoke", detail=vouched)
    return len(ended)


def _expired(tx: Transaction, now: int) -> list[Key]:
    return [key for key in tx.keys.all() if key.expires and now >= key.expires and not key.revoked]


def shown(key: Key) -> dict[str, Any]:
    """Return everything but the digest."""
    return {
        "id": key.id,
        "name": key.name,
        "roles": [role.value for role in key.roles],
        "use_cases": list(key.use_cases),
        "created": key.created,
        "expires": key.expires,
        "revoked": key.revoked,
        "person": key.person,
        "makers": list(key.makers),
        "requests_a_minute": key.requests_a_minute,
        "tokens_a_minute": key.tokens_a_minute,
        "a_day": key.a_day / MILLION,
        "a_month": key.a_month / MILLION,
        "currency": key.currency,
    }
