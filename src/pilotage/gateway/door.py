"""Who comes in: keys, models, units and business keys, all checked against the table that serves now."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, NamedTuple

from pilotage import access
from pilotage.access import Key, Role
from pilotage.clock import Clock
from pilotage.errors import RequestError
from pilotage.gateway.segments import HEADER as SEGMENT
from pilotage.gateway.segments import segment_of
from pilotage.gateway.wire import Incoming, refused
from pilotage.serving.routing import Assignment, RoutingTable
from pilotage.spec.route import Route

if TYPE_CHECKING:
    from pilotage.serving.request import Request

LONGEST = 512
"""Characters of a unit, a business key or a feedback id."""

_MAC_DIGITS = 16
_MET_MOST = 10_000
_SOURCES = ("evaluation", "replay", "watch")


class Admitted(NamedTuple):
    """A request that may be served, with the use case's route at that moment."""

    route: Route
    assignment: Assignment
    unit: str
    key: str
    source: str
    caller: str
    segment: str = ""


class Door:
    """Holds the routing table by reference; `table` is replaced whole, None until the first one is loaded."""

    def __init__(self, clock: Clock, *, mac_secret: bytes, unit_secret: bytes) -> None:
        self.table: RoutingTable | None = None
        self._clock = clock
        self._mac_secret = mac_secret
        self._unit_secret = unit_secret
        # Keys that were found right in this table, by what their callers present: compared once, then looked up.
        self._met: dict[str, Key] = {}
        self._met_at: RoutingTable | None = None
        self._failures = access.Failures()

    def current(self) -> RoutingTable:
        if self.table is None:
            raise refused(503, "this worker has not loaded what serves yet; try again shortly", code="not_ready")
        return self.table

    def key(self, incoming: Incoming) -> Key:
        """Return the caller's key; raise RequestError 401 where it is missing, unknown, expired or revoked."""
        table, now = self.current(), self._clock.now()
        if self._met_at is not table or len(self._met) > _MET_MOST:
            self._met_at, self._met = table, {}
        presented = incoming.header(b"authorization")
        met = self._met.get(presented)
        if met is not None and access.lives(met, now):
            return met
        scheme, _, secret = presented.partition(" ")
        secret = secret.strip() if scheme.lower() == "bearer" else incoming.header(b"x-api-key")
        if not secret:
            raise refused(401, "no API key; send it as 'Authorization: Bearer plt_...'", code="invalid_api_key")
        key = table.keys.get(access.key_id_of(secret))
        # An unknown key costs a comparison too, so that time does not tell which ids exist.
        known = access.matches(key or _NOBODY, secret)
        if key is None or not known or not access.lives(key, now):
            raise self._bad(incoming)
        if presented:
            self._met[presented] = key
        return key

    def _bad(self, incoming: Incoming) -> RequestError:
        """Return the refusal of a bad key. A good one is served whoever else comes from its address: many share one."""
        address = incoming.address
        if address and (wait := self._failures.wait(address)):
            incoming.out |= {"retry-after": str(wait), "x-should-retry": "false"}
            return refused(429, "too many bad API keys came from this address; wait", code="too_many_bad_keys")
        self._failures.failed(address)
        return refused(401, "this API key is unknown, revoked or expired", code="invalid_api_key")

    def admit(self, incoming: Incoming, key: Key, request: Request) -> Admitted:
        """Return who is served by what; raise RequestError 403, 404 or 503."""
        name, _, pin = request.model.partition("/")
        route = self.route(name, param="model")
        # It was found to live just now.
        if not key.may(Role.INFER, name):
            raise _forbidden(Role.INFER, name)
        if route.retired:
            raise refused(410, f"{name!r} is retired: nothing serves it any more", code="retired", param="model")
        source = incoming.header(b"x-pilotage-source")
        if source and (not pin or source not in _SOURCES):
            raise refused(
                403,
                "x-pilotage-source is 'evaluation', 'replay' or 'watch', and only with a pinned release as model",
                code="permission_denied",
                param="x-pilotage-source",
            )
        unit = self._unit(incoming, route, request)
        if pin:
            self.require(key, Role.OPERATE, name)
            release = route.releases.get(request.model)
            if release is None:
                raise refused(404, f"no release {request.model!r}", code="model_not_found", param="model")
            assignment = Assignment(release, request.model, "pinned")
        else:
            assigned = self.current().assign(route, unit)
            if assigned is None:
                raise refused(503, f"nothing serves {name!r} yet: it has no live release", code="no_live_release")
            assignment = assigned
        business = self.bounded(incoming.header(b"x-pilotage-key"), "x-pilotage-key")
        return Admitted(
            route,
            assignment,
            unit,
            self.business_digest(name, business) if business else "",
            source or "live",
            key.id,
            self.segment(incoming.header(b"x-pilotage-segment"), route),
        )

    def segment(self, given: str, route: Route) -> str:
        return segment_of(self.bounded(given, SEGMENT), route.segments) if given and route.segments else ""

    def route(self, use_case: str, *, param: str) -> Route:
        route = self.current().routes.get(use_case)
        if route is None:
            raise refused(404, f"no use case {use_case!r} is registered here", code="model_not_found", param=param)
        return route

    def require(self, key: Key, role: Role, use_case: str) -> None:
        if not key.allows(role, use_case, now=self._clock.now()):
            raise _forbidden(role, use_case)

    def seen_by(self, key: Key) -> list[str]:
        """Return the use cases that this key may ask, by name."""
        now = self._clock.now()
        return sorted(name for name in self.current().routes if key.allows(Role.INFER, name, now=now))

    def _unit(self, incoming: Incoming, route: Route, request: Request) -> str:
        """Return the unit's digest, or an empty string: then the request is not enrolled."""
        given = incoming.header(b"x-pilotage-unit") or request.user
        if given:
            return self.unit_digest(route.use_case, self.bounded(given, "x-pilotage-unit"))
        if route.unit == "conversation" and request.opening:
            return access.keyed(self._unit_secret, route.use_case, "conversation", request.opening)
        return ""

    def unit_digest(self, use_case: str, unit: str) -> str:
        return access.keyed(self._unit_secret, use_case, unit)

    def business_digest(self, use_case: str, key: str) -> str:
        return access.keyed(self._unit_secret, use_case, "key", key)

    def inference_name(self, use_case: str, inference: str) -> str:
        """Return what the caller gets to name this inference later: any worker can check it without a look-up."""
        return f"{use_case}.{inference}.{self._mac(use_case, inference)}"

    def inference(self, name: str) -> tuple[str, str]:
        """Return (use case, bare id); raise RequestError 404 where the name was not given out here."""
        parts = name.split(".")
        if len(parts) == 3 and hmac.compare_digest(
            self._mac(parts[0], parts[1]).encode(), parts[2].encode(errors="replace")
        ):
            return parts[0], parts[1]
        raise refused(
            404,
            "inference is not one that this gateway answered; send the x-pilotage-inference header of the reply as it is",
            code="inference_not_found",
            param="inference",
        )

    def _mac(self, use_case: str, inference: str) -> str:
        return access.keyed(self._mac_secret, use_case, inference)[:_MAC_DIGITS]

    @staticmethod
    def bounded(value: str, param: str) -> str:
        if len(value) > LONGEST:
            raise RequestError(400, f"{param} is longer than {LONGEST} characters", code="too_long", param=param)
        return value


def _forbidden(role: Role, use_case: str) -> RequestError:
    return refused(403, f"this API key may not {role} for {use_case!r}", code="permission_denied")


_NOBODY = Key(id="", name="", digest=access.digest(""), roles=(), created=0)
