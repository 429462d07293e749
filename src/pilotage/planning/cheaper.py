"""Changes to the file that would save a third of the days or more, each tried alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.decision.verdict import guardrails, judged, proof_demanded
from pilotage.decision.wording import amount_text, currency_of
from pilotage.planning.proof import LIKELY, proof
from pilotage.planning.ramp import stops
from pilotage.planning.whole import Whole, whole
from pilotage.spec.metric import Guardrail
from pilotage.spec.quantity import duration_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pilotage.planning.proof import Proof
    from pilotage.spec.metric import Goal, Metric
    from pilotage.spec.use_case import UseCase

LEAST = 1 / 3
"""Savings below this part of the days are not worth a change."""
_HOUR = 3_600_000_000
_HALF = 50.0


class Cheaper(msgspec.Struct, frozen=True):
    """One change, the days to be 80 % sure with it, and the days that it saves."""

    change: str
    days: float
    saves: float


def cheaper(spec: UseCase, found: tuple[Proof, ...]) -> tuple[Cheaper, ...]:
    """Return the changes that save most first; none where no traffic is declared or nothing is to be proven."""
    now = whole(spec, found)
    days = now.likely.days if now and now.likely else None
    if days is None or not proof_demanded(spec):
        return ()
    slow = [one.name for one in found if _days(one) > days * (1 - LEAST)]
    better = []
    for change, other, touched in _variations(spec, slow):
        again = tuple(
            proof(other, one.name, _metric(other, one.name)) if touched is None or one.name in touched else one
            for one in found
            if one.name in other.goals or one.name in guardrails(other)
        )
        after: Whole | None = whole(other, again)
        then = after.likely.days if after and after.likely else None
        if then is not None and days - then >= LEAST * days:
            better.append(Cheaper(change, then, days - then))
    return tuple(sorted(better, key=lambda one: -one.saves))


def _variations(spec: UseCase, slow: list[str]) -> Iterator[tuple[str, UseCase, list[str] | None]]:
    """Yield (the change in words, the file with it, which metrics it touches; None: all)."""
    currency = currency_of(spec)
    steps = spec.rollout.steps
    proving = next(index for index, step in enumerate(steps) if "prove" in step.demands)
    if steps[proving].share < _HALF:
        wider = steps[proving].model_copy(update={"share": _HALF})
        ramp = spec.rollout.model_copy(update={"steps": (*steps[:proving], wider)})
        yield f"prove at 50 % instead of {steps[proving].share:g} %", spec.model_copy(update={"rollout": ramp}), None
    for index, stop in enumerate(stops(spec)[:proving]):
        rest = (*steps[:index], *steps[index + 1 :])
        ramp = spec.rollout.model_copy(update={"steps": rest})
        change = f"leave out the step at {steps[index].share:g} %, which lasts {stop.days or 0:.1f} days"
        yield change, spec.model_copy(update={"rollout": ramp}), None
    goals = [name for name in slow if name in spec.goals]
    larger = {name: _larger(spec, name) for name in goals}
    if goals and all(larger.values()):
        said = ", ".join(
            f"{name} {amount_text(size or 0.0, spec.goals[name], currency)}" for name, size in larger.items()
        )
        changed = {name: spec.goals[name].model_copy(update={"minimum_effect": size}) for name, size in larger.items()}
        yield f"look for a larger effect ({said}), if no smaller one matters", _with(spec, goals=changed), goals
    tight = [name for name in slow if name in guardrails(spec)]
    if tight:
        said = ", ".join(
            f"{name} {amount_text(2 * (_margin(spec, name)), _metric(spec, name), currency)}" for name in tight
        )
        doubled = {name: _metric(spec, name).model_copy(update={"margin": 2 * _margin(spec, name)}) for name in tight}
        yield f"allow twice the margin ({said}), if that is bearable", _with(spec, guardrails=doubled), tight
        timed = [name for name in tight if _metric(spec, name).kind == "duration"]
        if timed:
            binary = dict.fromkeys(timed, _SLOW)
            said = ", ".join(timed)
            change = f"judge by how many are slow (source = 'slow', a limit that 5 % pass today, margin = 0.05), not by the mean {said}"
            yield change, _with(spec, guardrails=binary), timed
    late = max((metric.matures_after for metric in {**spec.goals, **guardrails(spec)}.values()), default=0)
    if late > 6 * _HOUR:
        sooner = max(late // 4, _HOUR)
        short = {
            role: {
                name: metric.model_copy(update={"matures_after": min(metric.matures_after, sooner)})
                for name, metric in getattr(spec, role).items()
            }
            for role in ("goals", "guardrails")
        }
        change = (
            f"take values as final after {duration_text(sooner)} instead of {duration_text(late)}, if few come later"
        )
        yield change, spec.model_copy(update=short), None


_SLOW = Guardrail(source="slow", direction="down", limit="4s", today=0.05, margin=0.05)  # type: ignore[arg-type]


def _larger(spec: UseCase, name: str) -> float | None:
    """Return a larger effect to look for: the one hoped for where it is larger, else half as much again."""
    goal = spec.goals[name]
    if goal.minimum_effect is None:
        return None
    hoped = abs(goal.target - goal.today) if goal.target is not None and goal.today is not None else 0.0
    return hoped if hoped > goal.minimum_effect else 1.5 * goal.minimum_effect


def _with(spec: UseCase, **metrics: Mapping[str, Metric]) -> UseCase:
    update = {role: {**getattr(spec, role), **changed} for role, changed in metrics.items()}
    return spec.model_copy(update=update)


def _metric(spec: UseCase, name: str) -> Goal | Guardrail:
    return judged(spec)[name]


def _margin(spec: UseCase, name: str) -> float:
    return guardrails(spec)[name].margin or 0.0


def _days(one: Proof) -> float:
    likely = one.course.to(LIKELY) if one.course else None
    return likely.days if likely else float("inf")
