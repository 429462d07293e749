"""`organisation.toml` as models: the rules that hold for every use case, and that none of them can loosen."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import pydantic
from pydantic import Field, model_validator

from pilotage.spec.assessment import HIGH_RISK, PROHIBITED, TRANSPARENCY
from pilotage.spec.gates import Approvals, Gates
from pilotage.spec.metric import Incoherent, Lines, Strict
from pilotage.spec.provider import providers as known_providers
from pilotage.spec.quantity import Duration
from pilotage.spec.trust import EvidenceSource, SignIn
from pilotage.spec.variant import Name

DAY = 86_400_000_000
Tier = Literal["minimal", "limited", "high"]
QUESTIONS = (*PROHIBITED, *HIGH_RISK, *TRANSPARENCY)
ITSELF = ("search", "callable")
"""Who serves where no provider does: Pilotage's own search, and a team's own Python."""


class Objective(Strict):
    """Something that the organisation wants to reach; goals link to it."""

    says: Annotated[str, Field(min_length=1)]
    """What is to be reached."""
    owner: str = ""
    """Who answers for it."""
    a_month: Annotated[float, Field(gt=0)] | None = None
    """What all use cases together that serve it may cost in a month, in `currency`."""


class Person(Strict):
    """One person, by the name that keys and sign-ins carry."""

    roles: Lines = ()
    """What they stand for in approvals, such as 'risk' or 'security'."""
    sign_in: str = ""
    """The subject or mail address with which the identity provider names them."""


class ProviderRule(Strict):
    """A provider that may be used. Where it serves is said here, not by the use case that asks it."""

    hosts: Lines = ()
    """Host names of its addresses; those of a provider that Pilotage knows by this name unless given."""
    region: str = ""
    """Where it processes what it is sent, such as 'eu'."""
    requests_a_second: Annotated[float, Field(gt=0)] | None = None
    """What the contract lets through; the gate into production compares it with the peaks of all who use it."""


class DataClass(Strict):
    """A class of data, such as `personal`: where it may go, and how long it may be kept."""

    providers: Lines | None = None
    """Providers that may see it; any that is allowed at all unless given."""
    regions: Lines | None = None
    """Regions in which it may be processed; anywhere unless given."""
    retention: Literal["none", "redacted", "full"] = "full"
    """The most of it that may be kept."""
    retain_for: Annotated[int, Field(ge=1, le=3650)] = 3650
    """The most days that texts with it may be kept."""


class Approvers(Strict):
    """Who must be among those that say yes: people by name, or roles of people."""

    poc: Lines = ()
    """Before the proof of concept."""
    staging: Lines = ()
    """Before staging."""
    canary: Lines = ()
    """Before the first users see it."""
    production: Lines = ()
    """Before everybody gets it."""


class TierRule(Strict):
    """What every use case of one tier must show, on top of what it asks of itself."""

    gates: Gates = Gates()
    """Bounds before each stage; a use case may ask for more, never for less."""
    approvals: Approvals = Approvals()
    """How many people must say yes, at the least."""
    approvers: Approvers = Approvers()
    """Who must be among them."""
    require: Annotated[tuple[Literal["assessment", "risks", "affected", "purpose"], ...], pydantic.Strict(False)] = ()
    """What the file must say before the proof of concept, beyond what its tier asks for."""


class Limits(Strict):
    """The most that any use case may ask for."""

    a_day: Annotated[float, Field(gt=0)] | None = None
    """The highest budget of a day, in `currency`; a use case must then name one."""
    a_month: Annotated[float, Field(gt=0)] | None = None
    """The highest budget of a month; a use case must then name one."""
    a_request: Annotated[float, Field(gt=0)] | None = None
    """The highest budget of a request; a use case must then name one."""
    retain_for: Annotated[int, Field(ge=1, le=3650)] = 3650
    """The most days that texts may be kept."""
    evidence_for: Duration = 90 * DAY
    """How long evidence counts; what is older is missing."""
    approvals_for: Duration = 30 * DAY
    """How long somebody's yes counts, at the most; so long does a waiver."""
    risk_appetite: Annotated[int, Field(ge=1, le=25)] = 25
    """The highest level of a risk that may stand untreated, whatever a file says."""


