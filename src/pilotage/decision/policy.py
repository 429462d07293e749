"""The organisation's rules held against a use case and its releases: what it breaks, and what it must show."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pilotage.decision.charter import TIERS
from pilotage.decision.risk import unresolved
from pilotage.decision.rules import Bound, Rules
from pilotage.spec.assessment import HIGH_RISK, PROHIBITED, TRANSPARENCY
from pilotage.spec.gates import Gates
from pilotage.spec.organisation import Organisation, host_of, hosts_of
from pilotage.status import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pilotage.spec.release import Release, UpstreamAddress
    from pilotage.spec.use_case import Data, UseCase

KeyPath = tuple[str | int, ...]
KEPT = ("none", "redacted", "full")
STAGES = (Stage.POC, Stage.STAGING, Stage.CANARY, Stage.PRODUCTION)


class Breach(NamedTuple):
    """One rule that is broken: where it stands in organisation.toml (empty: it is the law), where in the use case's file."""

    rule: KeyPath
    key: KeyPath
    says: str


def provider_of(organisation: Organisation, address: UpstreamAddress) -> str:
    """Return whom a release asks, by the host that it is sent to and never by the name that the use case gives it."""
    if address.kind in ("search", "callable"):
        return address.kind
    host = host_of(address.base_url)
    return next((name for name, rule in organisation.providers.items() if host in hosts_of(name, rule)), "")


def barred(organisation: Organisation, spec: UseCase, address: UpstreamAddress) -> tuple[KeyPath, str] | None:
    """Return the rule by which requests of this use case must not be sent to an address, and why; or None."""
    provider = provider_of(organisation, address)
    if provider == "search":
        return None
    shown = provider or host_of(address.base_url) or address.kind
    if organisation.providers and provider not in organisation.providers:
        return ("providers",), f"{shown} is not a provider that may be used"
    rule = organisation.providers.get(provider)
    for name in spec.data.handled:
        wanted = organisation.data.get(name)
        if wanted is None:
            continue
        if wanted.providers is not None and provider not in wanted.providers:
            return ("data", name, "providers"), f"data of class '{name}' must not reach {shown}"
        region = rule.region if rule is not None else ""
        if wanted.regions is not None and region not in wanted.regions:
            place = f"in {region}" if region else "nobody knows where"
            regions = ", ".join(wanted.regions) or "nowhere"
            return ("data", name, "regions"), f"data of class '{name}' stays within {regions}, and {shown} is {place}"
    return None


def kept_at_most(organisation: Organisation | None, data: Data) -> tuple[str, int]:
    """Return what the rules let a use case keep of texts at the most, and for how many days."""
    if organisation is None:
        return data.retention, data.retain_for
    rules = [organisation.data[name] for name in data.handled if name in organisation.data]
    kept = min((data.retention, *(rule.retention for rule in rules)), key=KEPT.index)
    return kept, min((data.retain_for, organisation.limits.retain_for, *(rule.retain_for for rule in rules)))


def may_cache(organisation: Organisation | None, data: Data) -> bool:
    """Return whether answers may be kept in memory as they are: only where every class may be kept in full."""
    rules = organisation.data if organisation is not None else {}
    return all(rules[name].retention == "full" for name in data.handled if name in rules)


def breaches(organisation: Organisation | None, spec: UseCase, releases: Sequence[Release]) -> list[Breach]:
    """Return every rule that a use case breaks: those of the law as its own answers tell, then the organisation's."""
    found = [*_law(spec), *unresolved_risks(spec)]
    if organisation is not None:
        found += _uses(organisation, spec)
        found += _data(organisation, spec)
        found += _addresses(organisation, spec, releases)
        found += _money(organisation, spec)
        found += _bounds(organisation, spec)
        found += _objectives(organisation, spec)
    return found


