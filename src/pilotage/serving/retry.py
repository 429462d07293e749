"""Whether a provider is asked once more, and when: only before a first byte, and only where that can help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.clock import SECOND

if TYPE_CHECKING:
    from random import Random

    from pilotage.errors import UpstreamError
    from pilotage.spec.release import UpstreamAddress

FIRST_PAUSE = 0.25
_AGAIN = frozenset({"connect", "broken", *(f"status:{status}" for status in (408, 425, 429, 500, 502, 503, 504, 529))})
"""Not a timeout: whoever waited for it has waited long enough."""


def pause(fault: UpstreamError, tried: int, address: UpstreamAddress, chance: Random) -> float | None:
    """Return the seconds until the next attempt, after `tried` that failed, or None where there is none.

    Doubling with each attempt, with jitter over half of it, so that those who failed together do not come back together
    (AWS Architecture Blog, Exponential Backoff And Jitter, 2015). A provider that says `retry-after` is not asked before;
    where that is longer than the release's patience, it is not asked at all.
    """
    patience = address.retry_wait / SECOND
    if tried > address.retries or fault.kind not in _AGAIN or fault.retry_after > patience:
        return None
    jittered = min(FIRST_PAUSE * (1 << tried - 1), patience) * (0.5 + chance.random() / 2)
    return max(fault.retry_after, jittered)
