"""People's yes, by four eyes: never the author's own, nobody's twice, and no longer than what it was given on holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pilotage.access import Role
from pilotage.clock import new_id
from pilotage.decision.approval import approvals_wanted, approvers, awaits_approval, in_force, step_stage
from pilotage.decision.charter import checks
from pilotage.decision.gate import next_stage
from pilotage.decision.measured import grounds, measured_criteria
from pilotage.decision.rules import Rules
from pilotage.decision.verdict import Verdict
from pilotage.decision.wording import variant_of
from pilotage.errors import Conflict, Denied, NotFound, Refused
from pilotage.governance import ledger, standing, words
from pilotage.governance.context import Text, moment
from pilotage.governance.organisation import rules_of
from pilotage.governance.people import same_hand
from pilotage.governance.promotion import gate_of
from pilotage.records import Approval
from pilotage.status import ROAD, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.governance.standing import Standing
    from pilotage.store.base.transaction import Transaction

Span = Annotated[int, msgspec.Meta(ge=0, le=(1 << 62))]


class Approve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`stage` empty: what the candidate waits for now, a step of its rollout or its next stage.

    `lasts` is how long the yes counts, in microseconds; 0, and anything longer, is as long as the organisation lets it.
    """

    use_case: Text
    stage: Text = ""
    reason: Text = ""
    lasts: Span = 0


