"""Registering a folder: releases, files and the charter, all or nothing."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.access import Role
from pilotage.decision import moves
from pilotage.errors import Conflict, Refused, WrongCall
from pilotage.governance import standing
from pilotage.governance.context import moment, require
from pilotage.governance.ledger import canonical, fingerprint
from pilotage.governance.organisation import organisation_of, refuse_breaches, rules_at
from pilotage.spec import snapshot
from pilotage.spec.folder import FILE, Folder
from pilotage.spec.load import load
from pilotage.store.base.registered import Registered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.spec.release import Release
    from pilotage.spec.use_case import UseCase
    from pilotage.status import UseCaseStatus
    from pilotage.store.base.transaction import Transaction

HELD_BY_A_ROLLOUT = ("gates", "rollout", "approvals")
"""Tables beside the charter that a running rollout is judged by, so they stay as they are until it has ended."""


class Apply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`files` maps paths, relative to `usecase.toml`, to their bytes in base64."""

    files: dict[str, str]


class _New(msgspec.Struct, frozen=True):
    """A folder as it would be registered."""

    spec: UseCase
    releases: list[Release]
    registered: Registered


def apply(context: Context, actor: Actor, arguments: Apply) -> dict[str, Any]:
    """Register a folder, or what changed in it.

    Faults, rules that it breaks, and changes that a running rollout forbids, change nothing.
    """
    folder = Folder({path: _decoded(path, text) for path, text in arguments.files.items()})
    spec = load(folder)
    require(actor, (Role.OPERATE,), spec.name)
    contents = snapshot.files(spec, folder)
    releases = snapshot.releases(spec, folder, context.environment)
    with context.store.write() as tx:
        refuse_breaches(organisation_of(tx), spec, releases, folder, rules_at(tx))
        now = moment(context, tx)
        files = {path: tx.blobs.put(data) for path, data in contents.items()}
        registered = Registered(
            name=spec.name,
            spec=spec.model_dump(mode="json"),
            charter=spec.charter,
            releases={release.variant: release.reference for release in releases},
            files=files,
            author=actor.id,
            at=now,
        )
        new = _New(spec, releases, registered)
        before, status = tx.use_cases.get(spec.name), tx.statuses.get(spec.name)
        if before is None or status is None:
            return _first(tx, actor, new)
        if status.retired:
            raise Refused(f"{spec.name} is retired", hint="register the folder under another name to begin again")
        return _again(tx, actor, new, before, status)


def _first(tx: Transaction, actor: Actor, new: _New) -> dict[str, Any]:
    """What exists today serves at once: it is what users have anyway."""
    spec, registered = new.spec, new.registered
    live, (first, *rivals) = _named(registered, spec.status_quo), [*_candidates(registered.releases, spec), ""]
    status = moves.registered(spec, live, first, rivals=tuple(filter(None, rivals)), now=registered.at)
    _store(tx, actor, new)
    detail = _described(registered, status)
    entry = standing.write(tx, status, at=registered.at, actor=actor.id, action="register", detail=detail)
    return _result(registered, status, entry.seq, unchanged=False)


def _again(tx: Transaction, actor: Actor, new: _New, before: Registered, status: UseCaseStatus) -> dict[str, Any]:
    registered = new.registered
    same = (before.spec, before.releases, before.files) == (registered.spec, registered.releases, registered.files)
    if same:
        return _result(before, status, None, unchanged=True)
    changed = sorted(key for key in registered.spec if registered.spec[key] != before.spec.get(key))
    if moves.rolling_out(status) and (held := [table for table in HELD_BY_A_ROLLOUT if table in changed]):
        raise Conflict(
            f"{registered.name} has a rollout under way, and {', '.join(held)} would change under it",
            hint=f"let it finish, or `pilotage rollback {registered.name}` first; nothing was registered",
        )
    recharted = registered.charter != before.charter
    named = _candidates(registered.releases, new.spec)
    named_before = _candidates(before.releases, standing.spec_of(before))
    after = moves.reregistered(
        status,
        # Named after its entry too, so that a charter that comes back later is another one and revives nothing.
        charter=f"{registered.charter}-{tx.ledger.head()[0] + 1}" if recharted else status.charter,
        candidates=moves.on_their_way(status, named, named_before),
        status_quo=_named(registered, new.spec.status_quo),
        now=registered.at,
    )
    _store(tx, actor, new)
    detail = {**_described(registered, after), "changed": changed}
    if recharted:
        detail["charter_before"] = status.charter
    fresh = sorted(set(registered.releases.values()) - set(before.releases.values()))
    action = "charter" if recharted else "release" if fresh else "register"
    if fresh:
        detail["fresh"] = fresh
    entry = standing.write(tx, after, at=registered.at, actor=actor.id, action=action, detail=detail)
    return _result(registered, after, entry.seq, unchanged=False)


def _store(tx: Transaction, actor: Actor, new: _New) -> None:
    for release in new.releases:
        tx.releases.put(release, author=actor.id, at=new.registered.at)
    tx.use_cases.put(new.registered)


def _named(registered: Registered, variant: str | None) -> str:
    return registered.releases[variant] if variant else ""


def _candidates(releases: Mapping[str, str], spec: UseCase) -> tuple[str, ...]:
    """Return the releases that a file sends on their way, the first of them first."""
    return tuple(releases[variant] for variant in spec.candidates)


def _described(registered: Registered, status: UseCaseStatus) -> dict[str, Any]:
    return {
        "charter": status.charter,
        "registered": fingerprint(registered),
        "releases": registered.releases,
        "file": registered.files[FILE],
        "files": hashlib.sha256(canonical(registered.files)).hexdigest(),
        "live": status.live,
        "candidate": status.candidate,
        "rivals": list(status.rivals),
        "stage": str(status.stage),
    }


def _result(registered: Registered, status: UseCaseStatus, entry: int | None, *, unchanged: bool) -> dict[str, Any]:
    return {
        "use_case": registered.name,
        "charter": status.charter,
        "unchanged": unchanged,
        "releases": registered.releases,
        "live": status.live,
        "candidate": status.candidate,
        "rivals": list(status.rivals),
        "stage": str(status.stage),
        "ledger": entry,
    }


def _decoded(path: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise WrongCall(f"files[{path!r}] is not base64", hint="send each file's bytes in standard base64") from None
