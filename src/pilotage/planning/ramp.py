"""The file's ramp in days: how long each step lasts at least, and who is compared with whom in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.decision.verdict import guardrails
from pilotage.spec.quantity import duration_text
from pilotage.stats import planner

if TYPE_CHECKING:
    from pilotage.spec.use_case import UseCase

DAY = 86_400_000_000
ANY = planner.Traffic(3000.0)
"""What units are counted with where no traffic is declared; days then mean nothing and are not told."""
_ALL = 1 - 1e-6
"""Where everybody has the candidate there is nobody to compare with: as good as no information."""


class Stop(msgspec.Struct, frozen=True):
    """One step: the candidates' share of all units, the days that it lasts at least, and why so long.

    `days` is None where nothing is known of the traffic. `proves` says that it lasts until everything is proven.
    """

    share: float
    proves: bool
    days: float | None
    why: str


def rivals(spec: UseCase) -> int:
    """Return how many candidates share the ramp."""
    return 1 + len(spec.rivals)


def traffic_of(spec: UseCase) -> planner.Traffic | None:
    """Return the declared traffic with its return curve. In a rollout's eyes, regulars are new once."""
    if spec.traffic is None:
        return None
    fresh = 1 - spec.traffic.returning
    return planner.Traffic(spec.traffic.new_units_a_day / fresh, fresh, spec.traffic.regulars or 0.0)


def compared(spec: UseCase, share: float, days: float | None = None) -> planner.Step:
    """Return a step as one candidate meets it: each has an equal part of the share, the baseline all that is left."""
    part = share / rivals(spec) + 1 - share
    pi = min(share / rivals(spec) / part, _ALL)
    return planner.Step(pi, part=part) if days is None else planner.Step(pi, days, part)


def stops(spec: UseCase) -> tuple[Stop, ...]:
    """Return the ramp's steps. One lasts until each guardrail has `minimum_units` matured candidate units and holds end."""
    traffic = traffic_of(spec)
    slowest = max((metric.matures_after for metric in guardrails(spec).values()), default=0)
    found: list[Stop] = []
    start = 0.0
    proven = False
    for step in spec.rollout.steps:
        share = step.share / 100
        proves = "prove" in step.demands and not proven
        proven = proven or proves
        if traffic is None:
            found.append(Stop(share, proves, None, f"{spec.rollout.minimum_units:,} candidate {spec.unit}s"))
            continue
        counting = _days_for(traffic, start, spec.rollout.minimum_units * rivals(spec) / share) + slowest / DAY
        hold = step.hold / DAY
        why = f"{spec.rollout.minimum_units:,} candidate {spec.unit}s"
        if slowest:
            why += f" matured after {duration_text(slowest)}"
        days, why = (hold, f"hold {duration_text(step.hold)}") if hold > counting else (counting, why)
        found.append(Stop(share, proves, days, why))
        start += days
    return tuple(found)


def _days_for(traffic: planner.Traffic, start: float, units: float) -> float:
    """Return the days from `start` on in which so many new units come."""
    wanted = traffic.new_units(start) + units
    low, high = start, start + planner.HORIZON
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if traffic.new_units(middle) < wanted else (low, middle)
    return high - start


def to_the_proof(spec: UseCase) -> tuple[list[planner.Step], float] | None:
    """Return the steps up to the one that proves, and the days that those after it last; None where none proves.

    Without traffic, steps last for the units that they need at some traffic or other, and only units mean anything.
    """
    road = stops(spec)
    proving = next((index for index, stop in enumerate(road) if stop.proves), None)
    if proving is None:
        return None
    units = spec.rollout.minimum_units * rivals(spec)
    earlier = [
        compared(spec, stop.share, stop.days if stop.days is not None else units / stop.share / ANY.daily)
        for stop in road[:proving]
    ]
    rest = sum(stop.days or 0.0 for stop in road[proving + 1 :])
    return [*earlier, compared(spec, road[proving].share)], rest
