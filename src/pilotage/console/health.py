"""How the control process's own work goes, for whoever asks."""

from __future__ import annotations

import msgspec


class Health(msgspec.Struct, kw_only=True):
    """`at` is the clock's time of the last turn that did not fail, `lag` how old the oldest uncounted event was then
    (microseconds of real time), `unmatched` how much feedback joined nothing, by use case; `faults` says what fails
    now, by what failed.

    `lost` counts the events that could not be kept, ever (those that the spool had damaged, since this process started);
    `losing` those of the last seconds, which hold every rollout; `dropped` the texts that could not be kept.
    """

    at: int = 0
    lag: int = 0
    unmatched: dict[str, int] = {}
    lost: int = 0
    losing: int = 0
    dropped: int = 0
    faults: dict[str, str] = {}

    @property
    def status(self) -> str:
        return "failing" if self.faults else "ok" if self.at else "starting"
