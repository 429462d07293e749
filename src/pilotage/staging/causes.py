"""Why requests failed, in words that say where to look."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.staging.replay import Sent

SHOWN = 20
MONEY = "budget_exceeded"
"""The code by which the gateway refuses what the budget might not pay."""
_LOOK = (
    (
        " budget of ",
        "money limits: raise [budget], or give answers a lower max_tokens, for each request is held at the most that it can cost",
    ),
    ("no answer: no connection", "is the gateway up at that address?"),
    ("no answer in time", "the gateway took the request and never ended it: look at its log"),
    ("no answer: the connection broke", "a gateway worker ended in the middle: look at its log"),
    ("status:401", "the provider refuses the key: is the variable in `api_key_env` set where the gateway runs?"),
    ("status:403", "the provider refuses the key or the model: is the variable in `api_key_env` the right one?"),
    ("status:404", "the provider does not know the model or the path: see `model` and `base_url`"),
    ("status:429", "the provider's rate limit: ask for more, lower the rate, or bound it with `max_concurrent`"),
    ("status:", "the provider itself failed: see its status page, and `base_url`"),
    (
        "connect",
        "nothing answers at the provider's `base_url` from here: is it right, is a proxy (HTTPS_PROXY) needed?",
    ),
    ("timeout", "the provider did not answer within the variant's timeouts: see `first_byte_timeout`"),
    ("open", "the breaker opened because the release failed before: the first error above is the one to look at"),
    ("protocol", "what came back is no chat completion: does `base_url` speak OpenAI's protocol?"),
    ("internal", "the release could not be served: the gateway's log says where"),
)


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
        "look": look(first.reply.error),
    }


def of_money(sent: Sequence[Sent]) -> dict[str, Any]:
    """Return how many requests the budget refused, of how many, and from when on; empty where it refused none."""
    refused = [one for one in sent if one.reply.code == MONEY]
    if not refused:
        return {}
    return {"refused": len(refused), "of": len(sent), "from": round(min(one.scheduled for one in refused), 3)}


def look(error: str) -> str:
    """Return where to look for an error's cause."""
    return next((where for part, where in _LOOK if part in error), "the gateway's log says more, by the request's time")


def told(found: dict[str, Any]) -> str:
    """Return one sentence; empty where nothing failed."""
    if not found:
        return ""
    every = "every request failed" if found["failed"] == found["of"] else f"{found['failed']} of {found['of']} failed"
    first = found["first"]
    return f"{every}; the first after {first['at']:.1f} s: {first['error']} - {found['look']}"
