"""The organisation's rules in force, and what they ask of one use case."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pilotage.decision.policy import breaches, compile_rules, provider_of
from pilotage.errors import FaultyFile
from pilotage.spec.folder import FILE
from pilotage.spec.organisation import ITSELF, Organisation, host_of
from pilotage.spec.organisation_file import POLICY
from pilotage.spec.position import Positions
from pilotage.spec.use_case import UseCase

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pilotage.decision.policy import Breach
    from pilotage.decision.rules import Rules
    from pilotage.spec.folder import Folder
    from pilotage.spec.release import Release
    from pilotage.store.base.registered import Registered
    from pilotage.store.base.transaction import Transaction


def organisation_of(tx: Transaction) -> Organisation | None:
    """Return the rules that are in force, or None where nobody set any."""
    policy = tx.policies.get()
    return Organisation.model_validate(policy.spec) if policy is not None else None


def rules_of(tx: Transaction, registered: Registered, spec: UseCase) -> Rules:
    """Return what the organisation asks of a registered use case now, with every rule that it breaks."""
    organisation = organisation_of(tx)
    releases = [release for release in map(tx.releases.get, registered.releases.values()) if release is not None]
    broken = breaches(organisation, spec, releases)
    texts: list[str] = []
    if broken:
        texts = located(broken, _positions(tx.blobs.get(registered.files[FILE]) or b""), rules_at(tx))
    quotas = _quotas(tx, organisation, spec, releases) if organisation is not None else {}
    return compile_rules(organisation, spec, broken=texts, quotas=quotas)


def providers_asked(organisation: Organisation | None, releases: Iterable[Release]) -> list[dict[str, str]]:
    """Return who serves these releases, by the organisation's names where it has any, and in which region ('here': no provider)."""
    found: dict[str, str] = {}
    for release in releases:
        address = release.upstream
        name = provider_of(organisation, address) if organisation is not None else ""
        shown = name or address.provider or host_of(address.base_url) or address.kind
        rule = organisation.providers.get(name) if organisation is not None else None
        found[shown] = "here" if address.kind in ITSELF else rule.region if rule is not None else ""
    return [{"provider": name, "region": region} for name, region in sorted(found.items())]


def located(broken: Iterable[Breach], where: Positions, rules: Positions | None) -> list[str]:
    """Say each breach with the lines of the file and of the rule: `usecase.toml:12: ... (organisation.toml:3)`."""
    found = []
    for breach in broken:
        rule = f" ({POLICY}:{rules.line(breach.rule)}: {_dotted(breach.rule)})" if breach.rule and rules else ""
        found.append(f"{FILE}:{where.line(breach.key)}: {breach.says}{rule}")
    return list(dict.fromkeys(found))


def rules_at(tx: Transaction) -> Positions | None:
    """Return where the rules in force stand in their file."""
    policy = tx.policies.get()
    return _positions(tx.blobs.get(policy.file) or b"") if policy is not None else None


def refuse_breaches(
    organisation: Organisation | None,
    spec: UseCase,
    releases: Sequence[Release],
    folder: Folder,
    rules: Positions | None,
) -> None:
    """Raise FaultyFile that names every rule that a folder breaks, with the lines of both files."""
    broken = breaches(organisation, spec, releases)
    if broken:
        raise FaultyFile(located(broken, _positions(folder.files[FILE]), rules))


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in path if isinstance(part, str))


@lru_cache(maxsize=64)
def _positions(data: bytes) -> Positions:
    return Positions(data.decode("utf-8-sig", "replace"))


def _quotas(
    tx: Transaction, organisation: Organisation, spec: UseCase, releases: Sequence[Release]
) -> dict[str, tuple[float, float]]:
    """Return by provider what it lets through and what all who use it need, for those that this use case asks."""
    limited = {name: rule.requests_a_second for name, rule in organisation.providers.items() if rule.requests_a_second}
    asked = {provider_of(organisation, release.upstream) for release in releases} & limited.keys()
    if not asked:
        return {}
    needed = dict.fromkeys(asked, _peak(spec))
    for name in tx.use_cases.names():
        registered, status = tx.use_cases.get(name), tx.statuses.get(name)
        if registered is None or status is None or status.retired or name == spec.name:
            continue
        theirs = [
            release for release in map(tx.releases.get, filter(None, (status.live, *status.candidates))) if release
        ]
        for provider in {provider_of(organisation, release.upstream) for release in theirs} & asked:
            needed[provider] += _peak(UseCase.model_validate(registered.spec))
    return {provider: (limited[provider] or 0.0, needed[provider]) for provider in sorted(asked)}


def _peak(spec: UseCase) -> float:
    return (spec.traffic.peak_requests_a_second or 0.0) if spec.traffic is not None else 0.0
