"""Evidence from shadow traffic: what the candidate made of live requests, each beside its live answer."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from pilotage.clock import SECOND
from pilotage.errors import NotMeasured
from pilotage.evaluation.evidence import outcome, record
from pilotage.evaluation.measures import CONFIDENCE, Measure
from pilotage.evaluation.plan import fetch_plan
from pilotage.evaluation.security.refusal import refuses
from pilotage.stats.interval import clopper_pearson_upper, mean_interval, paired_difference
from pilotage.stats.quantile import quantile_interval, sample_needed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pilotage.evaluation.plan import Command, Plan

    Row = Mapping[str, Any]

DROPPED = "abandoned"
"""A copy that gave way to live traffic: nothing about the candidate."""


async def shadowed(
    command: Command,
    rows: Iterable[Row],
    use_case: str,
    *,
    variant: str = "",
    replies: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Record `shadow_errors`, `shadow_latency`, `shadow_slower` and `shadow_cost` from rows of the table `inferences`.

    `replies` are kept texts by inference; from those of both sides comes `shadow_refusals`. Raise NotMeasured where no copy of this candidate has ended.
    """
    plan = await fetch_plan(command, use_case, variant)
    everything = list(rows)
    copies = [
        row
        for row in everything
        if row.get("source") == "shadow" and row["release"] == plan.candidate and row.get("finished")
    ]
    dropped = sum(_dropped(row) for row in copies)
    copies = [row for row in copies if not _dropped(row)]
    if len(copies) < 2:
        raise NotMeasured(
            f"{len(copies)} copies of live requests to {plan.candidate} are recorded; two are needed",
            hint="[staging] shadow and shadow_a_day copy requests while the use case is in staging and users come",
        )
    live = {row["id"]: row for row in everything if row.get("source") == "live" and row.get("finished")}
    pairs = [(row, live[row["copy_of"]]) for row in copies if row.get("copy_of") in live]
    detail = {
        "copies": len(copies),
        "paired": len(pairs),
        "dropped": dropped,
        "errors": dict(Counter(row["error"] for row in copies if row["error"]).most_common(20)),
        "live_errors": sum(bool(row["error"]) for _, row in pairs),
        **_shape(pairs),
    }
    measures, missing = _measures(plan, copies, pairs, detail)
    data = hashlib.sha256("\n".join(sorted(row["id"] for row in copies)).encode()).hexdigest()
    compared = refusals(pairs, replies or {})
    if isinstance(compared, str):
        missing["shadow_refusals"] = compared
    else:
        measures.append(compared)
    evidence = await record(command, plan, measures, data)
    errors = measures[0]
    parts = [f"{plan.candidate} failed on {errors.value:.1%} of {errors.n} copies (at most {errors.high:.1%})"]
    parts += [f"{one.value:+.2f} s beside the live answers" for one in measures if one.measure == "shadow_slower"] + [
        f"{one.value:.2g} {plan.currency} a request" for one in measures if one.measure == "shadow_cost"
    ]
    parts += [f"not measured: {', '.join(missing)}"] if missing else []
    return {**outcome(plan, measures, missing, evidence), **detail, "summary": f"{'; '.join(parts)}."}


def _dropped(row: Row) -> bool:
    return bool(row.get("cancelled")) or row.get("error") == DROPPED


