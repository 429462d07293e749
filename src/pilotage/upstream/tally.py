"""What a worker counts of its dealings with providers, for /metrics."""

from __future__ import annotations


class Tally:
    """`waiting`, `asked` and `open` go up and down; the others only up."""

    def __init__(self) -> None:
        self.asked = 0
        """Calls under way at upstreams whose number is bounded."""
        self.waiting = 0
        """Requests that wait for one of these calls to end."""
        self.turned_away = 0
        """Requests for which there was no room to wait, or that waited too long."""
        self.retried = 0
        self.hedged = 0
        """Requests that were sent a second time beside the first."""
        self.hedges_won = 0
        """Those of them whose second was answered first."""
        self.opened = 0
        """Times that a release was found to fail, and was asked no more for a while."""
        self.open = 0
        """Releases that are not asked now."""
