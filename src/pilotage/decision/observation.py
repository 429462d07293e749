"""What the controller sees besides the batches: the only other thing of a moment that a decision reads."""

from __future__ import annotations

import msgspec

from pilotage.decision.rules import Rules


class Observation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rollout as seen `at` one time.

    `lag` is how old the oldest record is that was appended but not yet counted, in microseconds of real time; `lost`
    counts the records that could not be written within the last seconds. `rules` are the organisation's, as of then.
    """

    rollout: str
    at: int
    lag: int = 0
    lost: int = 0
    rules: Rules = Rules()
