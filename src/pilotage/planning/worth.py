"""Whether a goal is worth what it costs: its worth times its effect, beside the cost of serving."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.decision.wording import amount_text, currency_of

if TYPE_CHECKING:
    from pilotage.spec.metric import Goal
    from pilotage.spec.use_case import UseCase

MONTH = 30.0
"""Days."""


class Worth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Money a day, if a goal reaches `effect`: what it brings and what serving costs at most by the budget.

    `break_even_effect` is the effect that pays for itself, `break_even_units` the new units a day that do (None: none
    do, or any do). `says` is the whole in words.
    """

    goal: str
    effect: float
    brings: float | None = None
    costs: float | None = None
    break_even_effect: float | None = None
    break_even_units: float | None = None
    worth_doing: bool | None = None
    says: str = ""


def worths(spec: UseCase) -> tuple[Worth, ...]:
    """Return one for each goal that is given a worth."""
    return tuple(_worth(spec, name, goal) for name, goal in spec.goals.items() if goal.worth)


def _worth(spec: UseCase, name: str, goal: Goal) -> Worth:
    """Judge the target where there is one, else the smallest effect: if that does not pay, nothing smaller does."""
    currency = currency_of(spec)
    unit, worth = spec.unit, goal.worth or 0.0
    hoped = _hoped(goal)
    if hoped is None:
        says = f"{name}: what it brings cannot be said without today and target, or a minimum_effect."
        return Worth(goal=name, effect=0.0, says=says)
    effect, which = hoped
    gained = worth * effect
    each = f"{name}: {which} of {amount_text(effect, goal, currency)} brings {money(gained, currency)} a {unit}"
    a_unit, a_day, source = _cost(spec)
    if a_unit is None and a_day is None:
        says = f"{each}. What a {unit} costs is not in the file; give budget.a_request, or budget.a_month."
        return Worth(goal=name, effect=effect, says=says)
    daily = spec.traffic.new_units_a_day if spec.traffic else None
    if a_unit is not None:
        even = a_unit / worth
        pays = gained >= a_unit
        brings, costs = (gained * daily, a_unit * daily) if daily else (None, None)
        cost = f"serving costs at most {money(a_unit, currency)} a {unit} ({source})"
        says = f"{each}; {cost}. It pays from an effect of {amount_text(even, goal, currency)} on"
        found = Worth(goal=name, effect=effect, brings=brings, costs=costs, break_even_effect=even, worth_doing=pays)
    else:
        fixed = a_day or 0.0
        units = fixed / gained
        pays_at = daily >= units if daily else None
        even_at = fixed / (worth * daily) if daily else None
        cost = f"serving costs at most {money(fixed, currency)} a day ({source})"
        says = f"{each}; {cost}. It pays from {units:,.0f} new {unit}s a day on"
        if even_at is not None:
            says += f"; with {daily:,.0f}, from an effect of {amount_text(even_at, goal, currency)} on"
        found = Worth(
            goal=name,
            effect=effect,
            brings=gained * daily if daily else None,
            costs=fixed,
            break_even_effect=even_at,
            break_even_units=units,
            worth_doing=pays_at,
        )
    if found.brings is not None and found.costs is not None:
        says += f": {money(found.brings, currency)} a day for {money(found.costs, currency)}"
    says += "."
    if found.worth_doing is False:
        says += f" NOT WORTH DOING: even {which} does not pay for the budget."
    return msgspec.structs.replace(found, says=says)


def money(value: float, currency: str) -> str:
    """Say an amount with as many digits as it needs: `1,250 EUR`, `12 EUR`, `0.0028 EUR`."""
    return f"{value:,.0f} {currency}" if value >= 10 else f"{value:.2g} {currency}"


def _hoped(goal: Goal) -> tuple[float, str] | None:
    if goal.target is not None and goal.today is not None:
        gain = goal.target - goal.today if goal.direction == "up" else goal.today - goal.target
        if gain > 0:
            return gain, "the hoped-for gain"
    if goal.minimum_effect is not None:
        return goal.minimum_effect, "the smallest effect that matters"
    return None


def _cost(spec: UseCase) -> tuple[float | None, float | None, str]:
    """Return (cost a unit, or cost a day, where it stands): what the budget allows at most."""
    budget = spec.budget
    if budget is None:
        return None, None, ""
    if budget.a_request is not None:
        requests = spec.traffic.requests_a_unit if spec.traffic else 1.0
        times = f" x {requests:g} requests" if requests != 1 else ""
        return budget.a_request * requests, None, f"budget.a_request{times}"
    if budget.a_month is not None:
        return None, budget.a_month / MONTH, "budget.a_month"
    if budget.a_day is not None:
        return None, budget.a_day, "budget.a_day"
    return None, None, ""
