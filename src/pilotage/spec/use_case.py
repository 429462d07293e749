"""`usecase.toml` as models: the charter, the variants, and the way they go."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal, Self

import pydantic
from pydantic import Field, model_validator

from pilotage.spec.assessment import Assessment, Risk
from pilotage.spec.fairness import Fairness
from pilotage.spec.filter import Filter
from pilotage.spec.gates import Approvals, Gates
from pilotage.spec.metric import Goal, Guardrail, Incoherent, Lines, Strict
from pilotage.spec.quantity import Duration
from pilotage.spec.rollout import Rollout
from pilotage.spec.spending import Budget, Limits
from pilotage.spec.variant import Name, Upstream, Variant
from pilotage.spec.watch import Watch

BUILT_IN_UPSTREAMS = ("search", "openai")


class Scope(Strict):
    """What the use case is for, so that scope creep can be seen."""

    does: Lines = ()
    """What it does, a line each."""
    does_not: Lines = ()
    """What it must not do, a line each."""


class Traffic(Strict):
    """How many come."""

    new_units_a_day: Annotated[float, Field(gt=0)]
    """New users (or accounts, or conversations) a day: only first exposures count as proof."""
    returning: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The part of a day's users that were here in the last month already (0.3 is three in ten). To a rollout each of them
    is new once, so it meets more at its beginning than later."""
    regulars: Annotated[float, Field(gt=0)] | None = None
    """From how many different users those come that return."""
    requests_a_unit: Annotated[float, Field(ge=1)] = 1.0
    """Requests that one unit sends, on average."""
    peak_requests_a_second: Annotated[float, Field(gt=0)] | None = None
    """The busiest second that must be served."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if not self.returning:
            if self.regulars is None:
                return self
            raise Incoherent(
                [("regulars", "regulars has no meaning without returning; set returning, or remove regulars")]
            )
        if self.regulars is None:
            raise Incoherent([("returning", "returning needs regulars: from how many different users they come")])
        daily = self.new_units_a_day * self.returning / (1 - self.returning)
        if daily > self.regulars:
            says = f"regulars = {self.regulars:g} are fewer than the {daily:,.0f} that return on one day (returning)"
            raise Incoherent([("regulars", f"{says}; count everybody who came back within a month")])
        return self


class Data(Strict):
    """The data story: where texts come from, who may use them, what is kept."""

    sources: Lines = ()
    """Where knowledge and cases come from."""
    rights: str = ""
    """Why they may be used."""
    personal_data: bool | None = None
    """Whether requests may hold personal data."""
    classes: Lines = ()
    """Classes of data in requests, as the organisation names them; `personal_data = true` always adds 'personal'."""
    retention: Literal["none", "redacted", "full"] = "none"
    """Which texts of requests and replies are kept: none, with personal data redacted, or all. Always encrypted."""
    retain_for: Annotated[int, Field(ge=1, le=3650)] = 30
    """Days that texts are kept."""

    @property
    def handled(self) -> tuple[str, ...]:
        """Return the classes of data that requests may hold, each once."""
        own = ("personal",) if self.personal_data else ()
        return tuple(dict.fromkeys((*own, *self.classes)))


class Evaluation(Strict):
    """The team's own cases, and what its suites ask beside their own."""

    cases: Lines = ()
    """JSONL files, or tables as CSV, as glob patterns relative to this file (docs/evaluation.md)."""
    probes: Lines = ()
    """Files of more attacks for the suite `security` (docs/security.md), as patterns; the built-in ones are always sent."""
    templates: Lines = ()
    """Files of who may ask, for the suite `bias` (docs/bias.md), as patterns; they take the place of the built-in ones."""
    scorer: str = ""
    """A team's own scorer, `package.module:function`, in a folder of PILOTAGE_CALLABLES: it is given a case and a reply."""
    judge: Name | None = None
    """The variant that judges replies in the suite `judge`; its prompt is the rubric. It serves nobody."""
    labels: Lines = ()
    """Tables of people's own verdicts on replies, as patterns, by which the judge is corrected (docs/evaluation.md)."""
    counts_for: Duration = 90 * 86_400_000_000
    """How long evidence counts; what is older is missing. An organisation may set less."""
    max_cases: Annotated[int, Field(ge=1)] | None = None
    """Evaluate at most this many, taken evenly."""


