"""What is limited of one use case, and of one key: put together when what serves has changed, read by every request."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pilotage.clock import SECOND
from pilotage.gateway.pace import Paced, subject
from pilotage.serving.purse import Allowance, Purse
from pilotage.serving.tariff import PLAIN, Tariff, Worst, assignable, tariff
from pilotage.spec.period import KINDS, Kind, Period
from pilotage.spec.route import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.access import Key
    from pilotage.gateway.pace import Count, Counter
    from pilotage.spec.route import Route

_KEYS_MOST = 10_000
SOON = 5 * SECOND
"""Real time before a day or a month ends at which a share of the next is asked for."""


class Capped(NamedTuple):
    """Money that a request is paid from: whose it is in words, when its period ends, and the most there is of it."""

    purse: Purse | UnitPurse
    whose: str
    period: Period
    cap: int


class UseCase:
    """One use case whose requests are limited, by its own file or by some key's."""

    __slots__ = (
        "_capped", "_keys", "_pinned", "_until",
        "allowances", "paced", "paces_units", "quoted", "route", "tariff", "unit_caps", "usual",
    )  # fmt: skip

    def __init__(self, route: Route, known: dict[str, Allowance]) -> None:
        self.route = route
        self.quoted = repr(route.use_case)
        self._capped: tuple[Capped, ...] = ()
        self._until = 0
        self._keys: dict[str, tuple[Paced, ...]] = {}
        self.tariff = tariff(route, assignable(route))
        self._pinned: dict[str, Tariff] = {}
        prices, limits, money = self.tariff, route.limits, route.money
        longest = max(prices.longest, 0 if prices.fixed else limits.max_tokens)
        self.usual = prices.worst(prices.size(PLAIN), Worst(longest))
        caps: dict[Kind, int] = {"day": money.a_day, "month": money.a_month} if money else {}
        # A share is several times what a plain request may cost: of one that may cost the cap, all there is.
        usual = max(caps.values(), default=0) if money is not None and money.whole else self.usual
        self.allowances = _allowances(route.use_case, caps, usual, known)
        self.unit_caps: tuple[tuple[Kind, int], ...] = ()
        if money is not None:
            each: tuple[tuple[Kind, int], ...] = (("day", money.unit_a_day), ("month", money.unit_a_month))
            self.unit_caps = tuple((kind, cap) for kind, cap in each if cap)
        self.paces_units = limits.unit != Pace()
        self.paced = self.paces_units or limits.key != Pace()

    def capped(self, now: int) -> tuple[Capped, ...]:
        """Return this worker's shares of its budget, as they are for requests until one of their periods ends."""
        if now >= self._until:
            self._capped = tuple(Capped(one.purse(now), self.quoted, one.now, one.cap) for one in self.allowances)
            self._until = min((one.period.end for one in self._capped), default=now)
        return self._capped

    def key(self, caller: str) -> tuple[Paced, ...]:
        """Return what of a key's minute this use case limits, if anything."""
        found = self._keys.get(caller)
        if found is None:
            if len(self._keys) >= _KEYS_MOST:
                self._keys.clear()
            pace = self.route.limits.key
            of = Paced(f"this key, of {self.quoted},", subject("key", self.route.use_case, caller), pace)
            found = self._keys[caller] = (of,) if pace != Pace() else ()
        return found

    def prices(self, pinned: str) -> Tariff:
        """Return what a request that is pinned to a release may cost."""
        found = self._pinned.get(pinned)
        if found is None:
            found = self._pinned[pinned] = tariff(self.route, [pinned])
        return found


class Own:
    """A key whose requests are limited, whatever they ask for."""

    __slots__ = ("allowances", "currency", "pace")

    def __init__(self, key: Key, usual: Mapping[str, int], known: dict[str, Allowance]) -> None:
        """`usual` is what a plain request may cost, by currency."""
        self.pace = Pace(key.requests_a_minute, key.tokens_a_minute)
        self.currency = key.currency
        caps: dict[Kind, int] = {"day": key.a_day, "month": key.a_month}
        self.allowances = _allowances(f"key:{key.id}", caps, usual.get(key.currency, 0), known)


class UnitPurse:
    """What one unit may cost in a day or a month: counted together with all workers, as minutes are."""

    __slots__ = ("_cap", "_count", "_counter", "_subject", "period")
    dry = True
    """Nothing renews it before its period ends."""

    def __init__(self, counter: Counter, subject: int, now: Period, cap: int) -> None:
        self._counter, self._subject, self.period, self._cap = counter, subject, now, cap
        self._count: Count | None = None

    def hold(self, amount: int) -> bool:
        count = self._counter.take(self._subject, self.period.number, amount, requests=0, most=self._cap)
        if count.passed:
            return False
        self._count = count
        return True

    def low(self, cap: int) -> bool:
        """Return False: nothing is to be renewed."""
        del cap
        return False

    def settle(self, held: int, cost: int) -> None:
        if self._count is not None:
            self._count.add(cost - held)


def _allowances(
    account: str, caps: Mapping[Kind, int], usual: int, known: dict[str, Allowance]
) -> tuple[Allowance, ...]:
    """Return a cap a day and a month, as far as there are any: those that are `known` go on with what they have."""
    found = []
    for kind in KINDS:
        cap = caps.get(kind, 0)
        if cap:
            made = Allowance(account, kind, cap, usual)
            one = known.setdefault(made.account, made)
            one.cap, one.usual = cap, usual
            found.append(one)
    return tuple(found)
