"""A load ramp: how much the real path holds, up to the declared peak and past it, and what ends it.

Each rung is an open loop at one rate, so a request that waits delays no other and is not left out. A rung holds while
errors stay below `MOST_ERRORS` and the 95th percentile below the file's limit, and below `KNEE` times that of the first.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from pilotage.errors import Conflict, NotMeasured
from pilotage.evaluation.client import PATIENCE, GatewayClient
from pilotage.evaluation.evidence import outcome, record
from pilotage.evaluation.hint import hint
from pilotage.evaluation.measures import Measure
from pilotage.evaluation.plan import fetch_cases, fetch_plan
from pilotage.staging.causes import causes
from pilotage.staging.findings import slow_beyond
from pilotage.staging.quota import ceilings
from pilotage.staging.rehearse import LATE, digest, likely
from pilotage.staging.replay import Ask, Sent, replay

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pilotage.evaluation.plan import Command, Plan
    from pilotage.evaluation.run import Progress
    from pilotage.staging.rehearse import Setting

RUNGS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
"""Rates, as multiples of the declared peak."""
RUNG_SECONDS = 5.0
FEWEST = 30
"""Requests of a rung: a slow use case's rungs take as long as these need, up to `LONGEST`."""
LONGEST = 30.0
_MONEY_LIMITS = "money limits"
MOST_ERRORS = 0.02
KNEE = 3.0
PEAK_OF_MEAN = 2.5
"""Where no peak is declared: the busiest second over the day's mean."""
BUSY = 0.9
"""A share of a core beyond which a worker is what limits."""
_DAY_SECONDS = 86_400


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """One rate, and what came of it; seconds."""

    rate: float
    requests: int
    errors: float
    p50: float
    p95: float
    p99: float
    holds: bool
    worker: float | None = None


