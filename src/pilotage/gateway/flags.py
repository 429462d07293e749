"""`POST /ofrep/v1/evaluate/flags[/KEY]`: use cases as flags, by the OpenFeature Remote Evaluation Protocol.

One flag is an exposure and is recorded as one; all flags at once are a prefetch and are not
(docs/decisions/0005-what-exposes-a-unit.md).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
import xxhash

from pilotage.access import Role
from pilotage.clock import SECOND, Clock, new_id
from pilotage.errors import RequestError
from pilotage.gateway.segments import HEADER as SEGMENT
from pilotage.gateway.wire import Incoming, refused
from pilotage.records import Finished, Started
from pilotage.serving.request import decode

if TYPE_CHECKING:
    from pilotage.gateway.door import Door
    from pilotage.serving.recording import Recorder
    from pilotage.serving.routing import Assignment
    from pilotage.spec.route import Route

PATH = "/ofrep/v1/evaluate/flags"
BODY_LIMIT = 64 << 10
SURFACE = "flag"
BUSINESS_KEY = "x-pilotage-key"
"""The context's attribute, and the header, that names a business key for later feedback."""

_GRACE = 30 * SECOND
_PARSE_ERROR, _MISSING, _INVALID = "PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT"
_CODES = {
    "invalid_json": _PARSE_ERROR,
    "too_deep": _PARSE_ERROR,
    "too_long": _INVALID,
    "model_not_found": "FLAG_NOT_FOUND",
    **{code: code for code in (_PARSE_ERROR, _MISSING, _INVALID)},
}
"""What a refusal is called by the protocol; everything else is GENERAL."""


class Flags:
    def __init__(self, door: Door, recorder: Recorder, clock: Clock) -> None:
        self._door = door
        self._recorder = recorder
        self._clock = clock

    async def handle(self, incoming: Incoming) -> None:
        """Answer for the flag that the path names, or for every flag that the caller's key may ask."""
        flag = None if incoming.path == PATH else incoming.path.removeprefix(f"{PATH}/")
        try:
            if flag is None:
                await self._all(incoming)
            else:
                await self._one(incoming, flag)
        except RequestError as fault:
            await _refuse(incoming, flag, fault)

    async def _one(self, incoming: Incoming, flag: str) -> None:
        received = time.monotonic_ns()
        key = self._door.key(incoming)
        context = _context(await incoming.body(BODY_LIMIT))
        route = self._door.route(flag, param="key")
        self._door.require(key, Role.INFER, flag)
        unit = self._door.unit_digest(flag, self._targeting_key(context))
        assignment = self._door.current().assign(route, unit)
        inference = ""
        if assignment is not None:
            business = self._business(incoming, flag, context)
            segment = self._segment(incoming, route, context)
            inference = self._expose(
                route, assignment, unit=unit, business=business, caller=key.id, segment=segment, received=received
            )
        incoming.out["cache-control"] = "no-store"
        await incoming.reply_json(200, _evaluation(flag, assignment, inference))

    async def _all(self, incoming: Incoming) -> None:
        key = self._door.key(incoming)
        if not key.allows(Role.INFER, now=self._clock.now()):
            raise refused(403, f"this API key lacks the role {Role.INFER}", code="permission_denied")
        unit = self._targeting_key(_context(await incoming.body(BODY_LIMIT)))
        table = self._door.current()
        found = [
            _evaluation(name, table.assign(table.routes[name], self._door.unit_digest(name, unit)))
            for name in self._door.seen_by(key)
        ]
        body = msgspec.json.encode({"flags": found})
        # Made from the answer itself: every worker gives the same one, and a change that is none for this unit is none.
        tag = f'"{xxhash.xxh3_128_hexdigest(body)}"'
        incoming.out["etag"] = tag
        if _matches(incoming.header(b"if-none-match"), tag):
            await incoming.start(304, "application/json")
            await incoming.write(b"", last=True)
            return
        await incoming.reply(200, body)

    def _targeting_key(self, context: dict[str, Any]) -> str:
        given = context.get("targetingKey")
        if given is None:
            given = ""
        if not isinstance(given, str):
            raise _faulty(_INVALID, "context.targetingKey must be text")
        if not given.strip():
            raise _faulty(_MISSING, "context.targetingKey is missing; it names the unit: who is assigned")
        return self._door.bounded(given.strip(), "context.targetingKey")

    def _business(self, incoming: Incoming, use_case: str, context: dict[str, Any]) -> str:
        """Return the digest of the business key in the context or the header, or an empty string."""
        given = context.get(BUSINESS_KEY, incoming.header(BUSINESS_KEY.encode()))
        if not isinstance(given, str):
            raise _faulty(_INVALID, f"context.{BUSINESS_KEY} must be text")
        business = self._door.bounded(given.strip(), BUSINESS_KEY)
        return self._door.business_digest(use_case, business) if business else ""

    def _segment(self, incoming: Incoming, route: Route, context: dict[str, Any]) -> str:
        given = context.get(SEGMENT, incoming.header(SEGMENT.encode()))
        if not isinstance(given, str):
            raise _faulty(_INVALID, f"context.{SEGMENT} must be text")
        return self._door.segment(given, route)

    def _expose(
        self,
        route: Route,
        assignment: Assignment,
        *,
        unit: str,
        business: str,
        caller: str,
        segment: str,
        received: int,
    ) -> str:
        """Record that the unit is exposed; return the name under which feedback can speak of it.

        The call itself is the application's, so it ends here: no upstream was asked (`attempts` is 0), and what went
        wrong later is the application's to report.
        """
        inference = new_id(self._clock)
        at = self._clock.now()
        self._recorder.started(
            Started(
                id=inference,
                use_case=route.use_case,
                at=at,
                release=assignment.reference,
                arm=assignment.arm,
                deadline=at + _GRACE,
                unit=unit,
                rollout=assignment.rollout,
                step=assignment.step,
                share=assignment.share,
                generation=assignment.generation,
                surface=SURFACE,
                key=business,
                caller=caller,
                segment=segment,
            )
        )
        took = (time.monotonic_ns() - received) // 1000
        finished = Finished(
            id=inference,
            use_case=route.use_case,
            at=at,
            served=assignment.reference,
            status=200,
            attempts=0,
            first_byte=took,
            duration=took,
        )
        self._recorder.finished(finished, None, redact=False)
        return self._door.inference_name(route.use_case, inference)


