"""What the workers serve of one use case, compiled from where it stands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from pilotage.decision.policy import barred
from pilotage.decision.verdict import guardrails
from pilotage.decision.watch import held_back
from pilotage.errors import NotFound
from pilotage.governance.organisation import organisation_of
from pilotage.spec.route import Allocation, MetricDoor, Route, ShadowPlan
from pilotage.status import MILLION, Phase, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.spec.metric import Metric
    from pilotage.spec.release import Release
    from pilotage.spec.use_case import UseCase
    from pilotage.status import UseCaseStatus
    from pilotage.store.base import Registered, Transaction

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
        allocation=_allocation(status, spec),
        blind_after=spec.rollout.blind_after,
        retired=status.retired,
        barred=_barred(tx, spec, releases),
        retention=spec.data.retention,
        retain_for=spec.data.retain_for,
        currency=spec.budget.currency if spec.budget else "EUR",
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
