"""The portfolio as a board: every use case by its stage, with what a product owner asks first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pilotage.decision.criterion import OPENS
from pilotage.decision.transition import UNDER_WAY
from pilotage.decision.wording import currency_of, difference_text, variant_of
from pilotage.governance import budgets, standing
from pilotage.governance.context import Text, moment
from pilotage.governance.overview import READERS
from pilotage.governance.progress import readings_of
from pilotage.governance.promotion import gate_of
from pilotage.governance.retirement import retirements_shown
from pilotage.governance.staleness import card_stands
from pilotage.governance.watching import money_of
from pilotage.status import ROAD, Stage

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.governance.standing import Standing
    from pilotage.spec.use_case import UseCase
    from pilotage.status import UseCaseStatus
    from pilotage.store.base.transaction import Transaction

MOST = 60
_ALARMS = 100_000


class Board(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`stage` is one of the stages, or empty for all; `words` stand in a use case's name; `most` use cases of each stage, from `first`."""

    stage: Text = ""
    words: Text = ""
    first: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    most: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 12


def board(context: Context, actor: Actor, arguments: Board) -> dict[str, Any]:
    """Return by stage how many use cases the actor may see there, and cards of some: those with open alarms first, then by name."""
    with context.store.read() as tx:
        now = moment(context, tx)
        seen = [
            status
            for status in tx.statuses.all()
            if any(actor.allows(role, status.use_case) for role in READERS)
            and arguments.words.lower() in status.use_case
        ]
        raised: dict[str, int] = {}
        for alarm in tx.alarms.of(open_only=True, newest=_ALARMS):
            raised[alarm.use_case] = raised.get(alarm.use_case, 0) + 1
        stages = []
        for stage in (*ROAD, Stage.RETIRED):
            here = sorted(
                (status for status in seen if _stage(status) is stage),
                key=lambda status: (-raised.get(status.use_case, 0), status.use_case),
            )
            shown = here[arguments.first : arguments.first + arguments.most] if arguments.stage in ("", stage) else []
            cards = [
                _card(tx, standing.standing(tx, status.use_case), raised.get(status.use_case, 0), now)
                for status in shown
            ]
            stages.append({"stage": str(stage), "use_cases": len(here), "cards": cards})
        return {"use_cases": len(seen), "registered": bool(tx.use_cases.names()), "stages": stages}


def _stage(status: UseCaseStatus) -> Stage:
    return Stage.RETIRED if status.retired else status.stage


def _card(tx: Transaction, stands: Standing, alarms: int, now: int) -> dict[str, Any]:
    status, spec = stands.status, stands.spec
    rollout = status.rollout if status.rollout is not None and status.rollout.phase in UNDER_WAY else None
    card = card_stands(tx, stands, now)
    return {
        "use_case": status.use_case,
        "owner": spec.owner,
        "tier": spec.tier,
        "objective": spec.objective,
        "objectives": sorted({goal.objective for goal in spec.goals.values() if goal.objective}),
        "live": variant_of(status.live) if status.live else "",
        "candidates": [variant_of(release) for release in status.candidates],
        "paused": status.paused,
        "rollout": None
        if rollout is None
        else {
            "phase": str(rollout.phase),
            "share": rollout.share,
            "step": rollout.step,
            "steps": len(rollout.shares),
            "candidate": rollout.candidate,
            "rivals": list(rollout.rivals),
            "baseline": rollout.baseline,
        },
        "held": _held(tx, stands, now),
        "budget": budgets.stand(tx, status.use_case, budgets.of_use_case(spec), now),
        "currency": currency_of(spec),
        "so_far": so_far(tx, spec, status),
        "worth": worth(tx, spec),
        "alarms": alarms,
        "ends": next((one["day"] for one in retirements_shown(tx, stands, now) if one["soon"]), ""),
        "stale": bool(card and card["stale"]),
    }


def _held(tx: Transaction, stands: Standing, now: int) -> dict[str, Any] | None:
    """Return what holds the next gate: its first criterion that is not met, and how many more there are."""
    door = gate_of(tx, stands, now)
    if door is None:
        return None
    shut = [criterion for criterion in door.criteria if criterion.verdict not in OPENS]
    first = shut[0] if shut else None
    return {
        "stage": str(door.stage),
        "criterion": first.name if first else "",
        "verdict": str(first.verdict) if first else "",
        "says": first.says if first else "",
        "more": max(0, len(shut) - 1),
    }


def so_far(tx: Transaction, spec: UseCase, status: UseCaseStatus) -> list[dict[str, Any]]:
    """Return what the newest rollout has shown of each goal, in words, and whether it is proven."""
    readings = readings_of(tx, status.rollout) if status.rollout is not None else {}
    return [
        {
            "goal": name,
            "says": difference_text(name, goal, readings[name], currency_of(spec)),
            "proved": readings[name].proved,
        }
        for name, goal in spec.goals.items()
        if name in readings
    ]


def worth(tx: Transaction, spec: UseCase) -> dict[str, Any] | None:
    """Return how often the first goal that the file gives a worth was reached on the days that are known, and what that is worth."""
    name = next((name for name, goal in spec.goals.items() if goal.worth), "")
    found = money_of(tx, spec.name) if name else None
    if found is None:
        return None
    days = [day for day in found["days"] if name in day["reached"]]
    reached = sum(day["reached"][name] for day in days)
    each = spec.goals[name].worth or 0.0
    spent = sum(day["spent"] for day in days)
    return {
        "goal": name,
        "reached": reached,
        "days": len(days),
        "each": each,
        "comes_to": reached * each,
        "spent": spent,
    }
