"""How the control process's own work goes, for whoever asks."""

from __future__ import annotations

import msgspec


class Health(msgspec.Struct, kw_only=True):
    """`at` is the clock's time of the last turn that did not fail, `lag` how old the oldest uncounted event was then
    (microseconds of real time), `unmatched` how much feedback joined nothing, by use case; `faults` says what fails
    now, by what failed.

    `standing_by`: another control process decides, and this one takes its place when it is gone.
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
    standing_by: bool = False

    @property
    def status(self) -> str:
        if self.faults:
            return "failing"
        if self.standing_by:
            return "standing by"
        return "ok" if self.at else "starting"
