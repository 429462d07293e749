"""What a provider's declared quota lets come: requests and tokens a minute, held against the declared peak."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.evaluation.plan import Plan
    from pilotage.staging.replay import Sent

_MINUTE = 60.0


class Ceiling(msgspec.Struct, frozen=True):
    """A rate that cannot be passed, whatever a short ramp found, in requests a second; `says` is why."""

    name: str
    rate: float
    says: str


def ceilings(plan: Plan, sent: Sequence[Sent], peak: float) -> list[Ceiling]:
    """Return what the quota of the candidate's provider allows; a minute of peak is taken for all of a minute."""
    upstream = str(plan.variant(plan.candidate).get("upstream", ""))
    quota = ((plan.spec.get("upstreams") or {}).get(upstream) or {}).get("quota") or {}
    found = []
    if requests := quota.get("requests_a_minute"):
        found.append(
            _ceiling("quota of requests", requests / _MINUTE, f"{requests:,} requests a minute", upstream, peak)
        )
    counted = [one.reply for one in sent if one.reply.input_tokens is not None and one.reply.output_tokens is not None]
    tokens = sum((one.input_tokens or 0) + (one.output_tokens or 0) for one in counted)
    if (allowed := quota.get("tokens_a_minute")) and tokens:
        each = tokens / len(counted)
        says = f"{allowed:,} tokens a minute at {each:,.0f} a request"
        found.append(_ceiling("quota of tokens", allowed / each / _MINUTE, says, upstream, peak))
    return sorted(found, key=lambda one: one.rate)


def _ceiling(name: str, rate: float, what: str, upstream: str, peak: float) -> Ceiling:
    word = "limits" if rate < peak else "does not limit"
    says = f"the {name} at {upstream} {word}: {what} let {rate:.4g} a second come, and the peak is {peak:.4g}"
    return Ceiling(name, rate, says)
