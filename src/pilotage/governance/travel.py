"""Evidence that travels: signed where it was made, believed where the organisation's rules trust that place."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pilotage.decision.measured import lasts
from pilotage.errors import NotFound, Refused, Tampered, WrongCall
from pilotage.governance import ledger, standing
from pilotage.governance.bundle import LONGEST, Measured, Statement, Subject, seal, unseal
from pilotage.governance.checkpoint import verifier
from pilotage.governance.context import Text, moment
from pilotage.governance.organisation import organisation_of, rules_of
from pilotage.spec.verifier_key import VerifierKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.governance.standing import Standing
    from pilotage.records import Evidence
    from pilotage.spec.trust import EvidenceSource
    from pilotage.store.base.transaction import Transaction

SIGNER = "pilotage/evidence"
_SECRET = "evidence"  # noqa: S105 (its name)
SKEW = 300_000_000
"""Microseconds by which the clock of another place may be ahead of this one's."""


class EvidenceKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class EvidenceExport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one release; without one, of the candidate, or of what serves."""

    use_case: Text
    release: Text = ""


class EvidenceImport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`bundle` is the envelope, as it was written."""

    use_case: Text
    bundle: Annotated[str, msgspec.Meta(max_length=LONGEST)]


def evidence_key(context: Context, _: Actor, __: EvidenceKey) -> dict[str, Any]:
    """Return the public key by which others may trust this workspace's evidence."""
    return {"key": str(verifier(context.store.secret(_SECRET), SIGNER))}


def evidence_export(context: Context, _: Actor, arguments: EvidenceExport) -> dict[str, Any]:
    """Return, signed, what was measured here of a release under the present charter. What came from elsewhere stays out."""
    with context.store.read() as tx:
        stands = standing.standing(tx, arguments.use_case)
        status = stands.status
        name = arguments.release or status.candidate or status.live
        subject = _subject(tx, name)
        facts = [fact for fact in tx.evidence.of(arguments.use_case, release=name) if fact.charter == status.charter]
    mine = tuple(fact for fact in facts if not fact.origin)
    if not mine:
        raise NotFound(
            f"nothing was measured here of {name} under the present charter",
            hint=f"`pilotage evaluate {arguments.use_case}` measures the candidate",
        )
    # As of what it tells of, not of now: the same facts are the same bundle.
    at = max(fact.at for fact in mine)
    told = Measured(use_case=arguments.use_case, charter=status.charter, at=at, facts=mine)
    seed = context.store.secret(_SECRET)
    return {
        "bundle": seal(Statement(subject=(subject,), predicate=told), seed, SIGNER),
        "key": str(verifier(seed, SIGNER)),
        "release": name,
        "facts": len(mine),
        "left_out": len(facts) - len(mine),
    }


def evidence_import(context: Context, actor: Actor, arguments: EvidenceImport) -> dict[str, Any]:
    """Put on record what a trusted place has measured of a release that is the same here: all of it or nothing."""
    with context.store.write() as tx:
        now = moment(context, tx)
        stands = standing.standing(tx, arguments.use_case, serving=True)
        organisation = organisation_of(tx)
        sources = organisation.evidence_from if organisation is not None else {}
        trusted = {name: VerifierKey.read(source.key) for name, source in sources.items()}
        origin, statement = unseal(arguments.bundle, trusted)
        told = statement.predicate
        _must_fit(tx, stands, statement)
        since = now - lasts(stands.spec, rules_of(tx, stands.registered, stands.spec))
        known = {fact.id: fact for fact in tx.evidence.of(arguments.use_case)}
        added = 0
        for signed in told.facts:
            _must_count(signed, sources[origin], origin, statement, since=since, now=now)
            fact = msgspec.structs.replace(signed, origin=origin)
            if fact.id in known:
                _must_be_same(known[fact.id], fact)
                continue
            known[fact.id] = fact
            tx.evidence.put(fact)
            detail = msgspec.to_builtins(fact)
            ledger.append(tx, at=now, actor=actor.id, action="evidence", use_case=fact.use_case, detail=detail)
            added += 1
    return {
        "use_case": arguments.use_case,
        "from": origin,
        "added": added,
        "there_already": len(told.facts) - added,
        "releases": sorted({fact.release for fact in told.facts}),
    }


def _subject(tx: Transaction, name: str) -> Subject:
    release = tx.releases.get(name) if name else None
    if release is None:
        raise NotFound(f"there is no release {name or 'of this use case yet'}", hint="`pilotage status` names them")
    return Subject(name, {"sha256": hashlib.sha256(msgspec.json.encode(release, order="deterministic")).hexdigest()})


def _must_fit(tx: Transaction, stands: Standing, statement: Statement) -> None:
    """Raise Refused where the statement is not about what is registered here."""
    told, status = statement.predicate, stands.status
    apply = f"apply the same folder here, `pilotage apply`, or measure {status.use_case} again as it is now"
    if told.use_case != status.use_case:
        raise Refused(f"the bundle is about {told.use_case}, not {status.use_case}", hint="name the right use case")
    if told.charter != status.charter:
        raise Refused(f"it was measured for charter {told.charter}, and {status.charter} is in force here", hint=apply)
    subjects: Mapping[str, Mapping[str, str]] = {one.name: one.digest for one in statement.subject}
    for name, digest in subjects.items():
        if tx.releases.get(name) is None:
            raise Refused(f"{name} is not registered here", hint=apply)
        if digest != _subject(tx, name).digest:
            raise Refused(f"{name} has another content here than where it was measured", hint=apply)
    for fact in told.facts:
        if fact.release not in subjects:
            raise Refused(f"it tells of {fact.release}, which is not among its subjects", hint="export it again")


def _must_count(
    fact: Evidence, source: EvidenceSource, origin: str, statement: Statement, *, since: int, now: int
) -> None:
    told = statement.predicate
    if (fact.use_case, fact.charter) != (told.use_case, told.charter) or fact.origin:
        raise Refused(
            f"{fact.measure} was not measured by {origin} for this use case and charter", hint="export it again"
        )
    if not all(map(math.isfinite, (fact.value, fact.low, fact.high))) or fact.low > fact.high or fact.n < 0:
        raise WrongCall(f"{fact.measure} has no proper interval", hint="what could not be measured is not evidence")
    if source.measures and fact.measure not in source.measures:
        raise Refused(
            f"{origin} may not vouch for {fact.measure}",
            hint=f"the rules let it vouch for: {', '.join(source.measures)}",
        )
    if fact.at > now + SKEW:
        raise Refused(f"{fact.measure} was measured in the future", hint="set the clocks of both places right")
    if fact.at < since:
        raise Refused(f"{fact.measure} is too old to count", hint="measure it again, and export that")


def _must_be_same(known: Evidence, told: Evidence) -> None:
    """Raise Tampered where another fact is on record under this id. What was measured here may come back."""
    if msgspec.structs.replace(known, origin="") != msgspec.structs.replace(told, origin=""):
        raise Tampered(
            f"{told.id} is on record here and says something else", hint="two places must not share a workspace"
        )
