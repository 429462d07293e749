"""From what a replay came to, to measures: errors, latency, fidelity, and what users saw of faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.clock import SECOND
from pilotage.evaluation.client import PATIENCE
from pilotage.evaluation.measures import CONFIDENCE, Measure
from pilotage.spec.quantity import parse_duration
from pilotage.staging import faults as inflicted
from pilotage.staging.fidelity import SIZES, Fidelity, fidelity
from pilotage.staging.trace import Arrival
from pilotage.stats.interval import clopper_pearson_upper
from pilotage.stats.quantile import quantile_interval, sample_needed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pilotage.staging.faults import Seen
    from pilotage.staging.replay import Sent

SLOW = 10.0
"""Seconds beyond which a request is slow where no guardrail says otherwise."""


def slow_beyond(spec: Mapping[str, Any]) -> float:
    """Return the lowest `limit` of a guardrail, in seconds."""
    limits = [one["limit"] for one in (spec.get("guardrails") or {}).values() if one.get("limit")]
    found = [parse_duration(one) if isinstance(one, str) else int(one) for one in limits]
    return min(found, default=SLOW * SECOND) / SECOND


def bar(spec: Mapping[str, Any]) -> float | None:
    """Return the fidelity that the file demands of evidence for the gate into canary, if any."""
    demanded = ((spec.get("gates") or {}).get("canary") or {}).get("replay_fidelity") or {}
    found = demanded.get("at_least")
    return None if found is None else float(found)


def near(burst: Sequence[Arrival], sent: Sequence[Sent], factor: float, *, sized: bool) -> Fidelity:
    """Return how near the requests that left came to the trace."""
    left = [
        Arrival(
            round(one.started * SECOND),
            one.reply.input_tokens if sized else None,
            one.reply.output_tokens if sized else None,
            arrival.session,
            arrival.user,
        )
        for one, arrival in zip(sent, burst, strict=False)
    ]
    if sized:
        # Only an answer says how large it is; the others are told of by the errors.
        pairs = [(a, b) for a, b in zip(burst, left, strict=False) if b.output_tokens is not None]
        sizes = fidelity([a for a, _ in pairs], sorted((b for _, b in pairs), key=_at), compression=factor)
    left.sort(key=_at)
    found = fidelity(burst, [msgspec.structs.replace(one, input_tokens=None) for one in left], compression=factor)
    missing = {**found.missing}
    if not sized:
        missing[SIZES] = "the questions are the use case's own, whatever sizes the trace has"
        return Fidelity(parts=found.parts, missing=missing)
    if SIZES in sizes.parts:
        missing.pop(SIZES, None)
        return Fidelity(parts={**found.parts, SIZES: sizes.parts[SIZES]}, missing=missing)
    return Fidelity(parts=found.parts, missing={**missing, SIZES: sizes.missing.get(SIZES, "")})


def measured(
    prefix: str, sent: Sequence[Sent], nearness: Fidelity, least: float | None, detail: dict[str, Any]
) -> tuple[list[Measure], dict[str, str]]:
    """Return the measures `<prefix>_errors`, `_fidelity` and `_latency`, and what could not be measured.

    Below the least fidelity that the file demands, nothing is known of what the trace would do: the intervals then hold
    everything, so that no gate opens or closes by them.
    """
    count = len(sent)
    failed = sum(bool(one.reply.error) for one in sent)
    unlike = least is not None and (nearness.score is None or nearness.score < least)
    says = f"; the replay is less like its trace than the {least} that the file demands, so anything may be true"
    errors = Measure(
        measure=f"{prefix}_errors",
        value=failed / count,
        low=0.0 if unlike else 1 - clopper_pearson_upper(count - failed, count, CONFIDENCE),
        high=1.0 if unlike else clopper_pearson_upper(failed, count, CONFIDENCE),
        n=count,
        method="share of requests that the candidate itself did not answer, one-sided Clopper-Pearson bounds"
        + (says if unlike else ""),
        detail=detail,
    )
    found, missing = [errors], dict[str, str]()
    if nearness.score is None:
        missing[f"{prefix}_fidelity"] = "; ".join(f"{name}: {why}" for name, why in nearness.missing.items())
    else:
        found.append(
            Measure(
                measure=f"{prefix}_fidelity",
                value=nearness.score,
                low=nearness.score,
                # Below the bar it is not the candidate that fails: a better replay may show either.
                high=1.0 if unlike else nearness.score,
                n=count,
                method="the least of the parts that can be told: 1 as like the trace as it is to itself, 0 as averages alone",
                detail=detail,
            )
        )
    # An error that comes quickly must not look fast: who got no answer waited for all of the client's patience.
    waited = [max(one.latency, PATIENCE) if one.reply.error else one.latency for one in sent]
    interval = quantile_interval(waited, 0.95, CONFIDENCE)
    if interval is None:
        needed = sample_needed(0.95, CONFIDENCE)
        missing[f"{prefix}_latency"] = f"its bounds need at least {needed} requests, and there were {count}"
        return found, missing
    found.append(
        Measure(
            measure=f"{prefix}_latency",
            value=interval[0],
            low=0.0 if unlike else interval[1],
            high=max(PATIENCE, interval[2]) if unlike else interval[2],
            n=count,
            method=f"95th percentile in seconds from the scheduled send time, by order statistics; a failed request counts as {PATIENCE:g} s"
            + (says if unlike else ""),
            detail=detail,
        )
    )
    return found, missing


def of_faults(sent: Sequence[Sent], seen: Sequence[Seen], release: str, detail: dict[str, Any]) -> list[Measure]:
    """Return `fault_failures`, the share of users without any answer, and `fault_recovery`, seconds until all is well."""
    count, failed = len(sent), sum(inflicted.failed(one) for one in sent)
    fallback = sum(inflicted.fell_back(one, release) for one in sent)
    whole = {**detail, "faults": inflicted.as_data(seen), "fallback": fallback}
    found = [
        Measure(
            measure="fault_failures",
            value=failed / count,
            low=1 - clopper_pearson_upper(count - failed, count, CONFIDENCE),
            high=clopper_pearson_upper(failed, count, CONFIDENCE),
            n=count,
            method="share of requests that got no answer at all, fallbacks' included, while faults were inflicted; one-sided Clopper-Pearson bounds",
            detail=whole,
        )
    ]
    if seen and all(one.recovered is not None for one in seen):
        longest = max(one.recovered or 0.0 for one in seen)
        found.append(
            Measure(
                measure="fault_recovery",
                value=longest,
                low=longest,
                high=longest,
                n=len(seen),
                method="the longest time in seconds from a fault's end until the candidate answered well again, of one run",
                detail=whole,
            )
        )
    return found


def _at(arrival: Arrival) -> int:
    return arrival.at
