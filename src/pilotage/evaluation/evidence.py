"""Measures become evidence: recorded whole, or not at all when interrupted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pilotage.evaluation.measures import Measure
    from pilotage.evaluation.plan import Command, Plan


async def record(command: Command, plan: Plan, measures: Sequence[Measure], data: str) -> list[str]:
    """Record each measure as evidence of the plan's candidate; return the ids.

    All of them run in one thread, which a cancellation does not stop: so an interrupt leaves all or none.
    """

    def run() -> list[str]:
        return [
            str(
                command(
                    "record_evidence",
                    {
                        "use_case": plan.use_case,
                        "release": plan.candidate,
                        "data": data,
                        **msgspec.to_builtins(measure),
                    },
                ).get("id", "")
            )
            for measure in measures
        ]

    return await asyncio.shield(asyncio.to_thread(run))


def outcome(
    plan: Plan, measures: Sequence[Measure], missing: Mapping[str, str], evidence: Sequence[str]
) -> dict[str, Any]:
    """Return what every evaluation and rehearsal says of itself, as plain data."""
    return {
        "use_case": plan.use_case,
        "candidate": plan.candidate,
        "charter": plan.charter,
        "measures": [msgspec.to_builtins(measure) for measure in measures],
        "not_measured": dict(missing),
        "evidence": list(evidence),
    }
