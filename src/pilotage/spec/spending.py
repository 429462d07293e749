"""What it may cost and how much may be asked, as people write it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pilotage.spec.metric import Strict
from pilotage.spec.variant import Name

Cap = Annotated[float, Field(ge=1e-6, le=1e9)]


class UnitBudget(Strict):
    """What each unit may cost."""

    a_day: Cap | None = None
    """The most that one unit may cost in one day."""
    a_month: Cap | None = None
    """The most that one unit may cost in one month."""


class Budget(Strict):
    """What it may cost. Days and months are those of UTC; the gateway refuses before `a_day` or `a_month` is passed."""

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "EUR"
    """Three capital letters (ISO 4217); every price and every worth in this file is in it."""
    dollar: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """What one US dollar is in this currency. With it, or in USD, a variant without a price has its provider's public one (docs/limits.md)."""
    a_day: Cap | None = None
    """The most that one day may cost."""
    a_month: Cap | None = None
    """The most that one month may cost."""
    fixed_a_month: Annotated[float, Field(ge=0)] | None = None
    """What a month costs whatever is asked: people, licences, machines. Net value and break-even traffic count it; no cap holds it."""
    a_request: Annotated[float, Field(gt=0)] | None = None
    """The most that one request may cost on average; the gate into staging reads it."""
    unit: UnitBudget | None = None
    """What each unit may cost, within all that; a request without a unit counts for its key."""
    beyond: Name | None = None
    """The variant, at no cost, that answers where a day's or a month's money does not suffice; without it such requests
    are refused."""

    @property
    def capped(self) -> bool:
        """Return whether the gateway holds it."""
        caps = (self, self.unit) if self.unit else (self,)
        return any(one.a_day is not None or one.a_month is not None for one in caps)

    @property
    def rate(self) -> float | None:
        """Return what one US dollar is, None where that is not known."""
        return 1.0 if self.currency == "USD" else self.dollar


class Pace(Strict):
    """How much may be asked in one minute."""

    requests_a_minute: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """The most requests in one minute."""
    tokens_a_minute: Annotated[int, Field(ge=1, le=1_000_000_000_000)] | None = None
    """The most tokens in one minute, of requests and answers together."""


class Limits(Strict):
    """How much may be asked of the gateway. Minutes are those of the clock, in UTC."""

    key: Pace | None = None
    """Each API key's minute."""
    unit: Pace | None = None
    """Each unit's minute; a request without a unit counts for its key."""
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] = 4_096
    """How long an answer may be where neither the request nor the variant says it. Money and tokens are held for an answer
    of full length until it is there."""
    max_bytes: Annotated[int, Field(ge=1, le=4 << 20)] = 4 << 20
    """The largest request; no token is shorter than a byte, so this bounds what a request may cost before it is answered."""
