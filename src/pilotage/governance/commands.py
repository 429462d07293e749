"""Every command by name: the one door through which the command line, the control API and the console act."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pilotage.access import Role
from pilotage.errors import Denied, GateClosed, WrongCall
from pilotage.governance import (
    alarms,
    analysis,
    approvals,
    board,
    card,
    charter,
    data,
    evidence,
    failures,
    history,
    inferences,
    keys,
    overview,
    policy,
    portfolio,
    promotion,
    proposals,
    rechecks,
    registration,
    replay,
    report,
    retirement,
    rollouts,
    side_by_side,
    travel,
    watching,
    words,
)
from pilotage.governance.context import Context, require
from pilotage.governance.decisions import record_decision

if TYPE_CHECKING:
    from pilotage.access import Actor

__all__ = ["COMMANDS", "Command", "Context", "Reach", "record_decision", "run"]


class Reach(Enum):
    """What a command acts on, and so which keys may call it."""

    USE_CASE = "the use case in its arguments"
    WORKSPACE = "the whole workspace: a key of some use cases is refused"
    OWN = "what the command itself checks, or leaves out, by the actor's use cases"


class Command(NamedTuple):
    function: Callable[[Context, Actor, Any], dict[str, Any]]
    roles: tuple[Role, ...]
    arguments: type[msgspec.Struct]
    reach: Reach = Reach.USE_CASE


OPERATE = (Role.OPERATE,)
READ = overview.READERS
APPROVE = (Role.APPROVE,)
ADMIN = (Role.ADMIN,)

COMMANDS: dict[str, Command] = {
    "apply": Command(registration.apply, OPERATE, registration.Apply, Reach.OWN),
    "status": Command(overview.status, READ, overview.Status, Reach.OWN),
    "names": Command(overview.names, READ, overview.Names, Reach.OWN),
    "board": Command(board.board, READ, board.Board, Reach.OWN),
    "charter": Command(charter.charter, READ, charter.Charter),
    "rollout": Command(rollouts.rollout, READ, rollouts.RolloutOf),
    "portfolio": Command(portfolio.portfolio, READ, portfolio.Portfolio, Reach.OWN),
    "analysis": Command(analysis.analysis, READ, analysis.Analysis),
    "promote": Command(promotion.promote, OPERATE, promotion.Promote),
    "approve": Command(approvals.approve, APPROVE, approvals.Approve),
    "withdraw": Command(approvals.withdraw, APPROVE, approvals.Withdraw),
    "waive": Command(approvals.waive, APPROVE, approvals.Waive),
    "policy_apply": Command(policy.policy_apply, ADMIN, policy.PolicyApply, Reach.WORKSPACE),
    "policy_show": Command(policy.policy_show, READ, policy.PolicyShow, Reach.OWN),
    "pause": Command(promotion.pause, OPERATE, promotion.Because),
    "resume": Command(promotion.resume, OPERATE, promotion.Because),
    "rollback": Command(promotion.rollback, OPERATE, promotion.Because),
    "retire": Command(promotion.retire, OPERATE, promotion.Because),
    "side_by_side": Command(side_by_side.side_by_side, READ, side_by_side.SideBySide),
    "report": Command(report.report, READ, report.Report),
    "card": Command(card.card, READ, card.CardOf),
    "card_issue": Command(card.card_issue, READ, card.CardOf),
    "watch_record": Command(watching.watch_record, OPERATE, watching.WatchRecord),
    "alarms": Command(alarms.alarms, READ, alarms.Alarms, Reach.OWN),
    "alarm_acknowledge": Command(alarms.acknowledge, OPERATE, alarms.Handle),
    "alarm_resolve": Command(alarms.resolve, OPERATE, alarms.Handle),
    "alarm_resend": Command(alarms.resend, OPERATE, alarms.Resend),
    "alarm_examples": Command(data.alarm_examples, ADMIN, data.Examples),
    "inferences": Command(inferences.inferences, OPERATE, inferences.Inferences),
    "inference": Command(inferences.inference, OPERATE, inferences.Inference),
    "cases": Command(proposals.cases, ADMIN, proposals.Cases),
    "case_propose": Command(proposals.case_propose, ADMIN, proposals.CasePropose),
    "case_drop": Command(proposals.case_drop, ADMIN, proposals.CaseDrop),
    "cases_taken": Command(proposals.cases_taken, ADMIN, proposals.CasesTaken),
    "failures": Command(failures.failures, ADMIN, failures.Failures),
    "recheck_plan": Command(rechecks.recheck_plan, OPERATE, rechecks.RecheckPlan),
    "record_round": Command(rechecks.record_round, OPERATE, rechecks.RecordRound),
    "record_recheck": Command(rechecks.record_recheck, OPERATE, rechecks.RecordRecheck),
    "record_retirement": Command(retirement.record_retirement, OPERATE, retirement.RecordRetirement),
    "record_evidence": Command(evidence.record_evidence, OPERATE, evidence.RecordEvidence),
    "evidence": Command(evidence.evidence, READ, evidence.Evidence),
    "evidence_key": Command(travel.evidence_key, READ, travel.EvidenceKey, Reach.WORKSPACE),
    "evidence_export": Command(travel.evidence_export, OPERATE, travel.EvidenceExport),
    "evidence_import": Command(travel.evidence_import, OPERATE, travel.EvidenceImport),
    "evaluation_plan": Command(evidence.evaluation_plan, OPERATE, evidence.EvaluationPlan),
    "route": Command(evidence.route, OPERATE, evidence.RouteOf),
    "blob": Command(evidence.blob, OPERATE, evidence.Blob, Reach.OWN),
    "results": Command(evidence.results, OPERATE, evidence.Results),
    "record_results": Command(evidence.record_results, OPERATE, evidence.RecordResults),
    "ledger": Command(history.ledger, READ, history.Ledger, Reach.OWN),
    "ledger_verify": Command(history.ledger_verify, READ, history.LedgerVerify, Reach.WORKSPACE),
    "ledger_replay": Command(replay.ledger_replay, READ, replay.Replay, Reach.OWN),
    "ledger_forget": Command(words.ledger_forget, ADMIN, words.LedgerForget, Reach.OWN),
    "ledger_anchor": Command(history.ledger_anchor, READ, history.LedgerAnchor, Reach.WORKSPACE),
    "ledger_checkpoint": Command(history.ledger_checkpoint, READ, history.LedgerCheckpoint, Reach.WORKSPACE),
    "data_find": Command(data.data_find, ADMIN, data.Unit, Reach.OWN),
    "data_export": Command(data.data_export, ADMIN, data.Unit, Reach.OWN),
    "data_erase": Command(data.data_erase, ADMIN, data.Unit, Reach.OWN),
    "keys_create": Command(keys.keys_create, ADMIN, keys.KeysCreate, Reach.WORKSPACE),
    "keys_list": Command(keys.keys_list, ADMIN, keys.KeysList, Reach.WORKSPACE),
    "keys_rotate": Command(keys.keys_rotate, tuple(Role), keys.KeysRotate, Reach.OWN),
    "keys_revoke": Command(keys.keys_revoke, ADMIN, keys.KeysRevoke, Reach.WORKSPACE),
}


_VERBATIM = ("ledger",)
"""Commands that say themselves whether people's words stand in what they return."""


