"""Why requests failed, in words that say where to look."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pilotage.evaluation.hint import hint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.staging.replay import Sent

SHOWN = 20
MONEY = "budget_exceeded"
"""The code by which the gateway refuses what the budget might not pay."""


def causes(sent: Sequence[Sent]) -> dict[str, Any]:
    """Return what failed and how often, the first failure and where to look; empty where nothing failed."""
    wrong = [one for one in sent if one.reply.error]
    if not wrong:
        return {}
    counts = Counter(one.reply.error for one in wrong)
    first = min(wrong, key=lambda one: one.scheduled)
    return {
        "failed": len(wrong),
        "of": len(sent),
        "errors": dict(counts.most_common(SHOWN)),
        "first": {"at": round(first.scheduled, 3), "status": first.reply.status, "error": first.reply.error},
        "look": hint(first.reply.error),
    }


def of_money(sent: Sequence[Sent]) -> dict[str, Any]:
    """Return how many requests the budget refused, of how many, and from when on; empty where it refused none."""
    refused = [one for one in sent if one.reply.code == MONEY]
    if not refused:
        return {}
    return {"refused": len(refused), "of": len(sent), "from": round(min(one.scheduled for one in refused), 3)}


def told(found: dict[str, Any]) -> str:
    """Return one sentence; empty where nothing failed."""
    if not found:
        return ""
    every = "every request failed" if found["failed"] == found["of"] else f"{found['failed']} of {found['of']} failed"
    first = found["first"]
    return f"{every}; the first after {first['at']:.1f} s: {first['error']} - {found['look']}"
