"""Telling people of alarms: messages leave in their receiver's shape, are tried again, and end in a list, never nowhere."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from pilotage.clock import HOUR, SECOND
from pilotage.governance import standing, words
from pilotage.status import MILLION

if TYPE_CHECKING:
    from pilotage.governance.context import Context
    from pilotage.governance.mandate import Mandate
    from pilotage.records import Alarm, Notice
    from pilotage.spec.watch import Receiver

TRIES = 12
"""With pauses that double from 5 seconds up to an hour, the last one is about five hours after the first."""
_FIRST_PAUSE = 5 * SECOND
AT_ONCE = 200

log = logging.getLogger(__name__)


class Post(Protocol):
    """Sends a body to an address; returns what went wrong, or an empty string once it was taken. Blocks for a few seconds."""

    def __call__(self, url: str, body: bytes, content_type: str) -> str: ...


class Message(NamedTuple):
    body: bytes
    content_type: str


class Notices:
    """Delivers what is due. A message that was taken and not yet noted goes out again: at least once, by its id."""

    def __init__(self, context: Context, mandate: Mandate, post: Post) -> None:
        self._context, self._mandate, self._post = context, mandate, post

    def turn(self) -> None:
        """Try everything that is due, the longest due first; of a receiver that takes one message not, the others wait for a turn."""
        with self._context.store.read() as tx:
            due = tx.notices.due(self._context.clock.now(), most=AT_ONCE)
        refuses: set[tuple[str, str]] = set()
        for notice in due:
            if (notice.use_case, notice.target) in refuses:
                continue
            why = self._tried(notice)
            if why:
                refuses.add((notice.use_case, notice.target))
            now = self._context.clock.now()
            with self._context.store.write() as tx:
                self._mandate.check(tx)
                tx.notices.put(_after(notice, why, now))
            if why:
                log.warning("%s: %s was not told of an alarm: %s", notice.use_case, notice.target, why)

    def _tried(self, notice: Notice) -> str:
        """Return what went wrong, or an empty string."""
        with self._context.store.read() as tx:
            alarm = tx.alarms.get(notice.alarm)
            spec = standing.standing(tx, notice.use_case).spec
        receiver = next((one for one in spec.watch.notify if one.name == notice.target), None)
        if alarm is None or receiver is None:
            return f"the file names no receiver {notice.target!r} any more"
        url = self._context.environment(receiver.url_env)
        if not url:
            return f"{receiver.url_env} is not set where the server runs"
        with self._context.store.read() as tx:
            alarm = msgspec.structs.replace(alarm, note=words.text_of(tx, alarm.note))
        message = message_of(receiver, notice, alarm)
        return self._post(url, message.body, message.content_type)


def message_of(receiver: Receiver, notice: Notice, alarm: Alarm) -> Message:
    """Return what is sent: Slack's `text`, or a CloudEvent 1.0 as structured JSON (application/cloudevents+json)."""
    if receiver.shape == "slack":
        return Message(json.dumps({"text": text_of(notice, alarm)}).encode(), "application/json")
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": notice.id,
        "source": f"/pilotage/{alarm.use_case}",
        "type": f"pilotage.alarm.{notice.event}",
        "subject": alarm.watch,
        "time": datetime.fromtimestamp(notice.at / MILLION, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": msgspec.to_builtins(alarm),
    }
    return Message(json.dumps(event).encode(), "application/cloudevents+json")


def text_of(notice: Notice, alarm: Alarm) -> str:
    """Return a message for people."""
    also = ", ".join(part["what"] for part in alarm.detail.get("also", ()))
    first = f"{alarm.use_case}: {alarm.what} {alarm.says}.{f' So have moved: {also}.' if also else ''}"
    match notice.event:
        case "raised":
            return f"Alarm. {first} ({alarm.release}, alarm {alarm.id[:12]})"
        case "worse":
            return f"Still worse. {first} (alarm {alarm.id[:12]})"
        case "acted":
            return f"{alarm.use_case}: {alarm.did} (alarm {alarm.id[:12]})"
        case _:
            note = f": {alarm.note}" if alarm.note else ""
            return f"{alarm.use_case}: alarm {alarm.id[:12]} ({alarm.what}) was {notice.event} by {alarm.actor}{note}"


def _after(notice: Notice, why: str, now: int) -> Notice:
    if not why:
        return msgspec.structs.replace(notice, state="sent", tries=notice.tries + 1, why="")
    tries = notice.tries + 1
    pause = min(_FIRST_PAUSE << min(tries - 1, 12), HOUR)
    state = "dead" if tries >= TRIES else "waiting"
    return msgspec.structs.replace(notice, state=state, tries=tries, due=now + pause, why=why[:200])