def compile_rules(
    organisation: Organisation | None,
    spec: UseCase,
    *,
    broken: Sequence[str] = (),
    quotas: Mapping[str, tuple[float, float]] | None = None,
) -> Rules:
    """Return what a gate reads; `broken` are the breaches in words, `quotas` by provider as in `Rules`."""
    if organisation is None:
        return Rules(breaches=tuple(broken))
    tiers = [tier for name, tier in organisation.tiers.items() if name in _tiers(spec)]
    bounds: dict[str, dict[str, Bound]] = {}
    approvals: dict[str, int] = {}
    wanted: dict[str, dict[str, tuple[str, ...]]] = {}
    for tier in tiers:
        for stage in map(str, STAGES):
            for measure, own in getattr(tier.gates, stage).items():
                known = bounds.setdefault(stage, {}).get(measure)
                tight = known.tightened(own) if known is not None else own
                bounds[stage][measure] = Bound(tight.at_least, tight.at_most)
            if most := max(approvals.get(stage, 0), getattr(tier.approvals, stage)):
                approvals[stage] = most
            for one in getattr(tier.approvers, stage):
                wanted.setdefault(stage, {})[one] = people(organisation, one)
    limits = organisation.limits
    on_call = None
    if organisation.on_call:
        on_call = tuple(organisation.on_call.get(spec.owner, ()))
    return Rules(
        organisation=organisation.name,
        bounds=bounds,
        approvals=approvals,
        approvers=wanted,
        require=tuple(dict.fromkeys(one for tier in tiers for one in tier.require)),
        waivable=organisation.waivable,
        breaches=tuple(broken),
        evidence_for=limits.evidence_for,
        approvals_for=limits.approvals_for,
        risk_appetite=limits.risk_appetite,
        on_call=on_call,
        quotas=dict(quotas or {}),
    )


def people(organisation: Organisation, wanted: str) -> tuple[str, ...]:
    """Return who may be asked where a person or a role is wanted."""
    if wanted in organisation.people:
        return (wanted,)
    return tuple(name for name, person in organisation.people.items() if wanted in person.roles)


def unresolved_risks(spec: UseCase) -> Iterator[Breach]:
    for name, index, says in unresolved(spec):
        yield Breach((), ("risks", name, "treated_by", index), says)


def _tiers(spec: UseCase) -> tuple[str, ...]:
    return TIERS[: TIERS.index(spec.tier) + 1]


def _law(spec: UseCase) -> Iterator[Breach]:
    answers = spec.assessment
    if answers is None:
        return
    for name in answers.yes(PROHIBITED):
        yield Breach(
            (), ("assessment", name), f"assessment.{name} = true is a use that Article 5 of the AI Act prohibits"
        )
    high = answers.yes(HIGH_RISK)
    if high and spec.tier != "high":
        says = f"tier = '{spec.tier}', and assessment.{high[0]} = true makes it 'high' (Article 6 of the AI Act)"
        yield Breach((), ("tier",), says)
    told = answers.yes(TRANSPARENCY)
    if told and spec.tier == "minimal":
        says = (
            f"tier = 'minimal', and assessment.{told[0]} = true makes it 'limited' at least (Article 50 of the AI Act)"
        )
        yield Breach((), ("tier",), says)


def _uses(organisation: Organisation, spec: UseCase) -> Iterator[Breach]:
    for index, name in enumerate(organisation.forbidden):
        answer = getattr(spec.assessment, name) if spec.assessment is not None else None
        if answer is None:
            says = f"assessment.{name} is not answered, and the organisation rules that use out; answer false, or true"
            yield Breach(("forbidden", index), ("assessment",), says)
        elif answer:
            says = f"assessment.{name} = true is a use that the organisation rules out"
            yield Breach(("forbidden", index), ("assessment", name), says)


