"""Cases that people make of what was asked in production. They wait here until a team takes them into its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pilotage.errors import NotFound, WrongCall
from pilotage.governance import ledger, standing, words
from pilotage.governance.context import Text, moment
from pilotage.governance.data import held_in
from pilotage.guardrails.personal_data import redact
from pilotage.records import Proposal
from pilotage.spec.case import read_cases

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context

LARGEST = 256 << 10
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Ids = Annotated[tuple[_Id, ...], msgspec.Meta(min_length=1, max_length=10_000)]


class Cases(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    use_case: Text


class CasePropose(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`case` is one line of a case file. Without an `id` it gets one of the inference that it was made of."""

    use_case: Text
    inference: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    case: dict[str, Any]
    note: Text = ""


class CaseDrop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    use_case: Text
    case: _Id
    note: Text = ""


class CasesTaken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`cases` are the ids of those that are now in the team's own folder."""

    use_case: Text
    cases: _Ids


def cases(context: Context, _: Actor, arguments: Cases) -> dict[str, Any]:
    """Return the cases that wait to be taken, oldest first."""
    with context.store.read() as tx:
        standing.standing(tx, arguments.use_case)
        found = tx.proposals.of(arguments.use_case)
    shown = [
        {"id": one.id, "inference": one.inference, "at": one.at, "actor": one.actor, "note": one.note, "case": one.case}
        for one in found
    ]
    return {"use_case": arguments.use_case, "cases": shown}


def case_propose(context: Context, actor: Actor, arguments: CasePropose) -> dict[str, Any]:
    """Keep a case that was made of an inference. Personal data is redacted in it, whoever typed it."""
    name = arguments.use_case
    with context.store.read() as tx:
        standing.standing(tx, name, serving=True)
    with held_in(context) as holdings:
        rows = holdings.inferences(name, [arguments.inference])
    if not rows:
        raise NotFound(f"{name} has no inference {arguments.inference}")
    case = _case(arguments.case, f"production-{arguments.inference}")
    with context.store.write() as tx:
        standing.standing(tx, name, serving=True)
        now = moment(context, tx)
        note = words.apart(tx, arguments.note, name)
        made = Proposal(
            id=case["id"],
            use_case=name,
            inference=arguments.inference,
            unit=rows[0]["unit"],
            at=now,
            actor=actor.id,
            case=case,
            note=note,
        )
        tx.proposals.add(made)
        detail = {"case": made.id, "inference": made.inference, "row": ledger.fingerprint(made), "reason": note}
        entry = ledger.append(tx, at=now, actor=actor.id, action="case_propose", use_case=name, detail=detail)
    return {"use_case": name, "id": made.id, "case": case, "ledger": entry.seq}


def case_drop(context: Context, actor: Actor, arguments: CaseDrop) -> dict[str, Any]:
    """Destroy a proposed case."""
    return _removed(
        context, actor, "case_drop", CasesTaken(use_case=arguments.use_case, cases=(arguments.case,)), arguments.note
    )


def cases_taken(context: Context, actor: Actor, arguments: CasesTaken) -> dict[str, Any]:
    """Say that these are in the team's folder now, where the team keeps them: here they are destroyed."""
    return _removed(context, actor, "cases_taken", arguments)


def _removed(context: Context, actor: Actor, action: str, these: CasesTaken, note: str = "") -> dict[str, Any]:
    name = these.use_case
    with context.store.write() as tx:
        standing.standing(tx, name)
        gone = tx.proposals.remove(name, these.cases)
        if not gone:
            raise NotFound(
                f"{name} has no proposed case {these.cases[0]!r}",
                hint=f"`pilotage cases list {name}` lists those there are",
            )
        detail = {"cases": gone, "reason": words.apart(tx, note, name)}
        now = moment(context, tx)
        entry = ledger.append(tx, at=now, actor=actor.id, action=action, use_case=name, detail=detail)
    return {"use_case": name, "cases": gone, "ledger": entry.seq}


def _case(given: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a case as a line of a file, with personal data redacted; raise WrongCall where it would be none."""
    # Not the name that it is given here: its digits may look like somebody's telephone number.
    plain = {"id": name, **{key: _redacted(value) for key, value in given.items() if (key, value) != ("id", name)}}
    line = msgspec.json.encode(plain)
    if len(line) > LARGEST:
        raise WrongCall(f"a case of {len(line):,} bytes is too long", hint=f"at most {LARGEST:,}")
    found, faults = read_cases(line)
    if faults:
        raise WrongCall(f"this is no case: it {'; it '.join(fault.says for fault in faults)}")
    if not found[0][1].scorable:
        raise WrongCall(
            "the case does not say what a right answer is",
            hint="give `required`, `exact`, `contains`, `forbidden` or another expectation (docs/evaluation.md)",
        )
    return plain


def _redacted(value: Any) -> Any:
    match value:
        case str():
            return redact(value)[0]
        case dict():
            return {key: _redacted(one) for key, one in value.items()}
        case list():
            return [_redacted(one) for one in value]
        case _:
            return value
