"""What is done about an alarm. An alarm moves no traffic by itself: this does, at the next turn, by what the file wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pilotage.decision.transition import UNDER_WAY
from pilotage.status import Action

if TYPE_CHECKING:
    from pilotage.records import Alarm
    from pilotage.status import UseCaseStatus


class Response(NamedTuple):
    """What is done (None: nothing), and why."""

    action: Action | None
    reason: str


def respond(status: UseCaseStatus, alarm: Alarm) -> Response:
    """Return what is done about an alarm that acts: `hold` pauses what is under way, `rollback` goes back as far as it can.

    While a rollout is under way its baseline is not moved: it is paused, and people decide.
    """
    because = f"{alarm.what}: {alarm.says}"
    rolling = status.rollout is not None and status.rollout.phase in UNDER_WAY
    if status.retired or status.live != alarm.release:
        return Response(None, "Nothing was done: this release does not serve any more.")
    if alarm.action == "rollback" and not rolling:
        if not status.previous:
            return Response(None, "Nothing was done: there is no earlier release to go back to.")
        return Response(Action.ROLL_BACK, f"Rolled back to {status.previous}. {because}")
    if not rolling and not status.candidate:
        return Response(None, "Nothing was held: nothing is on its way.")
    if status.paused:
        return Response(None, "Nothing was done: it is paused already.")
    also = " What serves is its baseline, which is not moved under it." if alarm.action == "rollback" else ""
    return Response(Action.PAUSE, f"Paused. {because}{also}")
