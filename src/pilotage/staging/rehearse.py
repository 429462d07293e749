"""A rehearsal: real or likely traffic, through a gateway, on the candidate."""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from pilotage.clock import SECOND
from pilotage.errors import Conflict, NotMeasured, WrongCall
from pilotage.evaluation.client import GatewayClient
from pilotage.evaluation.dataset import asked
from pilotage.evaluation.evidence import outcome, record
from pilotage.evaluation.measures import SAFETY
from pilotage.evaluation.plan import Cases, fetch_cases, fetch_plan
from pilotage.staging import faults as inflicted
from pilotage.staging import findings
from pilotage.staging.arrivals import declared_days
from pilotage.staging.causes import MONEY, causes, of_money
from pilotage.staging.causes import told as told_cause
from pilotage.staging.questions import asks
from pilotage.staging.replay import Ask, Sent, replay
from pilotage.staging.trace import Trace, read_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pilotage.evaluation.measures import Measure
    from pilotage.evaluation.plan import Command, Plan
    from pilotage.evaluation.run import Progress
    from pilotage.staging.faults import Breakable, Fault, Seen

LATE = 0.25
"""Seconds: a sender whose requests left later than this (99th percentile) did not replay the trace."""
DAY_FACTOR = 1000.0
"""How many times as fast a whole declared day is run."""
SHOWN = 20


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """Where a rehearsal takes place. `provider` says who answered behind the gateway, for the record.

    `sized` sends questions of the trace's sizes, which only makes sense where nobody reads them; `overhead` is what the
    prompt adds, in characters. `faults` need what can be broken. `prompts` are recorded requests by inference.
    """

    provider: str = "the release's own provider"
    sized: bool = False
    overhead: int = 0
    faults: tuple[Fault, ...] = ()
    breakable: Breakable | None = None
    behaviour: dict[str, Any] = {}
    prompts: dict[str, list[dict[str, Any]]] = {}


