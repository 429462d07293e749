"""Whether a system card that was given out still fits what serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.decision.wording import variant_of
from pilotage.governance.agreed import agreed
from pilotage.governance.organisation import rules_of
from pilotage.governance.report import stage_of, verdicts
from pilotage.spec.folder import FILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pilotage.governance.standing import Standing
    from pilotage.status import Card
    from pilotage.store.base.transaction import Transaction


def card_stands(tx: Transaction, stands: Standing, now: int) -> dict[str, Any] | None:
    """Return the newest card that was given out and, in words, everything by which it does not fit any more."""
    made = stands.status.card
    if made is None:
        return None
    return {
        "release": made.release,
        "digest": made.digest,
        "at": made.at,
        "actor": made.actor,
        "stale": stale(tx, stands, made, now),
    }


def stale(tx: Transaction, stands: Standing, made: Card, now: int) -> list[str]:
    """Return in words everything by which a card does not fit any more; nothing where it does."""
    status, found = stands.status, []
    if made.release not in (*status.candidates, status.live):
        return [f"it is about {made.release}, and {status.live or 'nothing'} serves"]
    if made.live != status.live:
        found.append(f"{status.live or 'nothing'} serves now, and {made.live or 'nothing'} did")
    stage = stage_of(status, made.release)
    if made.stage != stage:
        found.append(f"it was in {made.stage}, and is in {stage}")
    if made.charter != status.charter:
        found.append("the charter has changed since")
    if made.file != stands.registered.files[FILE]:
        found.append("the use case's file has changed since")
    if made.rules != rules_file(tx):
        found.append("the organisation's rules have changed since")
    variant = variant_of(made.release)
    known = verdicts(tx, stands, variant, now)
    for measure in sorted({*made.verdicts, *known}):
        before, after = made.verdicts.get(measure, ""), known.get(measure, "")
        if before != after:
            found.append(f"{measure} was {before or 'not measured'}, and is {after or 'not measured'} now")
    rules = rules_of(tx, stands.registered, stands.spec)
    given = tx.approvals.of(status.use_case, release=made.release)
    evidence = tx.evidence.of(status.use_case, release=made.release)
    if standing_approvals(agreed(stands, rules, given, evidence, now)) != made.agreed:
        found.append("who agreed is not what it was")
    return found


def standing_approvals(given: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the ids of the approvals that still count."""
    return tuple(sorted(one["id"] for one in given if not one["ended"]))


def rules_file(tx: Transaction) -> str:
    """Return the digest of the organisation's rules in force, or nothing."""
    policy = tx.policies.get()
    return policy.file if policy is not None else ""
