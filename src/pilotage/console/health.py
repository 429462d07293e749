"""How the control process's own work goes, for whoever asks."""

from __future__ import annotations

import msgspec


class Health(msgspec.Struct, kw_only=True):
    """`at` is the clock's time of the last turn that did not fail, `lag` how old the oldest uncounted event was then
    (microseconds of real time), `unmatched` how much feedback joined nothing, by use case; `faults` says what fails
    now, by what failed.
    """

    at: int = 0
    lag: int = 0
    unmatched: dict[str, int] = {}
    faults: dict[str, str] = {}

    @property
    def status(self) -> str:
        return "failing" if self.faults else "ok" if self.at else "starting"
