"""What each use case costs: what its budget comes to, what a goal reached costs, and what was projected beside what it is.

Once an hour, beside the turns, from sealed events. A month that has ended is written into the ledger with what was projected
for it. A budget that will be passed, as sure as the forecast is, is an alarm.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.clock import DAY, HOUR, new_id
from pilotage.governance import ledger, standing
from pilotage.governance.alarms import raise_alarm
from pilotage.governance.watching import money_of
from pilotage.records import Alarm
from pilotage.spec.period import KINDS, period
from pilotage.stats.outturn import outturn
from pilotage.status import MILLION

if TYPE_CHECKING:
    from pilotage.governance.context import Context
    from pilotage.governance.mandate import Mandate
    from pilotage.governance.standing import Standing
    from pilotage.records import Evidence
    from pilotage.spec.period import Kind, Period
    from pilotage.store.base.recorded import Events
    from pilotage.store.base.transaction import Transaction

BACK = 28
"""Whole days that a forecast is made from."""
SHOWN = 60
PAUSE_SECONDS = 10.0
"""Real seconds between two turns, for hours pass quickly in a time-lapse."""
_ACTOR = "monitor"
_DAYS = """
    SELECT f."at" // $4 AS day, count(*) AS requests, CAST(sum(f.cost) AS BIGINT) AS cost,
        count(*) FILTER (f.served = $3 AND s.source = 'live') AS own,
        CAST(coalesce(sum(f.cost) FILTER (f.served = $3 AND s.source = 'live'), 0) AS BIGINT) AS own_cost
    FROM finished f JOIN started s ON s.use_case = f.use_case AND s.id = f.id
    WHERE f.use_case = $1 AND f."at" >= $2 AND s.use_case = $1 AND s."at" >= $2 - $4 GROUP BY 1 ORDER BY 1
"""
_GOALS = """
    SELECT metric, "at" // $4 AS day, count(DISTINCT coalesce(nullif(inference, ''), nullif(key, ''), unit)) AS reached
    FROM feedback WHERE use_case = $1 AND "at" >= $2 AND value > 0 AND metric IN (SELECT unnest($3)) GROUP BY 1, 2
