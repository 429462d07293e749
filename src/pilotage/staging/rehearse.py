"""A rehearsal: a burst of real or likely traffic, through the gateway, on the candidate."""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from pilotage.clock import SECOND
from pilotage.errors import Conflict, NotMeasured, WrongCall
from pilotage.evaluation.client import PATIENCE, GatewayClient
from pilotage.evaluation.dataset import asked
from pilotage.evaluation.evidence import outcome, record
from pilotage.evaluation.measures import CONFIDENCE, SAFETY, Measure
from pilotage.evaluation.plan import Cases, Plan, fetch_cases, fetch_plan
from pilotage.staging.fidelity import SIZES, Fidelity, fidelity
from pilotage.staging.replay import Sent, replay
from pilotage.staging.trace import Arrival, Trace, daily_profile, read_trace
from pilotage.stats.interval import clopper_pearson_upper
from pilotage.stats.quantile import quantile_interval, sample_needed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pilotage.evaluation.plan import Command
    from pilotage.evaluation.run import Progress

LATE = 0.25
"""Seconds: a sender whose requests left later than this (99th percentile) did not replay the trace."""
SHOWN = 20


async def rehearse(
    command: Command,
    gateway: str,
    key: str,
    use_case: str,
    *,
    trace: Path | None,
    variant: str = "",
    requests: int = 300,
    seconds: float = 20,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Replay a burst on a candidate and record evidence: `replay_errors`, `replay_latency` and `replay_fidelity`.

    `variant` names one of several candidates; it is the first of them otherwise. The burst is the busiest `requests` arrivals of the trace (or of a day drawn from the use case's declared traffic),
    compressed to `seconds` if they took longer, never stretched. The questions are the use case's cases. Return plain
    data with a `summary`; raise NotMeasured, with nothing recorded, where there is no candidate, case, gateway or
    arrival, or where the sender itself could not keep the schedule.
    """
    if requests < 1 or not seconds > 0:
        raise WrongCall("requests is at least 1, seconds above 0")
    plan = await fetch_plan(command, use_case, variant)
    cases = await fetch_cases(command, plan)
    # A probe of security or privacy is no likely question; it is replayed only where there is nothing else.
    likely = [case for case in cases.taken if case.kind not in SAFETY] or list(cases.taken)
    source = read_trace(trace) if trace else _profile(plan, requests)
    burst = source.busiest(requests)
    factor = max(1.0, burst[-1].at / SECOND / seconds)
    schedule = [arrival.at / SECOND / factor for arrival in burst]
    told = progress or (lambda _what, _done, _of: None)
    async with GatewayClient(gateway, key, source="replay") as client:
        await client.check()
        sent = await replay(client, plan.candidate, schedule, [asked(case) for case in likely], partial(told, "replay"))
    slip = float(np.quantile([one.slip for one in sent], 0.99))
    if slip > LATE:
        raise NotMeasured(
            f"the sender could not keep the schedule: 1 % of the requests left more than {slip * 1000:.0f} ms late"
            f" (at most {LATE * 1000:.0f} ms), so this was no replay of {source.source}",
            hint="replay fewer requests or over more seconds, or from a machine with more to spare",
        )
    near = _fidelity(burst, sent, factor)
    measures, missing = _measure(source, schedule, sent, factor=factor, slip=slip, near=near)
    now = await fetch_plan(command, use_case, variant)
    if (now.candidate, now.charter) != (plan.candidate, plan.charter):
        raise Conflict(f"{use_case} was changed during the rehearsal, so nothing was recorded", hint="run it again")
    evidence = await record(command, plan, measures, _digest(cases, schedule))
    return {
        **outcome(plan, measures, missing, evidence),
        "trace": _described(source),
        "requests": len(sent),
        "seconds": schedule[-1],
        "compression": factor,
        "summary": _summary(plan, source, sent, measures, missing),
    }


def _profile(plan: Plan, requests: int) -> Trace:
    traffic = plan.spec.get("traffic")
    if not traffic:
        raise NotMeasured(
            f"{plan.use_case} declares no traffic, and no trace was given, so there is nothing to replay",
            hint="write [traffic] new_units_a_day = 3000 in usecase.toml, or give --trace FILE.csv",
        )
    a_day = traffic["new_units_a_day"] * traffic.get("requests_a_unit", 1.0)
    # Seeded by the release: two rehearsals of one release replay the same burst.
    seed = int.from_bytes(hashlib.sha256(plan.candidate.encode()).digest()[:8], "big")
    return daily_profile(a_day, requests, np.random.default_rng(seed))


def _measure(
    source: Trace, schedule: Sequence[float], sent: Sequence[Sent], *, factor: float, slip: float, near: Fidelity
) -> tuple[list[Measure], dict[str, str]]:
    count, errors = len(sent), Counter(one.reply.error for one in sent if one.reply.error)
    failed = errors.total()
    detail = {
        "trace": _described(source),
        "seconds": schedule[-1],
        "compression": factor,
        "sender_slip_p99": slip,
        "sender_slip_max": max(one.slip for one in sent),
        "fidelity": {"parts": near.parts, "missing": near.missing},
    }
    measures = [
        Measure(
            measure="replay_errors",
            value=failed / count,
            low=1 - clopper_pearson_upper(count - failed, count, CONFIDENCE),
            high=clopper_pearson_upper(failed, count, CONFIDENCE),
            n=count,
            method="share of requests that the candidate itself did not answer, one-sided Clopper-Pearson bounds",
            detail={**detail, "errors": dict(errors.most_common(SHOWN))},
        )
    ]
    if near.score is not None:
        measures.append(
            Measure(
                measure="replay_fidelity",
                value=near.score,
                low=near.score,
                high=near.score,
                n=count,
                method="the least of the parts that can be told: 1 as like the trace as it is to itself, 0 as averages alone",
                detail=detail,
            )
        )
    # An error that comes quickly must not look fast: who got no answer waited for all of the client's patience.
    waited = [max(one.latency, PATIENCE) if one.reply.error else one.latency for one in sent]
    found = quantile_interval(waited, 0.95, CONFIDENCE)
    if found is None:
        needed = sample_needed(0.95, CONFIDENCE)
        return measures, {"replay_latency": f"its bounds need at least {needed} requests, and there were {count}"}
    measures.append(
        Measure(
            measure="replay_latency",
            value=found[0],
            low=found[1],
            high=found[2],
            n=count,
            method=f"95th percentile in seconds from the scheduled send time, by order statistics; a failed request counts as {PATIENCE:g} s",
            detail=detail,
        )
    )
    return measures, {}


def _fidelity(burst: Sequence[Arrival], sent: Sequence[Sent], factor: float) -> Fidelity:
    left = [Arrival(round(one.started * SECOND)) for one in sorted(sent, key=lambda one: one.started)]
    found = fidelity(burst, left, compression=factor)
    own = "the questions are the use case's own, whatever sizes the trace has"
    return msgspec.structs.replace(found, missing={**found.missing, SIZES: own})


def _digest(cases: Cases, schedule: Sequence[float]) -> str:
    """Return the digest of what was replayed: the cases' and the schedule's."""
    return hashlib.sha256(f"{cases.digest}\n{','.join(f'{at:.6f}' for at in schedule)}".encode()).hexdigest()


def _described(source: Trace) -> dict[str, Any]:
    return {
        "source": source.source,
        "arrivals": len(source.arrivals),
        "disordered": source.disordered,
        "left_out": len(source.faults),
        "faults": list(source.faults[:SHOWN]),
    }


def _summary(
    plan: Plan, source: Trace, sent: Sequence[Sent], measures: Sequence[Measure], missing: dict[str, str]
) -> str:
    errors = measures[0]
    answered = f"{plan.candidate} answered a burst of {len(sent)} requests from {source.source}"
    parts = [f"{answered} with {errors.value:.1%} errors (at most {errors.high:.1%})"]
    parts += [f"95 % within {one.value:.2f} s" for one in measures if one.measure == "replay_latency"]
    parts += [f"fidelity {one.value:.2f}" for one in measures if one.measure == "replay_fidelity"]
    if missing:
        parts.append(f"not measured: {', '.join(missing)}")
    if source.faults:
        parts.append(f"rows of the trace that could not be read: {len(source.faults)}")
    return "; ".join(parts) + "."