def _data(organisation: Organisation, spec: UseCase) -> Iterator[Breach]:
    data, limits = spec.data, organisation.limits
    if organisation.data and data.personal_data is None and not data.classes:
        yield Breach(("data",), ("data",), "the file does not say which classes of data it handles; write data.classes")
    for name in data.handled:
        rule = organisation.data.get(name)
        if rule is None:
            if organisation.data:
                known = ", ".join(organisation.data)
                says = f"data of class '{name}' is not one that the organisation knows; it knows {known}"
                yield Breach(("data",), ("data", "classes"), says)
            continue
        if KEPT.index(data.retention) > KEPT.index(rule.retention):
            says = f"data.retention = '{data.retention}', and of class '{name}' at most '{rule.retention}' may be kept"
            yield Breach(("data", name, "retention"), ("data", "retention"), says)
        if data.retention != "none" and data.retain_for > rule.retain_for:
            says = f"data.retain_for = {data.retain_for}, and class '{name}' may be kept {rule.retain_for} days"
            yield Breach(("data", name, "retain_for"), ("data", "retain_for"), says)
    if data.retention != "none" and data.retain_for > limits.retain_for:
        says = f"data.retain_for = {data.retain_for}, and texts may be kept {limits.retain_for} days"
        yield Breach(("limits", "retain_for"), ("data", "retain_for"), says)
    if spec.risk_appetite > limits.risk_appetite:
        says = f"risk_appetite = {spec.risk_appetite}, and the organisation's is {limits.risk_appetite}"
        yield Breach(("limits", "risk_appetite"), ("risk_appetite",), says)


def _addresses(organisation: Organisation, spec: UseCase, releases: Sequence[Release]) -> Iterator[Breach]:
    for release in releases:
        found = barred(organisation, spec, release.upstream)
        if found is not None:
            rule, why = found
            yield Breach(rule, ("variants", release.variant, "upstream"), f"variants.{release.variant}: {why}")


def _money(organisation: Organisation, spec: UseCase) -> Iterator[Breach]:
    for name in ("a_day", "a_month", "a_request"):
        most = getattr(organisation.limits, name)
        if most is None:
            continue
        rule, currency = ("limits", name), organisation.currency
        own = getattr(spec.budget, name) if spec.budget is not None else None
        if spec.budget is not None and spec.budget.currency != currency:
            says = f"budget.currency = '{spec.budget.currency}', and the organisation's limits are in {currency}"
            yield Breach(rule, ("budget", "currency"), says)
        elif own is None:
            yield Breach(rule, ("budget",), f"budget.{name} is not set; at most {most:g} {currency} is right")
        elif own > most:
            yield Breach(
                rule, ("budget", name), f"budget.{name} = {own:g} is above the {most:g} {currency} that is right"
            )


def _bounds(organisation: Organisation, spec: UseCase) -> Iterator[Breach]:
    for tier, rule in organisation.tiers.items():
        for stage in Gates.model_fields if tier in _tiers(spec) else ():
            for measure, wanted in getattr(rule.gates, stage).items():
                own = getattr(spec.gates, stage).get(measure)
                if own is not None and Bound(wanted.at_least, wanted.at_most).loosened_by(own):
                    right = (
                        f"at_most = {wanted.at_most:g}"
                        if wanted.at_most is not None
                        else f"at_least = {wanted.at_least:g}"
                    )
                    says = f"gates.{stage}.{measure} is looser than the organisation's; {right} or stricter is right"
                    yield Breach(("tiers", tier, "gates", stage, measure), ("gates", stage, measure), says)


def _objectives(organisation: Organisation, spec: UseCase) -> Iterator[Breach]:
    if not organisation.objectives:
        return
    known = ", ".join(organisation.objectives)
    for name, goal in spec.goals.items():
        if goal.objective not in organisation.objectives:
            given = (
                f"'{goal.objective}' is no objective of the organisation" if goal.objective else "serves no objective"
            )
            says = f"goals.{name}.objective: {given}; it is one of {known}"
            yield Breach(("objectives",), ("goals", name, "objective"), says)
