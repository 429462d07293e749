"""`POST /v1/feedback`: checked against what the use case declared, on disk before the 202."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pilotage.access import Key, Role
from pilotage.clock import DAY, MINUTE, SECOND, Clock
from pilotage.errors import RequestError, WorkspaceUnusable
from pilotage.gateway.wire import Incoming, refused
from pilotage.records import Feedback
from pilotage.serving.request import decode

if TYPE_CHECKING:
    from pilotage.gateway.door import Door
    from pilotage.store.base.recorded import SpoolWriter

BODY_LIMIT = 64 << 10
AHEAD = 5 * MINUTE
"""How far a caller's clock may run ahead."""

OLDEST = 3650 * DAY
_LATEST_SECOND = 1 << 40
_FIELDS = frozenset({"id", "inference", "key", "unit", "metric", "value", "at", "use_case"})
_SUBJECTS = ("inference", "key", "unit")


class Commit:
    """Group commit: what arrives while one write is being synced to disk goes into the next, all at once."""

    def __init__(self, spool: SpoolWriter) -> None:
        self._spool = spool
        self._waiting: list[tuple[Feedback, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def append(self, event: Feedback) -> None:
        """Return when the event survives power loss; raise WorkspaceUnusable where it could not be written."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((event, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write())
        await future

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            fault: WorkspaceUnusable | None = None
            try:
                await asyncio.to_thread(self._spool.append_durably, [event for event, _ in batch])
            except WorkspaceUnusable as raised:
                fault = raised
            for _, future in batch:
                if future.done():  # its caller went away; the event is written all the same
                    continue
                if fault is None:
                    future.set_result(None)
                else:
                    future.set_exception(fault)

    async def close(self) -> None:
        if self._task is not None:
            await self._task


class FeedbackDoor:
    def __init__(self, door: Door, commit: Commit, clock: Clock) -> None:
        self._door = door
        self._commit = commit
        self._clock = clock

    async def handle(self, incoming: Incoming) -> None:
        key = self._door.key(incoming)
        event = self.check(key, decode(await incoming.body(BODY_LIMIT)))
        try:
            await self._commit.append(event)
        except WorkspaceUnusable as fault:
            raise refused(503, f"feedback cannot be stored now: {fault.message}", code="not_stored") from None
        await incoming.reply_json(202, {"id": event.id, "status": "accepted"})

    def check(self, key: Key, body: Any) -> Feedback:
        """Return the event; raise RequestError that names the field at fault."""
        if not isinstance(body, dict):
            raise _faulty("the body must be an object with id, metric, value and one of inference, key, unit", None)
        for name in body:
            if name not in _FIELDS:
                raise _faulty(f"{name} is not a field of feedback; these are: {', '.join(sorted(_FIELDS))}", name)
        given = [name for name in _SUBJECTS if body.get(name) is not None]
        if len(given) != 1:
            raise _faulty(
                "name what it is about by exactly one of inference, key and unit", given[1] if given else None
            )
        feedback_id = self._text(body, "id")
        subject = self._text(body, given[0])
        use_case, joined = self._subject(given[0], subject, body)
        route = self._door.route(use_case, param="use_case")
        self._door.require(key, Role.FEEDBACK, use_case)
        metric = self._text(body, "metric")
        door = route.metrics.get(metric)
        if door is None:
            declared = ", ".join(sorted(route.metrics)) or "none"
            raise _faulty(
                f"{use_case!r} declares no metric {metric!r}; declared: {declared}", "metric", "unknown_metric"
            )
        value = _number(body.get("value"))
        if fault := door.fault(value):
            raise _faulty(f"value: {fault}", "value", "out_of_range")
        now = self._clock.now()
        return Feedback(
            id=feedback_id,
            use_case=use_case,
            at=self._time(body.get("at"), now),
            metric=metric,
            value=value,
            received=now,
            **{given[0]: joined},
        )

    def _subject(self, kind: str, subject: str, body: dict[str, Any]) -> tuple[str, str]:
        """Return (use case, what joins it)."""
        if kind == "inference":
            use_case, inference = self._door.inference(subject)
            if body.get("use_case") not in (None, use_case):
                raise _faulty(f"this inference is of {use_case!r}, not of {body['use_case']!r}", "use_case")
            return use_case, inference
        use_case = self._text(body, "use_case")
        digest = self._door.business_digest if kind == "key" else self._door.unit_digest
        return use_case, digest(use_case, subject)

    def _text(self, body: dict[str, Any], name: str) -> str:
        value = body.get(name)
        if not isinstance(value, str) or not value.strip():
            raise _faulty(f"{name} is missing; it must be text", name)
        return self._door.bounded(value.strip(), name)

    @staticmethod
    def _time(value: object, now: int) -> int:
        if value is None:
            return now
        at = _microseconds(value)
        if at is None:
            raise _faulty("at must be seconds since 1970, or ISO 8601 with a time zone", "at")
        if not now - OLDEST < at <= now + AHEAD:
            raise _faulty("at lies in the future, or more than ten years back", "at", "out_of_range")
        return min(at, now)


def _number(value: object) -> float:
    if not isinstance(value, bool | int | float):
        raise _faulty("value must be true, false or a number", "value")
    try:
        return float(value)
    except OverflowError:
        raise _faulty("value is not a finite number", "value", "out_of_range") from None


def _microseconds(value: object) -> int | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        # Compared before it is multiplied: a number from outside may be too large for that.
        return int(value * SECOND) if abs(value) < _LATEST_SECOND else None
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * SECOND)


def _faulty(message: str, param: str | None, code: str = "invalid_feedback") -> RequestError:
    return RequestError(400, message, code=code, param=param)