_DIGESTED = ("report", "card", "card_issue")
"""Commands of whose facts there is a digest: these keep the references, and people's words come beside them."""


def run(context: Context, actor: Actor, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run one command and return plain JSON data.

    Raise WrongCall for an unknown command or arguments that do not fit, Denied for a role or use case that the actor
    lacks, and whatever the command itself refuses.
    """
    command = COMMANDS.get(name)
    if command is None:
        raise WrongCall(f"there is no command {name!r}", hint=f"there are: {', '.join(COMMANDS)}")
    _may_call(actor, command)
    given = _checked(name, command, arguments)
    match command.reach:
        case Reach.USE_CASE:
            require(actor, command.roles, given.use_case)
        case Reach.WORKSPACE:
            require(actor, command.roles)
        case Reach.OWN:
            pass
    try:
        result = command.function(context, actor, given)
    except GateClosed as fault:
        with context.store.read() as tx:
            raise words.said(tx, fault, actor) from None
    if name in _VERBATIM:
        return result
    with context.store.read() as tx:
        if name in _DIGESTED:
            return words.beside(tx, result, actor)
        said: dict[str, Any] = words.spoken(tx, result, actor)
    return said


def _may_call(actor: Actor, command: Command) -> None:
    if Role.ADMIN not in actor.roles and not any(role in actor.roles for role in command.roles):
        wanted = " or ".join(command.roles)
        raise Denied(f"{actor.id} lacks the role {wanted}", hint="use a key that has it: `pilotage keys create`")


def _checked(name: str, command: Command, arguments: dict[str, Any]) -> Any:
    try:
        return msgspec.convert(arguments, command.arguments)
    except msgspec.ValidationError as fault:
        fields = ", ".join(
            field.name if field.required else f"{field.name} (optional)"
            for field in msgspec.structs.fields(command.arguments)
        )
        raise WrongCall(f"{name}: {fault}", hint=f"its arguments are: {fields or 'none'}") from None
