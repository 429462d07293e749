"""What may still be asked, and spent: requests and tokens of this minute, money of this day and month.

All of it out of this process's memory. An empty share refuses at once; it is renewed beside the requests.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple, Protocol

import xxhash

from pilotage.clock import MINUTE, SECOND, Clock, ScaledClock
from pilotage.errors import RequestError
from pilotage.serving.grant import Counted, Grant
from pilotage.serving.purse import NEAR, Allowance, Purse
from pilotage.serving.routing import Assignment
from pilotage.serving.serve import answers
from pilotage.serving.tariff import PLAIN, Tariff, assignable, tariff

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pilotage.gateway.door import Admitted
    from pilotage.serving.request import Request
    from pilotage.spec.route import Route

BEYOND = "beyond"
"""Why a release was assigned that answers because money does not suffice."""
_TOKEN = 4
"""Bytes that a token has on average, for what a minute is supposed to hold."""
_SOON = 5 * SECOND
"""Real time before a day or a month ends at which a share of the next is asked for."""

log = logging.getLogger(__name__)


class Rates(Protocol):
    def take(self, subject: int, minute: int, tokens: int, *, requests: int, most: int) -> Counted | str:
        """Count one request of somebody in a minute, or return which limit it would pass."""


class Held(NamedTuple):
    """What is limited of one use case."""

    route: Route
    tariff: Tariff
    allowances: tuple[Allowance, ...]


class Limits:
    """Decides for each request; `renew` is called where a share runs low, and must return at once."""

    def __init__(self, clock: Clock, rates: Rates, renew: Callable[[], None]) -> None:
        self._clock = clock
        self._rates = rates
        self._renew = renew
        self._held: dict[str, Held] = {}
        self._known: dict[str, Allowance] = {}
        self._said: set[tuple[str, str, str]] = set()
        self._rate = clock.rate if isinstance(clock, ScaledClock) else 1.0
        self.refused = {"requests": 0, "tokens": 0, "budget": 0}
        self.beyond = 0

    @property
    def allowances(self) -> list[Allowance]:
        """Return every cap on money, a day's and a month's apart."""
        return [allowance for held in self._held.values() for allowance in held.allowances]

    def due(self) -> list[tuple[Allowance, str, Purse]]:
        """Return each share to be looked after, with the period that it is of."""
        now, soon = self._clock.now(), int(_SOON * self._rate)
        return [(one, name, purse) for one in self.allowances for name, purse in one.due(now, soon)]

    def follow(self, routes: Mapping[str, Route]) -> None:
        """Take over what is limited now. Shares of use cases that are limited no more go with the process's end."""
        found = {}
        for name, route in routes.items():
            if route.money is None and not route.limits.requests and not route.limits.tokens:
                continue
            prices = tariff(route, assignable(route))
            found[name] = Held(route, prices, self._capped(route, prices))
        self._held = found

    def admit(self, admitted: Admitted, request: Request, size: int) -> tuple[Admitted, Grant | None]:
        """Return who is served by what, and what that may cost (None: whatever it does); raise RequestError 429.

        `size` is the bytes of the request's body.
        """
        held = self._held.get(admitted.route.use_case)
        if held is None:
            return admitted, None
        now, limits = self._clock.now(), held.route.limits
        pinned = admitted.assignment.arm == "pinned"
        prices = tariff(admitted.route, [admitted.assignment.reference]) if pinned else held.tariff
        answer = prices.answer(request, limits.max_tokens) if held.allowances or limits.tokens else 0
        counted = None
        if limits.requests or limits.tokens:
            counted = self._counted(admitted, held, now, size // _TOKEN + answer)
        if not held.allowances or not (prices.dearest_in or prices.dearest_out):
            return admitted, Grant(prices, answer, (), counted) if limits.tokens else None
        grant = Grant(prices, answer, [one.purse(now) for one in held.allowances], counted)
        lacking = grant.hold(prices.size(size))
        for one in held.allowances:
            if lacking is not None or one.last.low(one.cap):
                self._renew()
        if lacking is None:
            return admitted, grant
        return self._without_money(admitted, request, held, lacking, now), None

    def renewed(self, allowance: Allowance, name: str, purse: Purse) -> None:
        """Say once a period that a cap is near, and once that it is reached."""
        for part, says in (
            (NEAR, "%s: %.0f %% of the money of %s is given out"),
            (1.0, "%s: all the money of %s is given out"),
        ):
            mark = (allowance.account, name, says)
            if purse.taken >= part * allowance.cap and mark not in self._said:
                self._said.add(mark)
                values = (allowance.account, NEAR * 100, name) if part < 1 else (allowance.account, name)
                log.warning(says, *values)

    def _capped(self, route: Route, prices: Tariff) -> tuple[Allowance, ...]:
        money, found = route.money, []
        if money is None:
            return ()
        usual = prices.worst(prices.size(PLAIN), max(prices.longest, 0 if prices.fixed else route.limits.max_tokens))
        for kind, cap in (("day", money.a_day), ("month", money.a_month)):
            if cap:
                made = Allowance(route.use_case, "day" if kind == "day" else "month", cap, usual)
                one = self._known.setdefault(made.account, made)
                one.cap, one.usual = cap, usual
                found.append(one)
        return tuple(found)

    def _counted(self, admitted: Admitted, held: Held, now: int, tokens: int) -> Counted:
        limits = held.route.limits
        who = admitted.unit if limits.per == "unit" and admitted.unit else admitted.caller
        subject = xxhash.xxh3_64_intdigest(f"{held.route.use_case}\0{who}".encode()) or 1
        found = self._rates.take(subject, now // MINUTE, tokens, requests=limits.requests, most=limits.tokens)
        if not isinstance(found, str):
            return found
        self.refused[found] += 1
        most = limits.requests if found == "requests" else limits.tokens
        whose = "unit" if who != admitted.caller else "key"
        says = f"this {whose} may ask {admitted.route.use_case!r} for {most:,} {found} a minute, and has"
        raise self._late(says, found, "rate_limit_exceeded", MINUTE - now % MINUTE)

    def _without_money(self, admitted: Admitted, request: Request, held: Held, lacking: Purse, now: int) -> Admitted:
        """Return who answers in place of the one that was assigned; raise RequestError 429 where nobody does."""
        beyond = held.route.money.beyond if held.route.money is not None else ""
        release = admitted.route.releases.get(beyond)
        if release is not None and admitted.assignment.arm != "pinned" and answers(release, request):
            self.beyond += 1
            return admitted._replace(assignment=Assignment(release, beyond, BEYOND))
        self.refused["budget"] += 1
        raise self._spent(admitted.route.use_case, held, lacking, now)

    def _spent(self, use_case: str, held: Held, lacking: Purse, now: int) -> RequestError:
        capped = next(one for one in held.allowances if one.purse(now) is lacking)
        if lacking.dry:
            says = f"the money that {use_case!r} may spend in this {capped.kind} ({capped.now.name}, UTC) does not suffice for this request"
            return self._late(says, "insufficient_quota", "budget_exceeded", capped.now.end - now)
        says = f"this worker's share of the money that {use_case!r} may spend is being renewed; try again"
        return self._late(says, "insufficient_quota", "budget_exceeded", 0)

    def _late(self, says: str, kind: str, code: str, wait: int) -> RequestError:
        """Return a refusal that says in how many microseconds of the clock it may be otherwise."""
        return RequestError(429, says, code=code, kind=kind, retry_after=max(1, -int(-wait / self._rate // SECOND)))
