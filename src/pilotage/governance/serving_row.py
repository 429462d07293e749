"""What the workers serve of one use case, compiled from where it stands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from pilotage.decision.policy import barred, kept_at_most, may_cache
from pilotage.decision.verdict import guardrails
from pilotage.decision.watch import held_back
from pilotage.errors import NotFound
from pilotage.governance.organisation import organisation_of
from pilotage.spec.pricelist import converted, listed
from pilotage.spec.route import Allocation, Limits, MetricDoor, Money, Pace, Route, ShadowPlan
from pilotage.spec.spending import UnitBudget
from pilotage.status import MILLION, Phase, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.spec import spending
    from pilotage.spec.metric import Metric
    from pilotage.spec.price import Price
    from pilotage.spec.release import Release
    from pilotage.spec.use_case import UseCase
    from pilotage.status import UseCaseStatus
    from pilotage.store.base.registered import Registered
    from pilotage.store.base.transaction import Transaction

_TOLD = ("feedback", "errors", "fallbacks", "slow")
"""Sources that feedback adds to. Of these, all but the first are seen by the gateway too; where the application calls the
model itself, only the application can say."""


def compile_route(tx: Transaction, status: UseCaseStatus, registered: Registered, spec: UseCase) -> bytes:
    """Return the JSON of the `Route`: every release of the use case, for pinning, and the split of its rollout."""
    releases = {}
    for reference in tx.releases.of(registered.name):
        release = tx.releases.get(reference)
        if release is None:
            raise NotFound(f"release {reference} is listed but not stored")
        releases[reference] = release
    organisation = organisation_of(tx)
    kept, days = kept_at_most(organisation, spec.data)
    route = Route(
        use_case=registered.name,
        unit=spec.unit,
        live=status.live,
        releases={} if status.retired else releases,
        metrics={
            name: _door(metric)
            for name, metric in {**spec.metrics, **guardrails(spec)}.items()
            if metric.source in _TOLD
        },
        allocation=_allocation(status, spec),
        blind_after=spec.rollout.blind_after,
        retired=status.retired,
        barred=_barred(tx, spec, releases),
        retention=kept,
        retain_for=days,
        segments=dict(spec.fairness.segments),
        caches=may_cache(organisation, spec.data),
        forgotten=tx.erasures.count(registered.name),
        currency=spec.budget.currency if spec.budget else "EUR",
        prices=_public_prices(releases, spec),
        money=_money(registered, spec),
        limits=_limits(spec),
        shadow=_shadow(status, spec),
    )
    return msgspec.json.encode(route, order="deterministic")


def _barred(tx: Transaction, spec: UseCase, releases: Mapping[str, Release]) -> dict[str, str]:
    """Return by release why nothing may be sent to it; each is judged, for old ones may be pinned."""
    rules = organisation_of(tx)
    if rules is None:
        return {}
    found = {reference: barred(rules, spec, release.upstream) for reference, release in releases.items()}
    return {reference: rule[1] for reference, rule in found.items() if rule is not None}


def _allocation(status: UseCaseStatus, spec: UseCase) -> Allocation | None:
    rollout = status.rollout
    if rollout is None:
        return None
    share = rollout.share
    if held := held_back(status, spec):
        share = MILLION - held
    elif rollout.phase not in (Phase.RUNNING, Phase.PAUSED):
        return None
    return Allocation(
        rollout=rollout.id,
        baseline=rollout.baseline,
        candidate=status.live if held else rollout.candidate,
        step=rollout.step,
        share=share,
        generation=rollout.generation,
        rivals=() if held else rollout.rivals,
        out=() if held else tuple(sorted(rollout.out)),
        over=bool(held),
    )


def _money(registered: Registered, spec: UseCase) -> Money | None:
    budget = spec.budget
    if budget is None or not budget.capped:
        return None
    unit = budget.unit or UnitBudget()
    return Money(
        a_day=_millionths(budget.a_day),
        a_month=_millionths(budget.a_month),
        beyond=registered.releases[budget.beyond] if budget.beyond else "",
        unit_a_day=_millionths(unit.a_day),
        unit_a_month=_millionths(unit.a_month),
    )


def _millionths(amount: float | None) -> int:
    return round((amount or 0) * MILLION)


def _limits(spec: UseCase) -> Limits:
    limits = spec.limits
    if limits is None:
        return Limits()
    return Limits(
        key=_pace(limits.key), unit=_pace(limits.unit), max_tokens=limits.max_tokens, max_bytes=limits.max_bytes
    )


def _pace(pace: spending.Pace | None) -> Pace:
    return Pace() if pace is None else Pace(pace.requests_a_minute or 0, pace.tokens_a_minute or 0)


def _public_prices(releases: Mapping[str, Release], spec: UseCase) -> dict[str, Price]:
    """Return the public prices of those that name none, where they can be said in the file's currency."""
    rate = spec.budget.rate if spec.budget else None
    found = {
        reference: listed(release.upstream.provider, release.model)
        for reference, release in releases.items()
        if release.price is None and rate is not None
    }
    return {reference: converted(one, rate or 0) for reference, one in found.items() if one is not None}


def _shadow(status: UseCaseStatus, spec: UseCase) -> ShadowPlan | None:
    """Return what is copied while the candidates are in staging; afterwards users meet them, and nothing need be copied."""
    staging = spec.staging
    if not staging.shadow or staging.shadow_a_day is None or status.stage is not Stage.STAGING or status.paused:
        return None
    if not status.candidates:
        return None
    return ShadowPlan(
        releases=tuple(status.candidates),
        share=round(staging.shadow * 10_000),
        a_day=round(staging.shadow_a_day * 1_000_000),
        at_once=staging.shadow_at_once,
    )


def _door(metric: Metric) -> MetricDoor:
    low, high = metric.bounds
    return MetricDoor(
        kind=metric.kind,
        low=low if math.isfinite(low) else None,
        # A value above a duration's or money's cap is taken, and counted as the cap.
        high=high if math.isfinite(high) and metric.kind not in ("duration", "money") else None,
    )
