"""Moving on and moving back: promote, pause, resume, roll back, retire, and how everything stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.clock import new_id
from pilotage.decision import moves
from pilotage.decision.gate import gate, next_stage
from pilotage.decision.transition import follow
from pilotage.errors import GateClosed, Refused
from pilotage.governance import standing, words
from pilotage.governance.context import Text, moment
from pilotage.governance.organisation import rules_of
from pilotage.governance.progress import progress
from pilotage.status import Action, Decision, Stage

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.decision.criterion import Gate
    from pilotage.governance.context import Context
    from pilotage.governance.standing import Standing
    from pilotage.records import LedgerEntry
    from pilotage.status import UseCaseStatus
    from pilotage.store.base.transaction import Transaction


class Promote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    use_case: Text
    dry_run: bool = False
    reason: Text = ""


class Because(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    use_case: Text
    reason: Text = ""


def gate_of(tx: Transaction, stands: Standing, now: int) -> Gate | None:
    """Return the gate that the candidates stand before, or None without one."""
    status = stands.status
    if not status.candidate:
        return None
    shown = progress(tx, status.rollout) if status.rollout is not None else None
    return gate(
        stands.spec,
        status,
        next_stage(status.stage),
        evidence=[fact for fact in tx.evidence.of(status.use_case) if fact.release in status.candidates],
        approvals=[given for given in tx.approvals.of(status.use_case) if given.release in status.candidates],
        now=now,
        readings=shown.readings if shown else None,
        parity=shown.parity if shown else None,
        rules=rules_of(tx, stands.registered, stands.spec),
    )


def promote(context: Context, actor: Actor, arguments: Promote) -> dict[str, Any]:
    """Move what is on its way one stage on if the gate is open. `dry_run` shows the gate and moves nothing.

    Into production goes one candidate alone, the best for which the gate is open; its rivals then end as not chosen.
    """
    with context.store.read() if arguments.dry_run else context.store.write() as tx:
        now = moment(context, tx)
        stands = standing.standing(tx, arguments.use_case, serving=True)
        status, spec = stands.status, stands.spec
        door = gate_of(tx, stands, now)
        if door is None:
            raise Refused(
                f"{status.use_case} has no candidate to promote",
                hint="name one in usecase.toml and `pilotage apply` the folder; a release that was ended needs a change",
            )
        result = {
            "use_case": status.use_case,
            "from": str(status.stage),
            "to": str(door.stage),
            "gate": door.as_json(),
            "done": False,
        }
        if arguments.dry_run:
            return result
        if not door.open:
            hint = " ".join(dict.fromkeys(criterion.opens_with for criterion in door.closed_by))
            raise GateClosed(door.says, gate=door.as_json(), hint=hint)
        if door.stage is Stage.PRODUCTION:
            reason = (
                words.apart(tx, arguments.reason, status.use_case)
                or "every criterion of the gate into production is met"
            )
            chosen = {"release": door.release}
            decision = Decision(action=Action.PROMOTE, reason=reason, at=now, actor=actor.id, detail=chosen)
            after = follow(status, decision)
        else:
            after = moves.forward(spec, status, rollout=new_id(context.clock), now=now)
        detail: dict[str, Any] = {
            "from": str(status.stage),
            "to": str(door.stage),
            "release": door.release or status.candidate,
            "rivals": list(status.rivals),
            "charter": status.charter,
            "reason": words.apart(tx, arguments.reason, status.use_case),
            "gate": door.as_json(),
        }
        if after.rollout is not None and after.stage is Stage.CANARY:
            detail["rollout"] = after.rollout.id
            detail["shares"] = list(after.rollout.shares)
        standing.write(tx, after, at=now, actor=actor.id, action="promote", detail=detail)
        return {**result, "done": True}


def pause(context: Context, actor: Actor, arguments: Because) -> dict[str, Any]:
    """Keep the split as it is: nothing advances until `resume`. Harm still rolls back."""
    with context.store.write() as tx:
        return _follow(context, tx, actor, arguments, Action.PAUSE)


def resume(context: Context, actor: Actor, arguments: Because) -> dict[str, Any]:
    """Let the rollout go on. A split that was broken until now does not pause it again; one that goes on being so does."""
    with context.store.write() as tx:
        return _follow(context, tx, actor, arguments, Action.RESUME)


def rollback(context: Context, actor: Actor, arguments: Because) -> dict[str, Any]:
    """End a rollout with everybody on its baseline; without one, serve the release that was live before."""
    with context.store.write() as tx:
        now = moment(context, tx)
        status = standing.standing(tx, arguments.use_case, serving=True).status
        if moves.rolling_out(status):
            return _follow(context, tx, actor, arguments, Action.ROLL_BACK)
        reason = words.apart(tx, arguments.reason, status.use_case) or f"roll back by {actor.id}"
        after = moves.live_rolled_back(status, reason=reason, actor=actor.id, now=now)
        detail = {"release": status.live, "live": after.live, "reason": reason}
        entry = standing.write(tx, after, at=now, actor=actor.id, action=Action.ROLL_BACK.value, detail=detail)
        return _stands(after, entry)


def retire(context: Context, actor: Actor, arguments: Because) -> dict[str, Any]:
    """Stop serving a use case for good; what happened stays on record."""
    with context.store.write() as tx:
        now = moment(context, tx)
        status = standing.standing(tx, arguments.use_case).status
        reason = words.apart(tx, arguments.reason, status.use_case) or f"retire by {actor.id}"
        after = moves.retired(status, reason=reason, now=now)
        detail = {
            "release": status.live,
            "candidate": status.candidate,
            "rivals": list(status.rivals),
            "reason": reason,
        }
        return _stands(after, standing.write(tx, after, at=now, actor=actor.id, action="retire", detail=detail))


def _follow(context: Context, tx: Transaction, actor: Actor, arguments: Because, action: Action) -> dict[str, Any]:
    """Do by hand what the controller could decide."""
    now = moment(context, tx)
    status = standing.standing(tx, arguments.use_case, serving=True).status
    reason = words.apart(tx, arguments.reason, status.use_case) or f"{action.value.replace('_', ' ')} by {actor.id}"
    shown = progress(tx, status.rollout) if action is Action.RESUME and status.rollout is not None else None
    splits = {"splits": shown.splits} if shown else {}
    after = follow(status, Decision(action=action, reason=reason, at=now, actor=actor.id, detail=splits))
    rollout = status.rollout.id if status.rollout is not None and moves.rolling_out(status) else ""
    detail = {"release": status.candidate, "rivals": list(status.rivals), "reason": reason, "rollout": rollout}
    return _stands(after, standing.write(tx, after, at=now, actor=actor.id, action=action.value, detail=detail))


def _stands(status: UseCaseStatus, entry: LedgerEntry) -> dict[str, Any]:
    share = status.rollout.share if status.rollout is not None and moves.rolling_out(status) else 0
    return {
        "use_case": status.use_case,
        "live": status.live,
        "candidate": status.candidate,
        "rivals": list(status.rivals),
        "stage": str(status.stage),
        "paused": status.paused,
        "share": share,
        "ledger": entry.seq,
    }