class Staging(Strict):
    """What a candidate meets before any user meets it."""

    shadow: Annotated[float, Field(ge=0, le=100)] = 0.0
    """The share of live requests, in percent, that are copied to a candidate in staging. Nobody gets the copies' answers."""
    shadow_a_day: Annotated[float, Field(gt=0)] | None = None
    """The most that one day's copies may cost, over all workers. Shadow traffic needs it, and prices of its candidates."""
    shadow_at_once: Annotated[int, Field(ge=1, le=64)] = 4
    """Copies that one worker may have under way."""
    holds: Annotated[float, Field(gt=0)] | None = None
    """How many times the declared peak must hold (`rehearse --ramp`); the gate into canary then reads `scalability`."""
    faults: Annotated[float, Field(ge=0, lt=1)] | None = None
    """The largest share of users that may be left without any answer while faults are inflicted (`rehearse --faults`); the gate into
    canary then reads `fault_failures`."""


class UseCase(Strict):
    """One use case. A name, an owner and one variant are enough to observe; gates ask for the rest."""

    name: Name
    """What clients send as `model`."""
    owner: Annotated[str, Field(min_length=1)]
    """Who answers for it."""
    objective: str = ""
    """What the business gets when it works."""
    purpose: str = ""
    """What it is for, in a sentence for those whom it affects."""
    affected: Lines = ()
    """Who is affected by what it says: customers, applicants, staff."""
    unit: Literal["user", "account", "conversation"] = "user"
    """What is assigned and counted."""
    tier: Literal["minimal", "limited", "high"] = "limited"
    """The risk tier; gates ask for more as it rises."""
    assessment: Assessment | None = None
    """The questionnaire behind the tier."""
    risks: dict[Name, Risk] = Field(default_factory=dict)
    """The risk register."""
    risk_appetite: Annotated[int, Field(ge=1, le=25)] = 6
    """The highest level of a risk (likelihood times impact) that may stand untreated."""
    status_quo: Name | None = None
    """The variant that stands for what exists today, and serves until something better is proven."""
    candidate: Name | None = None
    """The variant that is on its way to production."""
    rivals: Annotated[tuple[Name, ...], pydantic.Strict(False)] = ()
    """Other candidates that go the same way beside it; each is judged at alpha divided by their number. They part the
    share of every step equally, every gate takes all of them, and the best that is proven is promoted."""
    scope: Scope = Scope()
    """What the use case does and does not do."""
    traffic: Traffic | None = None
    """How many units come: what the proof can be made of."""
    goals: dict[Name, Goal] = Field(default_factory=dict)
    """Outcomes that the use case exists to improve."""
    guardrails: dict[Name, Guardrail] = Field(default_factory=dict)
    """Outcomes that must not get worse. One on errors and one on fallbacks are always there, declared or not."""
    signals: dict[Name, Goal] = Field(default_factory=dict)
    """Metrics that are recorded and shown but decide nothing."""
    budget: Budget | None = None
    """What it may cost."""
    limits: Limits | None = None
    """How much may be asked."""
    data: Data = Data()
    """Where texts come from and what is kept."""
    upstreams: dict[Name, Upstream] = Field(default_factory=dict)
    """Providers by name, beside the built-in 'openai' and 'search'."""
    filters: dict[Name, Filter] = Field(default_factory=dict)
    """Checks of content that variants name. Guardrails are metrics; a filter looks at texts on their way."""
    variants: Annotated[dict[Name, Variant], Field(min_length=1)]
    """The ways to serve it, by name."""
    evaluation: Evaluation = Evaluation()
    """The team's own cases."""
    staging: Staging = Staging()
    """Shadow traffic for a candidate in staging."""
    gates: Gates = Gates()
    """What each stage demands beyond its defaults."""
    rollout: Rollout = Rollout()
    """How a candidate reaches users."""
    watch: Watch = Watch()
    """How what serves is watched for getting worse."""
    fairness: Fairness = Fairness()
    """Outcomes by group of units, and how far apart they may be."""
    approvals: Approvals = Approvals()
    """How many people must say yes."""

    @model_validator(mode="after")
    def _only_variant_serves(self) -> Self:
        """With a single variant and no word about it, that variant is what exists today."""
        if self.status_quo is None and self.candidate is None and len(self.variants) == 1:
            object.__setattr__(self, "status_quo", next(iter(self.variants)))
        return self

    @property
    def candidates(self) -> tuple[str, ...]:
        """Return the variants on their way, the first of them first; none without a candidate."""
        return (self.candidate, *self.rivals) if self.candidate is not None else ()

    @property
    def metrics(self) -> dict[str, Goal | Guardrail]:
        """Return every declared metric by name; names are unique over the three roles (checked on loading)."""
        return {**self.goals, **self.guardrails, **self.signals}

    @property
    def charter(self) -> str:
        """Return the charter's digest (12 hex digits): what is promised, and how many must say yes to it.

        Another digest voids evidence and approvals. Gates are not in it: a bound may move on what has been measured.
        """
        promised = {"goals", "guardrails", "scope", "tier", "unit", "approvals"}
        if self.fairness.segments:
            promised.add("fairness")
        part = self.model_dump(mode="json", include=promised)
        text = json.dumps(part, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]
