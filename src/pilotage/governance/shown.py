"""What one use case has to show, by the names under which frameworks of duties and risks ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.decision.measured import lasts, measured_criteria, newest
from pilotage.decision.risk import untreated
from pilotage.decision.verdict import guardrails
from pilotage.report.framework import Told, frameworks
from pilotage.spec.assessment import PROHIBITED
from pilotage.stats.clustered import prompts_needed
from pilotage.status import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pilotage.decision.rules import Rules
    from pilotage.governance.standing import Standing
    from pilotage.records import Evidence
    from pilotage.spec.release import Release

_NOT_MET = ("fail", "missing", "inconclusive")


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One release, and all that is known of it: `report` is its report, `entries` how many the ledger has."""

    stands: Standing
    release: Release
    rules: Rules
    evidence: Sequence[Evidence]
    report: Mapping[str, Any]
    providers: Sequence[Mapping[str, str]]
    entries: int
    now: int


def shown(subject: Subject) -> dict[str, Told]:
    """Return everything that a framework may ask for."""
    told = dict(
        [*_charter(subject), *_data(subject), *_serving(subject), *_governed(subject), *_watched(subject)],
    )
    asked = {need for one in frameworks() for item in one.items for need in (*item.needs, *item.helps)}
    for need in sorted(asked - told.keys()):
        kind, _, name = need.partition(":")
        told[need] = _measured(subject, name) if kind == "measure" else _attacked(subject, name)
    return told


def _said(name: str, text: str, lacks: str) -> tuple[str, Told]:
    return name, Told(bool(text), text or lacks)


def _charter(subject: Subject) -> Iterator[tuple[str, Told]]:
    spec = subject.stands.spec
    answers = spec.assessment
    yield _said("purpose", spec.purpose, "The charter does not say what it is for (purpose).")
    yield _said(
        "affected", _listed("It affects", spec.affected), "The charter does not say whom it affects (affected)."
    )
    yield _said(
        "scope", _listed("It", map(_inside, spec.scope.does)), "The charter does not say what it does ([scope] does)."
    )
    yield _said(
        "limits",
        _listed("It never", map(_inside, spec.scope.does_not)),
        "The charter does not say what it must not do ([scope] does_not).",
    )
    yield _said(
        "tells_people",
        answers.tells_people if answers else "",
        "Nobody wrote down how people learn that they deal with AI ([assessment] tells_people).",
    )
    yield _said(
        "reasons",
        answers.reasons if answers else "",
        "Nobody wrote down why the tier is what it is ([assessment] reasons).",
    )
    open_ = answers.unanswered if answers else ["all"]
    yield (
        "assessment",
        Told(
            not open_,
            f"Questions left open in [assessment]: {', '.join(open_)}." if open_ else "Every question is answered.",
        ),
    )
    asked = [name for name in PROHIBITED if answers is None or getattr(answers, name) is None]
    yield (
        "prohibited",
        Told(
            not asked,
            f"Not answered in [assessment]: {', '.join(asked)}."
            if asked
            else "Each prohibited use is answered with no; a yes would be a fault in the file.",
        ),
    )
    yield _said("goals", _listed("Goals:", spec.goals), "There is no goal.")
    yield "guardrails", Told(True, _listed("Guardrails:", guardrails(spec)))


def _data(subject: Subject) -> Iterator[tuple[str, Told]]:
    data = subject.stands.spec.data
    kept = {
        "none": "No texts are kept.",
        "redacted": "Texts are kept with personal data redacted",
        "full": "Texts are kept",
    }
    days = "" if data.retention == "none" else f", encrypted, for {data.retain_for} days."
    yield _said("sources", _listed("Sources:", data.sources), "Where texts come from is not said ([data] sources).")
    yield _said("rights", data.rights, "Why texts may be used is not said ([data] rights).")
    yield "retention", Told(True, f"{kept[data.retention]}{days}")
    known = data.personal_data is not None or bool(data.classes)
    classes = _listed("Classes of data:", data.handled) or "It handles no personal data, by the charter."
    yield (
        "classes",
        Told(known, classes if known else "Whether personal data occurs is not said ([data] personal_data)."),
    )


def _serving(subject: Subject) -> Iterator[tuple[str, Told]]:
    spec, release = subject.stands.spec, subject.release
    yield (
        "release",
        Told(
            True,
            f"Release {release.reference} is named by the digest of all that it is made of:"
            f" model, prompt, parameters, {len(release.knowledge)} articles, {len(release.filters)} filters.",
        ),
    )
    where = ", ".join(f"{one['provider']} ({one['region'] or 'region not told'})" for one in subject.providers)
    regions = all(one["region"] for one in subject.providers)
    lacks = f"Where {where} processes what it is sent is not said (organisation.toml, [providers])."
    yield "provider", Told(regions, f"Served by {where}." if regions else lacks)
    kinds = {rule.kind: rule for rule in release.filters}
    for kind in ("personal_data", "leak", "links", "tools", "injection", "topics", "length", "phrases"):
        rule = kinds.get(kind)
        says = f"Filter {rule.name} ({kind}, {rule.side}): {rule.action}." if rule else f"No filter of kind {kind}."
        yield f"filters.{kind}", Told(rule is not None, says)
    budget, limits = spec.budget, spec.limits
    capped = budget is not None and budget.capped
    yield "budget", Told(capped, "Budgets are held at the gateway." if capped else "No budget is set.")
    yield (
        "limits_on_use",
        Told(limits is not None, "Requests and tokens are limited." if limits else "No limits are set."),
    )