class Withdraw(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that the actor approved or waived for what is on its way; of one stage where it is named."""

    use_case: Text
    stage: Text = ""
    reason: Text = ""


class Waive(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`criterion` is a line of the gate that the candidates stand before."""

    use_case: Text
    criterion: Text
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
    lasts: Span = 0


def approve(context: Context, actor: Actor, arguments: Approve) -> dict[str, Any]:
    """Say yes to what is on its way taking one step under one charter, on the evidence there is.

    Another release, charter or measurement needs another yes. Of several candidates each gets an approval and an entry of
    its own, so it holds for those that are left when one drops out, and for none that comes in later.
    """
    with context.store.write() as tx:
        now = moment(context, tx)
        stands, given, rules = _on_its_way(tx, arguments.use_case)
        status = stands.status
        stage = _stage(stands, given, arguments.stage, now)
        _four_eyes(tx, actor, stands)
        bound = _grounds(tx, stands, stage, rules, now)
        if actor.who in approvers(status, stage, given, now=now, grounds=bound):
            raise Denied(f"{actor.who} has approved this already", hint="another person must say yes")
        seq, reason = 0, words.apart(tx, arguments.reason, status.use_case)
        for release in status.candidates:
            approval = Approval(
                id=new_id(context.clock),
                use_case=status.use_case,
                release=release,
                charter=status.charter,
                stage=stage,
                actor=actor.id,
                role=Role.APPROVE.value,
                at=now,
                reason=reason,
                person=actor.who,
                makers=actor.makers,
                evidence=bound.get(release, ""),
                expires=_expires(rules, arguments.lasts, now),
            )
            given.append(approval)
            seq = _record(tx, approval, "approve")
        wanted = approvals_wanted(stands.spec, stage, rules) if stage in ROAD else 1
        return {
            "use_case": status.use_case,
            "release": status.candidate,
            "rivals": list(status.rivals),
            "stage": stage,
            "given": len(approvers(status, stage, given, now=now, grounds=bound)),
            "wanted": wanted,
            "expires": given[-1].expires,
            "ledger": seq,
        }


def withdraw(context: Context, actor: Actor, arguments: Withdraw) -> dict[str, Any]:
    """Take back one's own yes, or as an administrator anybody's: from now on it counts no more."""
    with context.store.write() as tx:
        now = moment(context, tx)
        stands, given, _ = _on_its_way(tx, arguments.use_case)
        mine = [
            approval
            for approval in in_force(given, now)
            if arguments.stage in ("", approval.stage)
            and (Role.ADMIN in actor.roles or (approval.person or approval.actor) == actor.who)
        ]
        if not mine:
            raise NotFound(
                f"{actor.who} has approved nothing of {arguments.use_case} that still counts",
                hint=f"`pilotage ledger show --use-case {arguments.use_case}` lists approvals and withdrawals",
            )
        seq, reason = 0, words.apart(tx, arguments.reason, arguments.use_case)
        for approval in mine:
            taken = msgspec.structs.replace(
                approval,
                id=new_id(context.clock),
                actor=actor.id,
                person=actor.who,
                makers=actor.makers,
                at=now,
                reason=reason,
                expires=0,
                withdraws=approval.id,
            )
            seq = _record(tx, taken, "withdraw")
        return {"use_case": stands.status.use_case, "withdrawn": [approval.id for approval in mine], "ledger": seq}


def waive(context: Context, actor: Actor, arguments: Waive) -> dict[str, Any]:
    """Let one line of the gate pass as it is, for a while and with a reason. The author of a release may not."""
    with context.store.write() as tx:
        now = moment(context, tx)
        stands, _, rules = _on_its_way(tx, arguments.use_case)
        status = stands.status
        _four_eyes(tx, actor, stands)
        door = gate_of(tx, stands, now)
        found = list(_waivable(stands, rules, door.criteria if door else (), arguments.criterion))
        if door is None or not found:
            lines = ", ".join(line.name for line in door.closed_by) if door else ""
            raise Conflict(
                f"{arguments.criterion} is no line of the gate that can be waived now",
                hint=f"closed by: {lines or 'nothing'}; what is about harm to users, people's yes or rules never can",
            )
        seq, reason = 0, words.apart(tx, arguments.reason, status.use_case)
        for release, evidence in found:
            approval = Approval(
                id=new_id(context.clock),
                use_case=status.use_case,
                release=release,
                charter=status.charter,
                stage=door.stage.value,
                actor=actor.id,
                role=Role.APPROVE.value,
                at=now,
                reason=reason,
                person=actor.who,
                makers=actor.makers,
                evidence=evidence,
                expires=_expires(rules, arguments.lasts, now),
                waives=arguments.criterion,
            )
            seq = _record(tx, approval, "waive")
        return {
            "use_case": status.use_case,
            "criterion": arguments.criterion,
            "stage": door.stage.value,
            "expires": _expires(rules, arguments.lasts, now),
            "ledger": seq,
        }


def _on_its_way(tx: Transaction, name: str) -> tuple[Standing, list[Approval], Rules]:
    stands = standing.standing(tx, name, serving=True)
    if not stands.status.candidate:
        raise Refused(f"{name} has no candidate to approve", hint="apply a folder that names one")
    given = [one for one in tx.approvals.of(name) if one.release in stands.status.candidates]
    return stands, given, rules_of(tx, stands.registered, stands.spec)


def _record(tx: Transaction, approval: Approval, action: str) -> int:
    tx.approvals.put(approval)
    detail = msgspec.to_builtins(approval)
    return ledger.append(
        tx, at=approval.at, actor=approval.actor, action=action, use_case=approval.use_case, detail=detail
    ).seq


def _grounds(tx: Transaction, stands: Standing, stage: str, rules: Rules, now: int) -> dict[str, str]:
    """Return what a yes is bound to; a step of a rollout is left on what the rollout itself shows, which goes on."""
    if stage not in ROAD:
        return {}
    evidence = tx.evidence.of(stands.status.use_case)
    return grounds(stands.spec, stands.status, Stage(stage), evidence, rules=rules, now=now)


def _expires(rules: Rules, lasts: int, now: int) -> int:
    return now + min(lasts or rules.approvals_for, rules.approvals_for)


def _waivable(stands: Standing, rules: Rules, lines: Sequence[Any], criterion: str) -> Iterator[tuple[str, str]]:
    """Yield (release, evidence) for each candidate whose line of this name does not pass and may be waived."""
    status = stands.status
    stage = next_stage(status.stage)
    names = {*measured_criteria(stands.spec, status, stage, rules)}
    if stage is Stage.POC:
        names |= {name for name, _, _ in checks(stands.spec, rules.require)} - set(rules.require) - {"risks"}
    if criterion not in names or not rules.may_waive(stage.value, criterion):
        return
    for release in status.candidates:
        wanted = {criterion, f"{variant_of(release)}: {criterion}"}
        for line in lines:
            if line.name in wanted and line.verdict not in (Verdict.PASS, Verdict.WAIVED):
                yield release, line.evidence or ""


def _stage(stands: Standing, given: list[Approval], asked: str, now: int) -> str:
    """Return what is approved; raise Conflict for a stage that the candidate does not stand before."""
    status = stands.status
    following = next_stage(status.stage).value
    if awaits_approval(stands.spec, status, given, now) and status.rollout is not None and asked in ("", "step"):
        return step_stage(status.rollout)
    if asked in ("", following):
        return following
    raise Conflict(
        f"{status.candidate} stands in {status.stage}, so what can be approved now is {following}, not {asked}",
        hint="approve each stage when the candidate stands before it",
    )


def _four_eyes(tx: Transaction, actor: Actor, stands: Standing) -> None:
    """Refuse whoever may be the author of what is on its way, or of the file that it is judged by."""
    done = [(release, tx.releases.author(release)) for release in stands.status.candidates]
    done.append((f"the file of {stands.status.use_case}", stands.registered.author))
    for what, author in done:
        if why := same_hand(tx, actor, author):
            raise Denied(
                f"nobody approves what they registered: {what} is {author}'s, and {why}",
                hint="somebody else with the role approve must say yes, with a key that the author did not make",
            )