def _evaluation(flag: str, assignment: Assignment | None, inference: str = "") -> dict[str, Any]:
    """Return one flag's evaluation. Without a `value` the caller uses its own default: nothing is served to it."""
    if assignment is None:
        # The protocol lets `variant` out here, but some providers insist on it.
        return {"key": flag, "reason": "DEFAULT", "variant": ""}
    release = assignment.release
    metadata = {
        "release": assignment.reference,
        "model": release.model,
        "rollout": assignment.rollout,
        "inference": inference,
    }
    return {
        "key": flag,
        "reason": "SPLIT" if assignment.rollout else "STATIC",
        "variant": release.variant,
        "value": release.variant,
        "metadata": {name: value for name, value in metadata.items() if value},
    }


def _context(data: bytes) -> dict[str, Any]:
    """Return the evaluation context. Of its attributes only two are read, and none is recorded as it is."""
    body = decode(data)
    if not isinstance(body, dict):
        raise _faulty(_PARSE_ERROR, 'the body must be an object: {"context": {"targetingKey": "..."}}')
    context = body.get("context")
    if context is None:
        return {}
    if not isinstance(context, dict):
        raise _faulty(_INVALID, "context must be an object")
    return context


def _faulty(code: str, message: str) -> RequestError:
    return RequestError(400, message, code=code)


async def _refuse(incoming: Incoming, flag: str | None, fault: RequestError) -> None:
    """Answer a refusal in the protocol's shape; `flag` is None for all flags at once."""
    code = _CODES.get(fault.error_code, "GENERAL")
    named = {} if flag is None else {"key": flag}
    await incoming.reply_json(fault.status, {**named, "errorCode": code, "errorDetails": fault.message})


def _matches(wanted: str, tag: str) -> bool:
    """Return whether If-None-Match names this entity tag; compared weakly, as RFC 9110 has it."""
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in wanted.split(","))
