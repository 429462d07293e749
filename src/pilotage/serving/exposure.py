"""One admitted request: who gets what, and what is known of it before anybody is asked."""

from __future__ import annotations

import msgspec

from pilotage.serving.grant import Grant
from pilotage.serving.routing import Assignment
from pilotage.serving.trace import Trace
from pilotage.spec.route import Route


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """One admitted request: who gets what. `unit` and `key` are keyed digests, `received` is `time.monotonic_ns`.

    `arrived` is when its last byte was there, by the same clock. `copy_of` is the live inference that shadow traffic copies.
    `grant` is what it may cost, where that is limited.
    """

    id: str
    route: Route
    assignment: Assignment
    received: int
    arrived: int = 0
    unit: str = ""
    key: str = ""
    segment: str = ""
    source: str = "live"
    caller: str = ""
    trace: Trace | None = None
    copy_of: str = ""
    grant: Grant | None = None
