"""The system card: what a release is, for whom, what it was shown to do and not to do; and whether that is still so."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.decision.risk import untreated
from pilotage.errors import NotFound
from pilotage.governance import standing
from pilotage.governance.context import Text, moment
from pilotage.governance.organisation import organisation_of, providers_asked, rules_of
from pilotage.governance.report import digested, gathered, subject, verdicts
from pilotage.governance.shown import Subject, shown
from pilotage.governance.staleness import rules_file, stale, standing_approvals
from pilotage.report.framework import frameworks, mapped
from pilotage.spec.assessment import HIGH_RISK, PROHIBITED, TRANSPARENCY
from pilotage.spec.folder import FILE
from pilotage.status import Card

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.governance.standing import Standing
    from pilotage.records import LedgerEntry
    from pilotage.spec.release import Release
    from pilotage.spec.use_case import UseCase
    from pilotage.store.base.transaction import Transaction

NEWEST_CHANGES = 50


class CardOf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the candidate, or of a `variant` that is on its way or live; without a candidate, of what serves."""

    use_case: Text
    variant: Text = ""


def card(context: Context, _: Actor, arguments: CardOf) -> dict[str, Any]:
    """Return the card as plain data."""
    with context.store.read() as tx:
        stands = standing.standing(tx, arguments.use_case)
        return _card(tx, stands, arguments.variant, moment(context, tx))


def card_issue(context: Context, actor: Actor, arguments: CardOf) -> dict[str, Any]:
    """Return the card, and put on record that it was given out: from now on it is told where it does not fit any more.

    Where the newest card on record says the same, that one is returned again, as it was. Raise Conflict where the use case
    moves on meanwhile: the card is made before anything is locked, for that takes its time.
    """
    with context.store.read() as tx:
        now = moment(context, tx)
        stands = standing.standing(tx, arguments.use_case)
        again = _again(tx, stands, arguments.variant, now)
        if again is not None:
            return again
        facts = _card(tx, stands, arguments.variant, now)
        made = Card(
            release=facts["release"],
            digest=facts["digest"],
            charter=stands.status.charter,
            file=stands.registered.files[FILE],
            at=now,
            actor=actor.id,
            live=stands.status.live,
            stage=facts["report"]["stage"],
            rules=rules_file(tx),
            verdicts=verdicts(tx, stands, arguments.variant, now),
            agreed=standing_approvals(facts["report"]["approvals"]),
            until=facts["report"]["ledger"]["entries"],
        )
    with context.store.write() as tx:
        made = msgspec.structs.replace(made, entry=tx.ledger.head()[0] + 1)
        status = msgspec.structs.replace(stands.status, card=made, version=stands.status.version + 1)
        detail = {"release": made.release, "card": made.digest}
        at = max(now, moment(context, tx))
        entry = standing.write(tx, status, at=at, actor=actor.id, action="card", detail=detail)
        return {**facts, "entry": entry.seq}


def _again(tx: Transaction, stands: Standing, variant: str, now: int) -> dict[str, Any] | None:
    """Return the newest card on record, made once more as of its own time, if it is this one and nothing has changed."""
    made = stands.status.card
    if made is None or not made.entry or made.release != subject(stands, variant) or stale(tx, stands, made, now):
        return None
    facts = _card(tx, stands, variant, made.at, until=made.until)
    return {**facts, "entry": made.entry} if facts["digest"] == made.digest else None


