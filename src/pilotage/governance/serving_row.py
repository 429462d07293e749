"""What the workers serve of one use case, compiled from where it stands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from pilotage.decision.verdict import guardrails
from pilotage.errors import NotFound
from pilotage.spec.route import Allocation, Limits, MetricDoor, Money, Route
from pilotage.status import Phase

if TYPE_CHECKING:
    from pilotage.spec.metric import Metric
    from pilotage.spec.use_case import UseCase
    from pilotage.status import UseCaseStatus
    from pilotage.store.base import Registered, Transaction

MILLION = 1_000_000
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
        allocation=_allocation(status),
        blind_after=spec.rollout.blind_after,
        retired=status.retired,
        retention=spec.data.retention,
        retain_for=spec.data.retain_for,
        currency=spec.budget.currency if spec.budget else "EUR",
        money=_money(registered, spec),
        limits=_limits(spec),
    )
    return msgspec.json.encode(route, order="deterministic")


def _allocation(status: UseCaseStatus) -> Allocation | None:
    rollout = status.rollout
    if rollout is None or rollout.phase not in (Phase.RUNNING, Phase.PAUSED):
        return None
    return Allocation(
        rollout=rollout.id,
        baseline=rollout.baseline,
        candidate=rollout.candidate,
        step=rollout.step,
        share=rollout.share,
        generation=rollout.generation,
        rivals=rollout.rivals,
        out=tuple(sorted(rollout.out)),
    )


def _money(registered: Registered, spec: UseCase) -> Money | None:
    budget = spec.budget
    if budget is None or not budget.capped:
        return None
    return Money(
        round((budget.a_day or 0) * MILLION),
        round((budget.a_month or 0) * MILLION),
        registered.releases[budget.beyond] if budget.beyond else "",
    )


def _limits(spec: UseCase) -> Limits:
    limits = spec.limits
    if limits is None:
        return Limits()
    return Limits(
        requests=limits.requests_a_minute or 0,
        tokens=limits.tokens_a_minute or 0,
        per=limits.per,
        max_tokens=limits.max_tokens,
    )


def _door(metric: Metric) -> MetricDoor:
    low, high = metric.bounds
    return MetricDoor(
        kind=metric.kind,
        low=low if math.isfinite(low) else None,
        # A value above a duration's or money's cap is taken, and counted as the cap.
        high=high if math.isfinite(high) and metric.kind not in ("duration", "money") else None,
    )
