"""Who said yes to a release, or let a line of a gate pass, and whether that still stands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.decision.gate import next_stage
from pilotage.decision.measured import grounds
from pilotage.status import ROAD, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.decision.rules import Rules
    from pilotage.governance.standing import Standing
    from pilotage.records import Approval, Evidence
    from pilotage.status import UseCaseStatus


def agreed(
    stands: Standing, rules: Rules, approvals: Sequence[Approval], evidence: Sequence[Evidence], now: int
) -> list[dict[str, Any]]:
    """Return the approvals and waivers among those given, oldest first; `ended` says in words why one stands no more, empty where it does.

    One that was in force when its stage began has done its work: it does not end by its date any more.
    """
    status = stands.status
    withdrawn = {one.withdraws: one for one in approvals if one.withdraws}
    ahead = next_stage(status.stage)
    bound = grounds(stands.spec, status, ahead, evidence, rules=rules, now=now)
    found = []
    for one in approvals:
        if one.withdraws:
            continue
        ended = _ended(status, one, withdrawn.get(one.id), now)
        asked = not one.waives and one.stage == ahead and one.release in bound
        if not ended and asked and bound[one.release] != one.evidence:
            ended = "it was given on other evidence than there is now"
        found.append({**msgspec.structs.asdict(one), "kind": "waive" if one.waives else "approve", "ended": ended})
    return found


def _ended(status: UseCaseStatus, one: Approval, taken: Approval | None, now: int) -> str:
    if taken is not None:
        return f"withdrawn by {taken.person or taken.actor} on {_day(taken.at)}"
    if one.charter != status.charter:
        return "it was given for another charter"
    if one.expires and one.expires <= now and not _entered(status, one):
        return f"it ended on {_day(one.expires)}"
    return ""


def _entered(status: UseCaseStatus, one: Approval) -> bool:
    """Return whether the stage that it lets a release into has begun for that release."""
    reached = Stage.PRODUCTION if one.release == status.live else status.stage
    return one.stage not in ROAD or ROAD.index(Stage(one.stage)) <= ROAD.index(reached)


def _day(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1e6, UTC):%Y-%m-%d}"