def _card(tx: Transaction, stands: Standing, variant: str, now: int, *, until: int = 0) -> dict[str, Any]:
    spec, status = stands.spec, stands.status
    report = gathered(tx, stands, variant, now, until=until)
    release = tx.releases.get(report["release"])
    if release is None:
        raise NotFound(
            f"the content of {report['release']} is gone", hint="`pilotage ledger verify` says what was altered"
        )
    organisation, rules = organisation_of(tx), rules_of(tx, stands.registered, spec)
    asked = [one for one in (release, *map(tx.releases.get, release.fallbacks)) if one is not None]
    subject = Subject(
        stands=stands,
        release=release,
        rules=rules,
        evidence=tx.evidence.of(spec.name, release=release.reference),
        report=report,
        providers=providers_asked(organisation, asked),
        entries=report["ledger"]["entries"],
        now=now,
    )
    told = shown(subject)
    answers = {name: getattr(spec.assessment, name, None) for name in (*PROHIBITED, *HIGH_RISK, *TRANSPARENCY)}
    today = datetime.fromtimestamp(now / 1e6, UTC).date()
    return digested(
        {
            "use_case": spec.name,
            "release": report["release"],
            "at": now,
            "charter": status.charter,
            "purpose": spec.purpose,
            "affected": list(spec.affected),
            "assessment": {
                "tier": spec.tier,
                "reasons": spec.assessment.reasons if spec.assessment else "",
                "tells_people": spec.assessment.tells_people if spec.assessment else "",
                "yes": [name for name, answer in answers.items() if answer],
                "unanswered": [name for name, answer in answers.items() if answer is None],
            },
            "on_call": list(rules.on_call or ()),
            "organisation": rules.organisation,
            "serving": _serving(release, subject.providers),
            "data": {
                **spec.data.model_dump(mode="json"),
                "handled": list(spec.data.handled),
                "says": told["retention"].says,
            },
            "risks": _risks(spec, report),
            "appetite": min(spec.risk_appetite, rules.risk_appetite),
            "untreated": untreated(spec, rules),
            "controls": [told[name].says for name in _CONTROLS if told[name].shown],
            "unknown": [
                told[name].says
                for name in ("purpose", "affected", "scope", "limits", "tells_people", "sources", "rights")
                if not told[name].shown
            ],
            "frameworks": [mapped(one, told, answers, today) for one in frameworks()],
            "ended": [msgspec.structs.asdict(one) for one in status.ended],
            "changes": [
                {
                    "seq": entry.seq,
                    "at": entry.at,
                    "actor": entry.actor,
                    "action": entry.action,
                    "reason": str(entry.detail.get("reason", "")),
                }
                for entry in _changes(tx, spec.name, report["ledger"]["entries"])
            ],
            "report": report,
        }
    )


def _changes(tx: Transaction, name: str, last: int) -> list[LedgerEntry]:
    """Return the newest entries about a use case, up to one."""
    after, _ = tx.ledger.head()
    entries = tx.ledger.read(use_case=name, newest=NEWEST_CHANGES + after - last)
    return [entry for entry in entries if entry.seq <= last][-NEWEST_CHANGES:]


_CONTROLS = (
    "rollback",
    "watch",
    "drift",
    "recheck",
    "alarms",
    "budget",
    "limits_on_use",
    "filters.personal_data",
    "filters.leak",
    "filters.links",
    "filters.tools",
    "filters.injection",
    "filters.topics",
    "filters.length",
    "filters.phrases",
    "ledger",
    "events",
)


def _serving(release: Release, providers: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    return {
        "providers": list(providers),
        "model": release.model,
        "parameters": release.parameters,
        "prompt": hashlib.sha256(release.prompt.encode()).hexdigest() if release.prompt else "",
        "knowledge": [{"file": name, "sha256": digest} for name, digest in release.knowledge],
        "fallbacks": list(release.fallbacks),
        "filters": [
            {"name": rule.name, "kind": rule.kind, "side": rule.side, "action": rule.action} for rule in release.filters
        ],
    }


def _risks(spec: UseCase, report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the risk register, the highest first, and of everything that treats a risk what it has shown."""
    known = _treatments(report)
    return sorted(
        (
            {
                "name": name,
                "says": risk.says,
                "likelihood": risk.likelihood,
                "impact": risk.impact,
                "level": risk.level,
                "treated_by": [
                    {"by": one, **known.get(one.rpartition(".")[2], {"verdict": "missing", "says": "not shown yet"})}
                    for one in risk.treated_by
                ],
                "owner": risk.owner or spec.owner,
            }
            for name, risk in spec.risks.items()
        ),
        key=lambda one: -one["level"],
    )


def _treatments(report: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return by measure and metric what was shown of it: by tests, and by users' outcomes where there are any."""
    found = {
        line["measure"]: {"verdict": line["verdict"], "says": line["verdict"] or "measured, and no gate asks for it"}
        for question in report["questions"]
        for line in question["lines"]
        if "id" in line
    }
    rollout = report["outcomes"]["rollout"]
    shown = rollout["metrics"] if rollout is not None else ()
    return found | {one["metric"]: {"verdict": one["verdict"], "says": one["shown"]} for one in shown}