class Organisation(Strict):
    """The organisation's own rules. What stands here holds for every use case; what does not is left to each."""

    name: Annotated[str, Field(min_length=1)]
    """Whose rules these are."""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "EUR"
    """Three capital letters (ISO 4217), for every amount in this file."""
    objectives: dict[Name, Objective] = Field(default_factory=dict)
    """What is to be reached. With one or more, every goal must say which it serves."""
    people: dict[Name, Person] = Field(default_factory=dict)
    """Who may be asked to approve, and who is called."""
    on_call: dict[str, Lines] = Field(default_factory=dict)
    """Who answers at night, by the `owner` of use cases. With this table, the gate into production asks for somebody."""
    sign_in: SignIn | None = None
    """Who may sign in with the organisation's own identity provider, and as what."""
    providers: dict[Name, ProviderRule] = Field(default_factory=dict)
    """Who may serve. With one or more, nobody else may; 'search' stays within Pilotage and always may."""
    data: dict[Name, DataClass] = Field(default_factory=dict)
    """Classes of data. With one or more, every use case must name those that it handles, and no others."""
    evidence_from: dict[Name, EvidenceSource] = Field(default_factory=dict)
    """Places whose evidence counts here, by the names under which gates show it."""
    forbidden: Lines = ()
    """Uses that the organisation rules out: questions of [assessment]; what Article 5 prohibits always is."""
    waivable: Lines = ()
    """Measures that this file bounds and that may be waived all the same."""
    limits: Limits = Limits()
    """The most that any use case may ask for."""
    tiers: dict[Tier, TierRule] = Field(default_factory=dict)
    """What each tier must show; it holds for higher tiers too."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        faults = [*self._name_faults(), *self._people_faults(), *self._provider_faults()]
        if faults:
            raise Incoherent(faults)
        return self

    def _name_faults(self) -> list[tuple[str, str]]:
        found = [
            ("forbidden", f"forbidden names '{name}', which is no question of [assessment]")
            for name in self.forbidden
            if name not in QUESTIONS
        ]
        bounded = {measure for tier in self.tiers.values() for measure in measures_of(tier.gates)}
        return found + [
            ("waivable", f"waivable names '{name}', which no tier of this file bounds")
            for name in self.waivable
            if name not in bounded
        ]

    def _people_faults(self) -> list[tuple[str, str]]:
        known = {*self.people, *(role for person in self.people.values() for role in person.roles)}
        wanted = [
            (f"tiers.{name}", one)
            for name, tier in self.tiers.items()
            for stage in Approvers.model_fields
            for one in getattr(tier.approvers, stage)
        ]
        wanted += [("on_call", one) for people in self.on_call.values() for one in people if one not in self.people]
        return [
            (key, f"nobody under [people] is '{one}' or has that role") for key, one in wanted if one not in known
        ] + [
            ("on_call", f"on_call names the role '{one}', and it takes a person")
            for people in self.on_call.values()
            for one in people
            if one in known and one not in self.people
        ]

    def _provider_faults(self) -> list[tuple[str, str]]:
        faults = [
            (f"providers.{name}", f"hosts are needed for '{name}', which Pilotage does not know by that name")
            for name, rule in self.providers.items()
            if name not in ITSELF and not hosts_of(name, rule)
        ]
        seen: dict[str, str] = {}
        faults += [
            (f"providers.{name}", f"the host {host} is already that of '{seen[host]}'")
            for name, rule in self.providers.items()
            for host in hosts_of(name, rule)
            if seen.setdefault(host, name) != name
        ]
        return faults + [
            (f"data.{name}", f"providers of data.{name} names '{one}', which is not under [providers]")
            for name, rule in self.data.items()
            for one in rule.providers or ()
            if one not in self.providers and one not in ITSELF
        ]


def measures_of(gates: Gates) -> list[str]:
    return [measure for stage in Gates.model_fields for measure in getattr(gates, stage)]


def hosts_of(name: str, rule: ProviderRule) -> tuple[str, ...]:
    """Return the hosts of a provider that the policy allows, in the one way that hosts are compared."""
    if rule.hosts:
        return tuple(plain_host(host) for host in rule.hosts)
    known = known_providers().get(name)
    return (host_of(known.base_url),) if known is not None and known.base_url else ()


def host_of(base_url: str) -> str:
    """Return the host of a base URL as it will be connected to: without user, port, capitals or a closing dot."""
    return plain_host(urlsplit(base_url).hostname or "")


def plain_host(host: str) -> str:
    """Return a host's one spelling: lower case, no closing dot, foreign letters as they travel (IDNA)."""
    text = host.strip().lower().rstrip(".")
    try:
        return text.encode("idna").decode("ascii") if not text.isascii() else text
    except UnicodeError:
        return text