async def rehearse(
    command: Command,
    gateway: str,
    key: str,
    use_case: str,
    *,
    trace: Path | Trace | None,
    variant: str = "",
    requests: int = 300,
    seconds: float = 20,
    day: bool = False,
    setting: Setting | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Replay traffic on a candidate and record evidence: `replay_errors`, `replay_latency` and `replay_fidelity`.

    `variant` names one of several candidates; it is the first of them otherwise. The burst is the busiest `requests`
    arrivals of the trace (or of days drawn from the use case's declared traffic), compressed to `seconds` if they took
    longer, never stretched. With `day` it is a whole declared day, a thousand times as fast, and the measures begin with
    `day_`; with faults they are `fault_failures` and `fault_recovery`. The questions are the use case's cases. Return
    plain data with a `summary`; raise NotMeasured, with nothing recorded, where there is no candidate, case, gateway or
    arrival, or where the sender itself could not keep the schedule.
    """
    if requests < 1 or not seconds > 0:
        raise WrongCall("requests is at least 1, seconds above 0")
    setting = setting or Setting()
    plan = await fetch_plan(command, use_case, variant)
    cases = await fetch_cases(command, plan)
    source = read_trace(trace) if isinstance(trace, Path) else trace or drawn(plan, requests, day=day)
    burst = source.arrivals if day else source.busiest(requests)
    # However fast its people can be asked to come, a trace without a span has no rate.
    factor = DAY_FACTOR if day else max(1.0, burst[-1].at / SECOND / seconds)
    planned = asks(
        burst,
        likely(cases),
        factor,
        sized=setting.sized,
        overhead=setting.overhead,
        prompts=setting.prompts,
    )
    told = progress or (lambda _what, _done, _of: None)
    async with GatewayClient(gateway, key, source="replay") as client:
        await client.check()
    sent = await _sent((gateway, key, plan.candidate), planned, setting, partial(told, "replay"))
    slip = check_slip(sent, source.source)
    nearness = findings.near(burst, sent, factor, sized=setting.sized)
    limit = findings.slow_beyond(plan.spec)
    seen = inflicted.seen(setting.faults, planned[-1].at, sent, plan.candidate, limit)
    detail = {
        "trace": described(source),
        "provider": setting.provider,
        "recorded_prompts": sum(arrival.inference in setting.prompts for arrival in burst),
        **({"behaviour": setting.behaviour} if setting.behaviour else {}),
        "seconds": planned[-1].at,
        "compression": factor,
        "sender_slip_p99": slip,
        "sender_slip_max": max(one.slip for one in sent),
        "fidelity": {"parts": nearness.parts, "missing": nearness.missing},
        "users": users(sent, plan.candidate, limit),
        "cost": None if setting.behaviour else cost(plan, sent),
        "money": of_money(sent),
        "limited_by": "money" if of_money(sent) else "",
        **causes(sent),
    }
    if setting.faults:
        measures, missing = findings.of_faults(sent, seen, plan.candidate, detail), dict[str, str]()
        if len(measures) == 1:
            missing["fault_recovery"] = "of one fault at least it did not recover before the next, or the end"
    else:
        prefix = "day" if day else "replay"
        measures, missing = findings.measured(prefix, sent, nearness, findings.bar(plan.spec), detail)
    now = await fetch_plan(command, use_case, variant)
    if (now.candidate, now.charter) != (plan.candidate, plan.charter):
        raise Conflict(f"{use_case} was changed during the rehearsal, so nothing was recorded", hint="run it again")
    evidence = await record(command, plan, measures, digest(cases, planned))
    return {
        **outcome(plan, measures, missing, evidence),
        "trace": detail["trace"],
        "provider": setting.provider,
        "requests": len(sent),
        "seconds": planned[-1].at,
        "compression": factor,
        "users": detail["users"],
        "cost": detail["cost"],
        "fidelity": detail["fidelity"],
        "faults": inflicted.as_data(seen),
        "money": detail["money"],
        "limited_by": detail["limited_by"],
        "causes": causes(sent),
        "summary": _summary(f"{plan.candidate} answered a burst of", source, sent, (measures, missing), seen),
    }


def drawn(plan: Plan, requests: int, *, day: bool = False) -> Trace:
    """Draw arrivals from the use case's declared traffic: a day, or as many as the burst needs."""
    traffic = plan.spec.get("traffic")
    if not traffic:
        raise NotMeasured(
            f"{plan.use_case} declares no traffic, and no trace was given, so there is nothing to replay",
            hint="write [traffic] new_units_a_day = 3000 in usecase.toml, or give --trace FILE.csv",
        )
    a_unit = float(traffic.get("requests_a_unit", 1.0))
    # Those who return come on top of the new ones.
    a_day = traffic["new_units_a_day"] / (1 - float(traffic.get("returning", 0.0))) * a_unit
    # Seeded by the release: two rehearsals of one release replay the same burst.
    seed = int.from_bytes(hashlib.sha256(plan.candidate.encode()).digest()[:8], "big")
    days = 1 if day else max(1, int(np.ceil(1.5 * requests / a_day)))
    return declared_days(a_day, a_unit, days, np.random.default_rng(seed))


def likely(cases: Cases) -> list[list[dict[str, Any]]]:
    """Return the questions: no probes of security or privacy, unless there is nothing else. Raise NotMeasured where none is a chat."""
    found = [case for case in cases.chats if case.kind not in SAFETY] or list(cases.chats)
    if not found:
        raise NotMeasured(
            "every case asks for pictures or sound, and a rehearsal sends chats",
            hint="add cases without a surface, or rehearse the use case's chats in a folder of their own",
        )
    return [list(asked(case)) for case in found]


def check_slip(sent: Sequence[Sent], source: str) -> float:
    """Return the 99th percentile of how late the sender was; raise NotMeasured where that was no replay."""
    slip = float(np.quantile([one.slip for one in sent], 0.99))
    if slip > LATE:
        raise NotMeasured(
            f"the sender could not keep the schedule: 1 % of the requests left more than {slip * 1000:.0f} ms late"
            f" (at most {LATE * 1000:.0f} ms), so this was no replay of {source}",
            hint="replay fewer requests or over more seconds, or from a machine with more to spare",
        )
    return slip


def users(sent: Sequence[Sent], release: str, limit: float) -> dict[str, Any]:
    """Return what users saw: how many got no answer, a fallback's, or a slow one."""
    return {
        "requests": len(sent),
        "failed": sum(inflicted.failed(one) for one in sent),
        "money": sum(one.reply.code == MONEY for one in sent),
        "fallback": sum(inflicted.fell_back(one, release) for one in sent),
        "slow": sum(one.latency > limit and not inflicted.failed(one) for one in sent),
        "slow_beyond": limit,
    }


def cost(plan: Plan, sent: Sequence[Sent]) -> float | None:
    """Return what the answers cost, by their tokens and the declared price; None where there is no price."""
    price = plan.price(plan.candidate)
    if price is None:
        return None
    replies = [one.reply for one in sent]
    return sum((one.input_tokens or 0) * price[0] + (one.output_tokens or 0) * price[1] for one in replies) / 1_000_000


def digest(cases: Cases, planned: Sequence[Ask]) -> str:
    """Return the digest of what was replayed: the cases' and the schedule's."""
    text = ",".join(f"{one.at:.6f}" for one in planned)
    return hashlib.sha256(f"{cases.digest}\n{text}".encode()).hexdigest()


def described(source: Trace) -> dict[str, Any]:
    gaps = source.gaps
    return {
        "source": source.source,
        "arrivals": len(source.arrivals),
        "disordered": source.disordered,
        "left_out": len(source.faults),
        "faults": list(source.faults[:SHOWN]),
        "silences": len(gaps),
        "longest_silence": max(gaps, default=0.0),
    }


async def _sent(
    where: tuple[str, str, str], planned: Sequence[Ask], setting: Setting, progress: Callable[[int, int], None]
) -> list[Sent]:
    """Replay, and let the faults happen meanwhile."""
    if not setting.faults or setting.breakable is None:
        return await replay(*where, planned, progress)
    going: list[asyncio.Task[None]] = []
    what = setting.breakable

    def begun(begin: float) -> None:
        work = inflicted.inflict(setting.faults, planned[-1].at, begin, what)
        going.append(asyncio.get_running_loop().create_task(work))

    try:
        return await replay(*where, planned, progress, begun=begun)
    finally:
        for task in going:
            if not task.done():
                task.cancel()
        faults = [one for one in await asyncio.gather(*going, return_exceptions=True) if isinstance(one, Exception)]
        if faults:
            raise faults[0]


def _summary(
    answered: str,
    source: Trace,
    sent: Sequence[Sent],
    known: tuple[Sequence[Measure], dict[str, str]],
    seen: Sequence[Seen],
) -> str:
    measures, missing = known
    first = measures[0]
    parts = [
        f"{answered} {len(sent)} requests from {source.source} with {first.value:.1%} errors (at most {first.high:.1%})"
    ]
    parts += [f"95 % within {one.value:.2f} s" for one in measures if one.measure.endswith("_latency")]
    parts += [f"fidelity {one.value:.2f}" for one in measures if one.measure.endswith("_fidelity")]
    for one in seen:
        again = "did not recover" if one.recovered is None else f"well again after {one.recovered:.1f} s"
        parts.append(
            f"{one.kind}: of {one.requests} users {one.failed} got nothing, {one.fallback} a fallback, {one.slow} a slow"
            f" answer, {again}"
        )
    if money := of_money(sent):
        parts.append(
            f"money limits: the budget refused {money['refused']} of {money['of']} requests, from {money['from']:.1f} s on"
        )
    if missing:
        parts.append(f"not measured: {', '.join(missing)}")
    if source.faults:
        parts.append(f"rows of the trace that could not be read: {len(source.faults)}")
    if source.gaps:
        parts.append(f"silences in the trace: {len(source.gaps)}, the longest of {max(source.gaps) / 60:.0f} minutes")
    if cause := told_cause(causes(sent)):
        parts.append(cause)
    said = "; ".join(parts)
    return said if said.endswith("?") else f"{said}."
