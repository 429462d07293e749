"""What the workers must know of one use case: written by governance, read by serving. Free of pydantic."""

from __future__ import annotations

import math

import msgspec

from pilotage.spec.price import Price
from pilotage.spec.release import Release

GREATEST = 1e12
"""Beyond this, sums of squares of millionths would leave what can be computed with."""


class MetricDoor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the feedback door checks of one declared metric. Infinite bounds are left out."""

    kind: str
    low: float | None = None
    high: float | None = None

    def fault(self, value: float) -> str:
        """Return what is wrong with a value, or an empty string."""
        if not math.isfinite(value):
            return f"{value} is not a finite number"
        if abs(value) > GREATEST:
            return f"{value:g} is larger than any outcome can be; the most is {GREATEST:g}"
        if self.kind == "binary" and value not in (0, 1):
            return f"{value:g} is not 0 or 1"
        if self.kind == "count" and value != int(value):
            return f"{value:g} is not a whole number"
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            low = "-inf" if self.low is None else f"{self.low:g}"
            high = "inf" if self.high is None else f"{self.high:g}"
            return f"{value:g} lies outside {low} to {high}"
        return ""


class Allocation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The split of one rollout: `share` of units, in millionths, get a candidate.

    `rivals` are the candidates beside the first: each owns an equal part of all positions, and has `share` of that. In the
    part of one that is `out`, everybody gets the baseline. Where the rollout is `over`, some keep what served before it, to be
    compared with, and nobody need watch it for that.
    """

    rollout: str
    baseline: str
    candidate: str
    step: int
    share: int
    generation: int
    rivals: tuple[str, ...] = ()
    out: tuple[str, ...] = ()
    over: bool = False


class Money(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a use case may cost, in millionths of its currency; 0 is no cap. `beyond` answers where that does not suffice.

    `whole`: the first worker takes all of it beforehand, as the only one of a staging copy.
    """

    a_day: int = 0
    a_month: int = 0
    beyond: str = ""
    unit_a_day: int = 0
    unit_a_month: int = 0
    whole: bool = False


class Pace(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much may be asked in a minute; 0 is no limit."""

    requests: int = 0
    tokens: int = 0


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much may be asked in a minute, by each key and by each unit.

    `max_tokens` is how long an answer may be where neither the request nor its release says it, `max_bytes` how large a
    request (0: as large as any).
    """

    key: Pace = Pace()
    unit: Pace = Pace()
    max_tokens: int = 4_096
    max_bytes: int = 0


class ShadowPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which live requests are copied: `share` in millionths, each to one of `releases`, a worker at most `at_once` at a time.

    All workers together spend at most `a_day` on them (millionths of the currency).
    """

    releases: tuple[str, ...]
    share: int
    a_day: int
    at_once: int = 4


class Route(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything a worker must know of one use case. `live` is empty where nothing serves yet.

    `releases` holds every release that may be asked for: live, all sides of a rollout, their fallbacks, and all
    others of the use case, for pinning. `currency` is what prices are in; `prices` are the public ones of releases that
    name none themselves. When the controller has not been heard of for `blind_after` (microseconds of real time), the
    rollout's units get the baseline. `barred` says by release why the organisation's rules let nothing be sent to it;
    `forgotten` counts the units that were erased; `caches` is false where rules of the organisation let no text be kept, in
    memory neither. `segments` are the groups that a request may say its unit belongs to.
    """

    use_case: str
    unit: str
    live: str
    releases: dict[str, Release]
    metrics: dict[str, MetricDoor]
    allocation: Allocation | None = None
    blind_after: int = 60_000_000
    barred: dict[str, str] = {}
    forgotten: int = 0
    caches: bool = True
    segments: dict[str, tuple[str, ...]] = {}
    retention: str = "none"
    retain_for: int = 30
    currency: str = "EUR"
    retired: bool = False
    shadow: ShadowPlan | None = None
    money: Money | None = None
    limits: Limits = Limits()
    prices: dict[str, Price] = {}

    def price(self, reference: str, release: Release) -> Price | None:
        """Return what a release costs, None where nobody knows."""
        return release.price or self.prices.get(reference)