def _measures(
    plan: Plan, copies: Sequence[Row], pairs: Sequence[tuple[Row, Row]], detail: dict[str, Any]
) -> tuple[list[Measure], dict[str, str]]:
    count, failed = len(copies), sum(bool(row["error"]) for row in copies)
    found = [
        Measure(
            measure="shadow_errors",
            value=failed / count,
            low=1 - clopper_pearson_upper(count - failed, count, CONFIDENCE),
            high=clopper_pearson_upper(failed, count, CONFIDENCE),
            n=count,
            method="share of copied live requests that the candidate did not answer, one-sided Clopper-Pearson bounds",
            detail=detail,
        )
    ]
    missing: dict[str, str] = {}
    answered = [row["duration"] / SECOND for row in copies if not row["error"]]
    interval = quantile_interval(answered, 0.95, CONFIDENCE)
    if interval is None:
        needed = sample_needed(0.95, CONFIDENCE)
        missing["shadow_latency"] = f"its bounds need at least {needed} answers, and there were {len(answered)}"
    else:
        found.append(
            Measure(
                measure="shadow_latency",
                value=interval[0],
                low=interval[1],
                high=interval[2],
                n=len(answered),
                method="95th percentile in seconds of what the candidate took to answer copies, by order statistics",
                detail=detail,
            )
        )
    both = [(copy, live) for copy, live in pairs if not copy["error"] and not live["error"]]
    if len(both) < 2:
        missing["shadow_slower"] = f"{len(both)} copies and their live requests were both answered; two are needed"
    else:
        slower = mean_interval([(copy["duration"] - live["duration"]) / SECOND for copy, live in both], CONFIDENCE)
        found.append(
            Measure(
                measure="shadow_slower",
                value=slower.value,
                low=slower.low,
                high=slower.high,
                n=len(both),
                method="mean of the seconds by which the candidate took longer than the live answer to the same request",
                baseline="",
                detail=detail,
            )
        )
    money = [row["cost"] / SECOND for row in copies if not row["error"] and row.get("counted")]
    if plan.price(plan.candidate) is None or len(money) < 2:
        missing["shadow_cost"] = "the candidate has no price, or its provider counts no tokens"
    else:
        mean = mean_interval(money, CONFIDENCE)
        found.append(
            Measure(
                measure="shadow_cost",
                value=mean.value,
                low=max(0.0, mean.low),
                high=mean.high,
                n=len(money),
                method=f"mean {plan.currency} a copied request",
                detail=detail,
            )
        )
    return found, missing


def refusals(pairs: Sequence[tuple[Row, Row]], replies: Mapping[str, str]) -> Measure | str:
    """Compare how often the candidate and the live release refuse the same requests; needs no label, only texts."""
    both = [
        (replies[copy["id"]], replies[live["id"]])
        for copy, live in pairs
        if not copy["error"] and not live["error"] and copy["id"] in replies and live["id"] in replies
    ]
    if len(both) < 2:
        return "the texts of fewer than two pairs are kept ([data] retention), or they are on another machine"
    now, before = ([float(refuses(text)) for text in side] for side in zip(*both, strict=True))
    value = (sum(now) - sum(before)) / len(both)
    interval = paired_difference(now, before, confidence=CONFIDENCE)
    structured = [sum(_is_json(text) for text in side) for side in zip(*both, strict=True)]
    return Measure(
        measure="shadow_refusals",
        value=value,
        low=min(interval.low, value),
        high=max(interval.high, value),
        n=len(both),
        method="difference of the shares of refusals, candidate minus live, on the same requests, score interval (Tango)",
        detail={
            "refused": [sum(now), sum(before)],
            "json": structured,
            "characters": [sum(map(len, side)) / len(both) for side in zip(*both, strict=True)],
        },
    )


def _is_json(text: str) -> bool:
    """Return whether an answer is a JSON object or list: where the live ones are, the candidate's should be."""
    try:
        return isinstance(msgspec.json.decode(text), dict | list)
    except (msgspec.DecodeError, RecursionError):
        return False


def _shape(pairs: Sequence[tuple[Row, Row]]) -> dict[str, Any]:
    """Return what needs no text: how long answers are beside the live ones, and how many were cut or withheld."""
    both = [pair for pair in pairs if not pair[0]["error"] and not pair[1]["error"]]
    ratios = [
        copy["output_tokens"] / live["output_tokens"]
        for copy, live in both
        if copy.get("counted") and live.get("counted") and live["output_tokens"] and copy["output_tokens"]
    ]
    found: dict[str, Any] = {}
    if ratios:
        found["length_ratio"] = float(np.exp(np.mean(np.log(ratios))))
    for reason, name in (("length", "cut_off"), ("content_filter", "withheld")):
        found[name] = [sum(row.get("finish_reason") == reason for row in side) for side in zip(*both, strict=True)] or [
            0,
            0,
        ]
    return found
