"""The organisation's rules: set, shown, and at once in force for everything that is registered."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pilotage.errors import NotFound, WrongCall
from pilotage.governance import ledger, serving_row, standing
from pilotage.governance.context import moment
from pilotage.governance.organisation import rules_of
from pilotage.spec.organisation_file import read
from pilotage.store.base.registered import Policy

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.store.base.transaction import Transaction


class PolicyApply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`file` is `organisation.toml` in base64."""

    file: Annotated[str, msgspec.Meta(max_length=2 << 20)]


class PolicyShow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


def policy_apply(context: Context, actor: Actor, arguments: PolicyApply) -> dict[str, Any]:
    """Put the rules of a file in force. Nothing that serves changes by it, but what may be sent where does, at once.

    Return every rule that a registered use case breaks: its gates are closed until it keeps them.
    """
    try:
        data = base64.b64decode(arguments.file, validate=True)
    except binascii.Error:
        raise WrongCall("file is not base64", hint="send the file's bytes in standard base64") from None
    organisation = read(data).organisation
    with context.store.write() as tx:
        now, before = moment(context, tx), tx.policies.get()
        policy = Policy(spec=organisation.model_dump(mode="json"), file=tx.blobs.put(data), author=actor.id, at=now)
        unchanged = before is not None and (before.spec, before.file) == (policy.spec, policy.file)
        entry = None
        if not unchanged:
            tx.policies.put(policy)
            changed = sorted(key for key in policy.spec if before is None or policy.spec[key] != before.spec.get(key))
            detail = {"file": policy.file, "policy": ledger.fingerprint(policy), "changed": changed}
            entry = ledger.append(tx, at=now, actor=actor.id, action="policy", detail=detail).seq
            _compile_again(tx)
        return {
            "organisation": organisation.name,
            "unchanged": unchanged,
            "ledger": entry,
            "breaches": {name: broken for name in tx.use_cases.names() if (broken := _broken(tx, name))},
        }


def policy_show(context: Context, _: Actor, __: PolicyShow) -> dict[str, Any]:
    """Return the rules in force: the file as it was applied, by whom and when."""
    with context.store.read() as tx:
        policy = tx.policies.get()
        data = tx.blobs.get(policy.file) if policy is not None else None
    if policy is None or data is None:
        raise NotFound("no rules of an organisation are in force here", hint="`pilotage policy apply FILE` sets them")
    return {
        "organisation": policy.spec["name"],
        "file": base64.b64encode(data).decode(),
        "digest": policy.file,
        "author": policy.author,
        "at": policy.at,
    }


def _compile_again(tx: Transaction) -> None:
    for name in tx.use_cases.names():
        registered, status = tx.use_cases.get(name), tx.statuses.get(name)
        if registered is not None and status is not None:
            route = serving_row.compile_route(tx, status, registered, standing.spec_of(registered))
            tx.serving.put(name, route)


def _broken(tx: Transaction, name: str) -> list[str]:
    registered, status = tx.use_cases.get(name), tx.statuses.get(name)
    if registered is None or status is None or status.retired:
        return []
    return list(rules_of(tx, registered, standing.spec_of(registered)).breaches)