async def ramp(
    command: Command,
    gateway: str,
    key: str,
    use_case: str,
    *,
    variant: str = "",
    setting: Setting,
    busy: Callable[[], float | None] = lambda: None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Climb, and record `scalability`: the rate that holds, in multiples of the declared peak.

    Its interval runs from the last rung that held to the first that did not (or to the last, where all held). `busy`
    gives the seconds of processor time that the gateway has used, where that can be known.
    """
    plan = await fetch_plan(command, use_case, variant)
    cases = await fetch_cases(command, plan)
    peak, says = declared_peak(plan)
    questions = likely(cases)
    async with GatewayClient(gateway, key, source="replay") as client:
        await client.check()
    told = progress or (lambda _what, _done, _of: None)
    limit = slow_beyond(plan.spec)
    rungs: list[Rung] = []
    everything: list[Sent] = []
    planned: list[Ask] = []
    late = False
    for multiple in RUNGS:
        schedule = _rung(peak * multiple, questions)
        planned += schedule
        before, began = busy(), time.monotonic()
        sent = await replay(gateway, key, plan.candidate, schedule, partial(told, f"{peak * multiple:.4g} a second"))
        took, after = time.monotonic() - began, busy()
        everything += sent
        late = float(np.quantile([one.slip for one in sent], 0.99)) > LATE
        if late:
            break
        worker = None if before is None or after is None else (after - before) / took
        rungs.append(_seen(peak * multiple, sent, (limit, rungs[0].p95 if rungs else None), worker))
        if not rungs[-1].holds:
            break
        await asyncio.sleep(0)
    if not rungs:
        raise NotMeasured("the sender could not keep even the lowest rate", hint="use a machine with more to spare")
    held = max((rung.rate for rung in rungs if rung.holds), default=0.0)
    ended = None if rungs[-1].holds else rungs[-1]
    above = ceilings(plan, everything, peak)
    most = above[0].rate if above else float("inf")
    limits = [*_limits(plan, rungs, everything, peak, late=late), *(one.says for one in above)]
    end = min(ended.rate if ended else rungs[-1].rate, most)
    detail = {
        "peak": peak,
        "peak_from": says,
        "provider": setting.provider,
        "rungs": [msgspec.to_builtins(rung) for rung in rungs],
        "knee": ended.rate if ended else None,
        "limits": limits,
        "limited_by": "money"
        if any(one.startswith(_MONEY_LIMITS) for one in limits)
        else above[0].name
        if most < held
        else "the ramp"
        if ended
        else "nothing found",
        **causes(everything),
    }
    measure = Measure(
        measure="scalability",
        value=min(held, most) / peak,
        low=min(held, most) / peak,
        high=max(end, min(held, most)) / peak,
        n=len(everything),
        method=f"the highest rate that holds, in multiples of {peak:.4g} a second ({says}); open loop; a rung holds with at"
        f" most {MOST_ERRORS:.0%} errors, and 95 % within {limit:g} s and {KNEE:g} times the first rung's; the upper end is"
        " the first that does not, or the last; never beyond the provider's declared quota",
        detail=detail,
    )
    now = await fetch_plan(command, use_case, variant)
    if (now.candidate, now.charter) != (plan.candidate, plan.charter):
        raise Conflict(f"{use_case} was changed during the ramp, so nothing was recorded", hint="run it again")
    evidence = await record(command, plan, [measure], digest(cases, planned))
    knee = f"the knee is at {ended.rate:.4g}" if ended else "no knee was found"
    return {
        **outcome(plan, [measure], {}, evidence),
        **detail,
        "summary": f"{plan.candidate} holds {held:.4g} requests a second, {held / peak:.2g} times the peak of {peak:.4g}"
        f" ({says}); {knee}; {'; '.join(limits)}.",
    }


def declared_peak(plan: Plan) -> tuple[float, str]:
    """Return the busiest second that the file declares, or what follows from its traffic, and which of them it is."""
    traffic = plan.spec.get("traffic")
    if not traffic:
        raise NotMeasured(
            f"{plan.use_case} declares no traffic, so there is no peak to climb to",
            hint="write [traffic] new_units_a_day = 3000 and peak_requests_a_second = 4 in usecase.toml",
        )
    if traffic.get("peak_requests_a_second"):
        return float(traffic["peak_requests_a_second"]), "declared"
    mean = float(traffic["new_units_a_day"]) * float(traffic.get("requests_a_unit", 1.0)) / _DAY_SECONDS
    return mean * PEAK_OF_MEAN, f"{PEAK_OF_MEAN:g} times the declared day's mean, for no peak is declared"


def _rung(rate: float, questions: Sequence[Sequence[dict[str, Any]]]) -> list[Ask]:
    """Return arrivals without memory at one rate: what comes at a steady rate comes so."""
    count = max(int(rate * RUNG_SECONDS), min(FEWEST, int(rate * LONGEST) + 1))
    random = np.random.default_rng(count)
    at = np.cumsum(random.exponential(1 / rate, count))
    return [Ask(at=float(one), messages=questions[index % len(questions)]) for index, one in enumerate(at)]


def _seen(rate: float, sent: Sequence[Sent], bounds: tuple[float, float | None], worker: float | None) -> Rung:
    limit, first = bounds
    waited = [max(one.latency, PATIENCE) if one.reply.error else one.latency for one in sent]
    errors = sum(bool(one.reply.error) for one in sent) / len(sent)
    p50, p95, p99 = (float(one) for one in np.quantile(waited, (0.5, 0.95, 0.99)))
    most = limit if first is None else min(limit, max(KNEE * first, 0.1))
    return Rung(
        rate=rate,
        requests=len(sent),
        errors=errors,
        p50=p50,
        p95=p95,
        p99=p99,
        holds=errors <= MOST_ERRORS and p95 <= most,
        worker=worker,
    )


def _limits(plan: Plan, rungs: Sequence[Rung], sent: Sequence[Sent], peak: float, *, late: bool) -> list[str]:
    """Say what ends it: the provider, the gateway, the sender, or money."""
    found = []
    last = rungs[-1]
    errors = Counter(one.reply.error for one in sent if one.reply.error)
    worst = errors.most_common(1)[0][0] if errors else ""
    if not last.holds and last.worker is not None and last.worker > BUSY:
        found.append(f"the gateway's worker uses {last.worker:.0%} of a core: start more (`serve --workers`)")
    elif not last.holds and "429" in worst:
        quota = max((rung.rate for rung in rungs if rung.holds), default=0.0)
        found.append(
            f"the provider's quota limits: it says 429 beyond about {quota:.4g} a second, and the peak is {peak:.4g}"
        )
    elif not last.holds and worst:
        found.append(f"errors limit, most often {worst}: {hint(worst)}")
    elif not last.holds:
        found.append(f"the provider's time limits: 95 % within {last.p95:.2f} s at {last.rate:.4g} a second")
    elif late:
        found.append("the sender could not go faster, so what lies beyond is not known")
    if money := _money(plan, sent):
        found.append(money)
    return found or ["nothing ended it within the ramp"]


def _money(plan: Plan, sent: Sequence[Sent]) -> str:
    """Return what a declared day costs at these requests' tokens, beside the budget; empty where that is not known."""
    price, budget = plan.price(plan.candidate), plan.spec.get("budget") or {}
    answered = [one.reply for one in sent if not one.reply.error]
    counted = [one for one in answered if one.input_tokens is not None and one.output_tokens is not None]
    if price is None or not counted or not budget.get("a_day"):
        return ""
    each = sum((one.input_tokens or 0) * price[0] + (one.output_tokens or 0) * price[1] for one in counted)
    each /= 1_000_000 * len(counted)
    traffic = plan.spec.get("traffic") or {}
    a_day = float(traffic["new_units_a_day"]) * float(traffic.get("requests_a_unit", 1.0))
    most = budget["a_day"] / each if each else float("inf")
    word = _MONEY_LIMITS if most < a_day else "money does not limit"
    return f"{word}: {budget['a_day']:g} {plan.currency} a day pay {most:,.0f} requests, and {a_day:,.0f} are declared"
