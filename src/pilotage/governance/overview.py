"""How every use case stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.access import Role
from pilotage.decision.approval import awaits_approval
from pilotage.decision.transition import UNDER_WAY
from pilotage.decision.wording import currency_of
from pilotage.governance import budgets, standing
from pilotage.governance.context import Text, moment, require
from pilotage.governance.progress import progress, readings_of
from pilotage.governance.promotion import gate_of
from pilotage.governance.retirement import retirements_shown
from pilotage.governance.staleness import card_stands
from pilotage.governance.watching import money_of, watch_of

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.governance.standing import Standing
    from pilotage.store.base.transaction import Transaction

READERS = (Role.OPERATE, Role.APPROVE)


class Status(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Empty: every use case that the actor may see."""

    use_case: Text = ""


class Names(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    use_case: Text = ""


def names(context: Context, actor: Actor, arguments: Names) -> dict[str, Any]:
    """Return the use cases that the actor may see and that are not retired, by name; of one alone, if they may, its currency too."""
    with context.store.read() as tx:
        if arguments.use_case:
            require(actor, READERS, arguments.use_case)
            spec = standing.standing(tx, arguments.use_case).spec
            return {"use_cases": [{"use_case": arguments.use_case, "currency": currency_of(spec)}]}
        known = (status.use_case for status in tx.statuses.all() if not status.retired)
        seen = sorted(name for name in known if any(actor.allows(role, name) for role in READERS))
        return {"use_cases": [{"use_case": name} for name in seen]}


def status(context: Context, actor: Actor, arguments: Status) -> dict[str, Any]:
    with context.store.read() as tx:
        now = moment(context, tx)
        if arguments.use_case:
            require(actor, READERS, arguments.use_case)
            names = [arguments.use_case]
        else:
            names = [name for name in tx.use_cases.names() if any(actor.allows(role, name) for role in READERS)]
        return {"use_cases": [_shown(tx, standing.standing(tx, name), now) for name in names]}


def _shown(tx: Transaction, stands: Standing, now: int) -> dict[str, Any]:
    status, spec = stands.status, stands.spec
    door = gate_of(tx, stands, now)
    return {
        "use_case": status.use_case,
        "owner": spec.owner,
        "objective": spec.objective,
        "tier": spec.tier,
        "unit": spec.unit,
        "charter": status.charter,
        "stage": str(status.stage),
        "stage_since": status.stage_since,
        "live": status.live,
        "live_since": status.live_since,
        "candidate": status.candidate,
        "rivals": list(status.rivals),
        "previous": status.previous,
        "paused": status.paused,
        "retired": status.retired,
        "rollout": _rollout(tx, stands, now),
        "gate": door.as_json() if door else None,
        "currency": spec.budget.currency if spec.budget else "EUR",
        "budget": budgets.stand(tx, status.use_case, budgets.of_use_case(spec), now),
        "alarms": [msgspec.structs.asdict(alarm) for alarm in tx.alarms.of(status.use_case, open_only=True)],
        "money": money_of(tx, status.use_case),
        "watch": watch_of(tx, status, spec),
        "retirements": retirements_shown(tx, stands, now),
        "card": card_stands(tx, stands, now),
        "ended": [msgspec.structs.asdict(ended) for ended in status.ended],
        "version": status.version,
    }


def _rollout(tx: Transaction, stands: Standing, now: int) -> dict[str, Any] | None:
    """Return the rollout with what was last shown: as kept by the controller while it runs, else as it ended.

    `readings` are those of `lead`, the first candidate that is still in it (or was promoted), by metric; `shown` holds all of them and what the controller
    waits for.
    """
    rollout = stands.status.rollout
    if rollout is None:
        return None
    last, kept = rollout.last, progress(tx, rollout) if rollout.phase in UNDER_WAY else None
    lead = next(iter(rollout.remaining), rollout.candidate)
    readings = readings_of(tx, rollout)
    return {
        "id": rollout.id,
        "candidate": rollout.candidate,
        "rivals": list(rollout.rivals),
        "lead": lead,
        "out": rollout.out,
        "baseline": rollout.baseline,
        "phase": str(rollout.phase),
        "awaits_yes": awaits_approval(stands.spec, stands.status, tx.approvals.of(stands.status.use_case), now),
        "step": rollout.step,
        "share": rollout.share,
        "shares": list(rollout.shares),
        "steps": [msgspec.to_builtins(step.model_dump(mode="json")) for step in stands.spec.rollout.steps],
        "started": rollout.started,
        "step_since": rollout.step_since,
        "generation": rollout.generation,
        "readings": {name: msgspec.structs.asdict(reading) for name, reading in readings.items()},
        "shown": None if kept is None else kept.as_json(),
        "last": None
        if last is None
        else {"action": str(last.action), "reason": last.reason, "at": last.at, "actor": last.actor},
    }