def _governed(subject: Subject) -> Iterator[tuple[str, Told]]:
    spec, rules = subject.stands.spec, subject.rules
    left = untreated(spec, rules)
    listed = f"{len(spec.risks)} risks are listed, and none above the appetite is untreated."
    open_ = f"Untreated: {', '.join(left)}." if left else "There is no risk register."
    yield "risks", Told(bool(spec.risks) and not left, listed if spec.risks and not left else open_)
    yield "owner", Told(True, f"{spec.owner} answers for it.")
    yield _said(
        "on_call",
        _listed("On call:", rules.on_call or ()),
        "Nobody is named as on call (organisation.toml, [on_call]).",
    )
    yield _said(
        "rules",
        f"The rules of {rules.organisation} are in force." if rules.organisation else "",
        "No organisation.toml is in force.",
    )
    given = [one for one in subject.report["approvals"] if one["kind"] == "approve" and not one["ended"]]
    asked = {**spec.approvals.model_dump(), **{stage: n for stage, n in rules.approvals.items() if n}}
    wanted = {stage: n for stage, n in asked.items() if n}
    if given:
        people = ", ".join(sorted({one["person"] or one["actor"] for one in given}))
        says = f"Approved by {people} (before {', '.join(dict.fromkeys(one['stage'] for one in given))})."
        yield "approvals", Told(True, says)
    else:
        says = "Approvals are asked for, and none is given yet." if wanted else "No stage asks for anybody's approval."
        yield "approvals", Told(False, says)
    harm = ", ".join(guardrails(spec))
    yield "rollback", Told(True, f"Users come step by step, and harm on {harm} takes the release back by itself.")
    yield (
        "ledger",
        Told(subject.entries > 0, f"Every decision is in a hash-chained ledger of {subject.entries} entries."),
    )
    yield "events", Told(True, "Every request is recorded with its release, times, tokens and cost.")


def _watched(subject: Subject) -> Iterator[tuple[str, Told]]:
    watch = subject.stands.spec.watch
    days = watch.false_alarms / 86_400_000_000
    yield "watch", Told(True, f"Every goal and guardrail is watched; at most one false alarm in {days:g} days.")
    yield (
        "alarms",
        Told(
            bool(watch.notify),
            _listed("Alarms go to", [one.name for one in watch.notify])
            or "Alarms are raised, and sent to nobody ([watch] notify).",
        ),
    )
    drift = watch.drift != "off"
    yield (
        "drift",
        Told(drift, "What people ask is watched for drift." if drift else "Drift is not watched ([watch] drift)."),
    )
    asked = bool(watch.recheck)
    says = "The provider's model is asked again on a schedule whether it is the same." if asked else ""
    yield _said("recheck", says, "Nobody asks whether the provider's model is still the same ([watch] recheck).")


def _measured(subject: Subject, name: str) -> Told:
    lines = [
        line
        for question in subject.report["questions"]
        for line in question["lines"]
        if line["measure"].startswith(name) and "id" in line
    ]
    if not lines:
        return Told(False, f"{name} is not measured, or what was measured does not count any more.")
    unmet = [line for line in lines if line["verdict"] in _NOT_MET]
    first = (unmet or lines)[0]
    verdict = f" Verdict: {first['verdict']}." if first["verdict"] else " No gate asks for a bound."
    return Told(not unmet, f"{first['says']}.{verdict}".replace("..", "."))


def _attacked(subject: Subject, risk: str) -> Told:
    spec, status = subject.stands.spec, subject.stands.status
    since = subject.now - lasts(spec, subject.rules)
    fact, _ = newest(subject.evidence, status, "security", subject.release.reference, since=since)
    tried = fact.detail.get("risks", {}).get(risk) if fact is not None else None
    if not tried or not tried["probes"]:
        return Told(False, f"No attack of {risk} was tried on it (`pilotage evaluate {spec.name} --suite security`).")
    most = f"{tried['high'] * 100:.1f} %"
    says = f"{tried['probes']} attacks of {risk} were tried, and {tried['succeeded']} succeeded at least once (at most {most})."
    told = Told(_measured(subject, "security").shown, says)
    asked = measured_criteria(spec, status, Stage.STAGING, subject.rules).get("security")
    if asked is None or asked.at_most is None or tried["high"] <= asked.at_most:
        return told
    needed = prompts_needed(asked.at_most)
    return told._replace(
        but=f"These attacks alone bound the risk at {most}; the {asked.at_most * 100:g} % that the gate asks for hold over"
        f" all attacks together. {needed:,} of this risk without a success would show it."
    )


def _listed(what: str, names: Iterable[str]) -> str:
    told = "; ".join(name.rstrip(".") for name in names)
    return f"{what} {told}." if told else ""


def _inside(line: str) -> str:
    """Return a line as it is written within a sentence."""
    return line if line[1:2].isupper() else line[:1].lower() + line[1:]