"""

log = logging.getLogger(__name__)


class Money:
    """Works under `mandate` alone."""

    def __init__(self, context: Context, events: Events, mandate: Mandate, *, pause: float = PAUSE_SECONDS) -> None:
        self._context, self._events, self._mandate, self._pause = context, events, mandate, pause
        self._next = 0.0
        self._looked: dict[str, int] = {}

    def turn(self) -> None:
        """Look at every use case that was not looked at in this hour."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._pause
        now = self._context.clock.now()
        with self._context.store.read() as tx:
            names = [name for name in tx.use_cases.names() if self._looked.get(name) != now // HOUR]
        for name in names:
            if self._mandate.held:
                self.look(name, now)
                self._looked[name] = now // HOUR

    def look(self, name: str, now: int) -> None:
        with self._context.store.read() as tx:
            stands = standing.standing(tx, name)
            before = money_of(tx, name)
            projected = _projected(tx, stands)
        if stands.status.retired:
            return
        today = now // DAY
        since = min(period("month", now).begin, (today - SHOWN) * DAY)
        rows = self._events.query(_DAYS, (name, since, stands.status.live, DAY))
        found = self._found(stands, rows, now)
        found["projected"] = _beside(stands, rows, projected, now)
        with self._context.store.write() as tx:
            self._mandate.check(tx)
            if before is not None and before["month"] != found["month"]:
                self._ended(tx, stands, before, rows, now)
            tx.batches.keep(f"watch-{name}-money", 0, b"", msgspec.json.encode(found))
            for one in found["forecasts"]:
                if one["low"] is not None and one["low"] > one["cap"]:
                    raise_alarm(tx, stands.spec, self._alarm(stands, one, found["currency"], now))

    def _found(self, stands: Standing, rows: list[dict[str, Any]], now: int) -> dict[str, Any]:
        spec, today = stands.spec, now // DAY
        binary = [name for name, metric in spec.goals.items() if metric.kind == "binary" and metric.direction == "up"]
        reached: dict[str, dict[int, int]] = {name: {} for name in binary}
        for row in (
            self._events.query(_GOALS, (stands.status.use_case, (today - SHOWN) * DAY, binary, DAY)) if binary else ()
        ):
            reached[row["metric"]][int(row["day"])] = int(row["reached"])
        days = []
        for row in rows:
            day, spent = int(row["day"]), int(row["cost"]) / MILLION
            goals = {name: counts.get(day, 0) for name, counts in reached.items()}
            days.append(
                {
                    "day": period("day", day * DAY).name,
                    "requests": int(row["requests"]),
                    "spent": spent,
                    "reached": goals,
                    "a_goal": {name: spent / n if n else None for name, n in goals.items()},
                }
            )
        caps: dict[Kind, float | None] = {"day": spec.budget.a_day, "month": spec.budget.a_month} if spec.budget else {}
        costs = {int(row["day"]): int(row["cost"]) / MILLION for row in rows}
        return {
            "at": now,
            "month": period("month", now).name,
            "currency": spec.budget.currency if spec.budget else "EUR",
            "days": days[-SHOWN:],
            "forecasts": [_forecast(costs, period(kind, now), cap, now) for kind in KINDS if (cap := caps.get(kind))],
        }

    def _ended(
        self, tx: Transaction, stands: Standing, before: dict[str, Any], rows: list[dict[str, Any]], now: int
    ) -> None:
        """Write down what a month came to, beside what was forecast in it and what was projected before it."""
        month = before["month"]
        spent = sum(int(row["cost"]) for row in rows if period("month", int(row["day"]) * DAY).name == month) / MILLION
        detail = {"month": month, "spent": spent, "projected": before["projected"], "forecasts": before["forecasts"]}
        ledger.append(tx, at=now, actor=_ACTOR, action="money", use_case=stands.status.use_case, detail=detail)

    def _alarm(self, stands: Standing, one: dict[str, Any], currency: str, now: int) -> Alarm:
        return Alarm(
            id=new_id(self._context.clock),
            use_case=stands.status.use_case,
            release=stands.status.live,
            kind="money",
            what=f"the budget of {one['period']}",
            watch=f"money/{one['period']}",
            at=now,
            since=now,
            says=f"will not last: at this pace it comes to {one['value']:,.2f} {currency} ({one['low']:,.2f} to {one['high']:,.2f}), and {one['cap']:,.2f} are set",
            last=now,
            detail=one,
        )


def _forecast(costs: dict[int, float], within: Period, cap: float, now: int) -> dict[str, Any]:
    """Return what a period comes to at its end, with an interval; None where there are too few days."""
    # The first day may not have been a whole one.
    today, first = now // DAY, min(costs, default=now // DAY)
    known = [day for day in range(today - BACK, today) if day > first]
    spent = sum(cost for day, cost in costs.items() if within.begin // DAY <= day <= today)
    left: dict[int, float] = {today % 7: 1 - now % DAY / DAY}
    for day in range(today + 1, within.end // DAY):
        left[day % 7] = left.get(day % 7, 0.0) + 1
    found = outturn([(day, costs.get(day, 0.0)) for day in known], spent, left)
    value, low, high = found or (None, None, None)
    return {
        "period": within.name,
        "cap": cap,
        "spent": spent,
        "value": value,
        "low": low,
        "high": high,
        "days": len(known),
    }


def _projected(tx: Transaction, stands: Standing) -> Evidence | None:
    """Return the newest evidence of what a request of the live release costs."""
    found = tx.evidence.of(stands.status.use_case, release=stands.status.live) if stands.status.live else []
    return next((fact for fact in reversed(found) if fact.measure == "cost"), None)


def _beside(
    stands: Standing, rows: list[dict[str, Any]], projected: Evidence | None, now: int
) -> dict[str, Any] | None:
    """Return what was projected for a request, and for a month, beside what it is since the release serves."""
    first = max(stands.status.live_since // DAY + 1, now // DAY - BACK)
    whole = [row for row in rows if first <= int(row["day"]) < now // DAY]
    asked, cost = sum(int(row["own"]) for row in whole), sum(int(row["own_cost"]) for row in whole) / MILLION
    if projected is None or not asked:
        return None
    month = (projected.detail.get("a_month") or {}).get("1x")
    days = now // DAY - first
    actual = sum(int(row["cost"]) for row in whole) / MILLION / days * 30
    return {
        "a_request": {
            "projected": projected.value,
            "low": projected.low,
            "high": projected.high,
            "actual": cost / asked,
            "error": cost / asked / projected.value - 1 if projected.value else None,
            "n": asked,
        },
        "a_month": {
            "projected": month[0],
            "low": month[1],
            "high": month[2],
            "actual": actual,
            "error": actual / month[0] - 1 if month[0] else None,
        }
        if month
        else None,
    }
