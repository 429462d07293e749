"""What is limited of one use case, and of one key: put together when what serves has changed, read by every request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.clock import SECOND
from pilotage.serving.purse import Allowance
from pilotage.serving.tariff import PLAIN, Tariff, Worst, assignable, tariff
from pilotage.spec.period import KINDS, Kind, Period
from pilotage.spec.route import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.access import Key
    from pilotage.gateway.pace import Count, Counter
    from pilotage.spec.route import Route

SOON = 5 * SECOND
"""Real time before a day or a month ends at which a share of the next is asked for."""


class UseCase:
    """One use case whose requests are limited, by its own file or by some key's."""

    __slots__ = (
        "_pinned", "allowances", "paced", "paces_keys", "paces_units", "quoted", "route", "tariff", "unit_caps", "usual",
    )  # fmt: skip

    def __init__(self, route: Route, known: dict[str, Allowance]) -> None:
        self.route = route
        self.quoted = repr(route.use_case)
        self.tariff = tariff(route, assignable(route))
        self._pinned: dict[str, Tariff] = {}
        prices, limits, money = self.tariff, route.limits, route.money
        longest = max(prices.longest, 0 if prices.fixed else limits.max_tokens)
        self.usual = prices.worst(prices.size(PLAIN), Worst(longest))
        caps: dict[Kind, int] = {"day": money.a_day, "month": money.a_month} if money else {}
        self.allowances = _allowances(route.use_case, caps, self.usual, known)
        self.unit_caps: tuple[tuple[Kind, int], ...] = ()
        if money is not None:
            each: tuple[tuple[Kind, int], ...] = (("day", money.unit_a_day), ("month", money.unit_a_month))
            self.unit_caps = tuple((kind, cap) for kind, cap in each if cap)
        self.paces_keys, self.paces_units = limits.key != Pace(), limits.unit != Pace()
        self.paced = self.paces_keys or self.paces_units

    def prices(self, pinned: str) -> Tariff:
        """Return what a request may cost, or one that is pinned to a release."""
        if not pinned:
            return self.tariff
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
