"""What may still be asked, and spent: requests and tokens of this minute, money of this day and month.

All of it out of this process's memory. An empty share refuses at once; it is renewed beside the requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pilotage.clock import Clock, ScaledClock
from pilotage.errors import RequestError
from pilotage.gateway.held import SOON, Capped, Own, UnitPurse, UseCase
from pilotage.gateway.pace import Counter, Paced, Paces, late, subject
from pilotage.serving.grant import Grant
from pilotage.serving.routing import Assignment
from pilotage.serving.serve import answers
from pilotage.spec.period import Kind, period
from pilotage.spec.route import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pilotage.access import Key
    from pilotage.gateway.door import Admitted
    from pilotage.gateway.pace import Count
    from pilotage.serving.purse import Allowance, Purse
    from pilotage.serving.request import Request
    from pilotage.serving.tariff import Tariff
    from pilotage.spec.route import Route

BEYOND = "beyond"
"""Why a release was assigned that answers because money does not suffice."""
_TOKEN = 4
"""Bytes that a token has on average, for what a minute is supposed to hold."""
_ELSEWHERE = frozenset({"previous_response_id", "conversation"})
"""Fields that name what a provider keeps: how much of it goes into a request, and is paid for, only that provider knows."""
_NO_PACE = Pace()


class Periods(Protocol):
    def __getitem__(self, kind: Kind, /) -> Counter:
        """Return what counts money by days, or by months."""


class Limits:
    """Decides for each request; `renew` is called where a share runs low, and must return at once."""

    def __init__(self, clock: Clock, minutes: Counter, periods: Periods, renew: Callable[[], None]) -> None:
        self._clock = clock
        self._rate = clock.rate if isinstance(clock, ScaledClock) else 1.0
        self._paces = Paces(minutes, self._rate)
        self._periods = periods
        self._renew = renew
        self._held: dict[str, UseCase] = {}
        self._own: dict[str, Own] = {}
        self._known: dict[str, Allowance] = {}
        self._for_lack_of_money = 0
        self.beyond = 0

    @property
    def refused(self) -> dict[str, int]:
        """Return how many requests were refused, by what they would have passed."""
        return {**self._paces.refused, "budget": self._for_lack_of_money}

    @property
    def allowances(self) -> list[Allowance]:
        """Return every cap on money of which workers have shares, a day's and a month's apart."""
        ours = [one for held in self._held.values() for one in held.allowances]
        return ours + [one for own in self._own.values() for one in own.allowances]

    @property
    def known(self) -> list[Allowance]:
        """Return all of which this worker has shares, also of what is limited no more."""
        return list(self._known.values())

    def due(self) -> list[tuple[Allowance, str, Purse]]:
        """Return each share to be looked after, with the period that it is of."""
        now, soon = self._clock.now(), int(SOON * self._rate)
        return [(one, name, purse) for one in self.allowances for name, purse in one.due(now, soon)]

    def follow(self, routes: Mapping[str, Route], keys: Iterable[Key]) -> None:
        """Take over what is limited now. Shares of what is limited no more go with the process's end."""
        limited = [key for key in keys if key.limited and not key.revoked]
        held = {name: UseCase(route, self._known) for name, route in routes.items() if limited or _limited(route)}
        usual: dict[str, int] = {}
        for one in held.values():
            usual[one.route.currency] = max(usual.get(one.route.currency, 0), one.usual)
        self._own = {key.id: Own(key, usual, self._known) for key in limited}
        for kind in {kind for one in held.values() for kind, _ in one.unit_caps}:
            # Made now: the first request of a unit waits for no disk.
            _ = self._periods[kind]
        self._held = held

    def admit(
        self, admitted: Admitted, request: Request, size: int, out: dict[str, str]
    ) -> tuple[Admitted, Grant | None]:
        """Return who is served by what, and what that may cost (None: whatever it does).

        `size` is the bytes of the request's body; `out` gets headers. Raises RequestError 429 where it is too much, 413 where
        it is too large, 400 and 403 where no budget could hold it.
        """
        held = self._held.get(admitted.route.use_case)
        if held is None:
            return admitted, None
        own, limits = self._own.get(admitted.caller), held.route.limits
        if limits.max_bytes and size > limits.max_bytes:
            says = f"the body has {size:,} bytes; {held.route.use_case!r} takes {limits.max_bytes:,}"
            raise RequestError(413, says, code="request_too_large")
        now = self._clock.now()
        pinned = admitted.assignment.arm == "pinned"
        prices = held.prices(admitted.assignment.reference) if pinned else held.tariff
        answer = prices.answer(request, limits.max_tokens)
        capped = () if prices.free else self._capped(admitted, held, own, now)
        if capped:
            _holdable(admitted, request, prices, own)
        counted: list[Count] = []
        if held.paced or own is not None:
            counted = self._paces.count(_paced(admitted, held, own), now, size // _TOKEN + answer.tokens, out)
        if not capped:
            return admitted, Grant(prices, answer, (), counted) if counted else None
        grant = Grant(prices, answer, [one.purse for one in capped], counted)
        lacking = self._hold(grant, prices.size(size), capped)
        if lacking is None:
            return admitted, grant
        beyond = self._beyond(admitted, request, held)
        if beyond is not None:
            return beyond, Grant(prices, answer, (), counted)
        for one in counted:
            one.undo()
        self._for_lack_of_money += 1
        raise self._spent(lacking, prices.worst(prices.size(size), answer), now, out)

    def _capped(self, admitted: Admitted, held: UseCase, own: Own | None, now: int) -> Sequence[Capped]:
        """Return everything that a request is paid from."""
        shares = held.capped(now)
        if own is None and not held.unit_caps:
            return shares
        name = held.route.use_case
        found = list(shares)
        if own is not None:
            found += [Capped(one.purse(now), "this key", one.now, one.cap) for one in own.allowances]
        if held.unit_caps:
            whom = subject("unit", name, _unit(admitted))
            for kind, cap in held.unit_caps:
                now_in = period(kind, now)
                found.append(Capped(UnitPurse(self._periods[kind], whom, now_in, cap), "this unit", now_in, cap))
        return found

    def _hold(self, grant: Grant, size: int, capped: Sequence[Capped]) -> Capped | None:
        """Hold what a request may cost, everywhere or nowhere; return where it lacks. Shares that run low are renewed."""
        worst = grant.worst(size)
        for one in capped:
            if worst > one.cap:
                # It can never be paid: no share is asked for it.
                return one
        purse = grant.hold(size)
        for one in capped:
            if one.purse.low(one.cap):
                self._renew()
                break
        return None if purse is None else next(one for one in capped if one.purse is purse)

    def _beyond(self, admitted: Admitted, request: Request, held: UseCase) -> Admitted | None:
        """Return who answers in place of the one that was assigned, None where nobody does."""
        beyond = held.route.money.beyond if held.route.money is not None else ""
        release = held.route.releases.get(beyond)
        if (
            release is None
            or beyond in held.route.barred
            or admitted.assignment.arm == "pinned"
            or not answers(release, request)
        ):
            return None
        self.beyond += 1
        return admitted._replace(assignment=Assignment(release, beyond, BEYOND))

    def _spent(self, lacking: Capped, worst: int, now: int, out: dict[str, str]) -> RequestError:
        kind, code = "insufficient_quota", "budget_exceeded"
        if worst <= lacking.cap and not lacking.purse.dry:
            return late(f"this worker's share of the budget of {lacking.whose} is being renewed", kind, code, 0, out)
        says = f"what the budget of {lacking.whose} has left for {lacking.period.name} (UTC) does not suffice for this request"
        if worst > lacking.cap:
            says = f"this request may cost more than the budget of {lacking.whose} has for {lacking.period.name} (UTC) in all"
        says = f"{says}; a lower max_tokens needs less"
        return late(says, kind, code, (lacking.period.end - now) / self._rate, out)


def _limited(route: Route) -> bool:
    limits = route.limits
    return route.money is not None or bool(limits.max_bytes) or limits.key != _NO_PACE or limits.unit != _NO_PACE


def _unit(admitted: Admitted) -> str:
    """Return who is counted as a unit: without one, the key is, or nobody's requests would be bounded by leaving it out."""
    return admitted.unit or f"key:{admitted.caller}"


def _paced(admitted: Admitted, held: UseCase, own: Own | None) -> Sequence[Paced]:
    key = held.key(admitted.caller)
    if own is None and not held.paces_units:
        return key
    name, limits = held.route.use_case, held.route.limits
    found = list(key)
    if held.paces_units:
        found.append(Paced(f"this unit, of {name!r},", subject("unit", name, _unit(admitted)), limits.unit))
    if own is not None and own.pace != _NO_PACE:
        found.append(Paced("this key", subject("own", admitted.caller), own.pace))
    return found


def _holdable(admitted: Admitted, request: Request, prices: Tariff, own: Own | None) -> None:
    """Raise RequestError where no budget could hold what this costs."""
    name = admitted.route.use_case
    for field in () if _ELSEWHERE.isdisjoint(request.body) else sorted(_ELSEWHERE):
        if request.body.get(field) is not None:
            says = f"{field} names what only the provider knows the length of, and the budget of {name!r} must know what this may cost"
            raise RequestError(400, f"{says}; send the whole conversation", code="unbounded", param=field)
    if own is None or not own.allowances:
        return
    if own.currency != admitted.route.currency:
        says = f"this key's budget is in {own.currency}, and {name!r} costs {admitted.route.currency}"
        raise RequestError(403, says, code="currency_mismatch", param="model")
    if prices.unpriced:
        says = f"{name!r} has a release without a price, so this key's budget could not be held"
        raise RequestError(403, says, code="price_unknown", param="model")
