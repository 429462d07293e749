"""What it may cost and how much may be asked, as people write it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pilotage.spec.metric import Strict
from pilotage.spec.variant import Name


class Budget(Strict):
    """What it may cost. Days and months are those of UTC; the gateway refuses before `a_day` or `a_month` is passed."""

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "EUR"
    """Three capital letters (ISO 4217); every price and every worth in this file is in it."""
    a_day: Annotated[float, Field(ge=1e-6, le=1e9)] | None = None
    """The most that one day may cost."""
    a_month: Annotated[float, Field(ge=1e-6, le=1e9)] | None = None
    """The most that one month may cost."""
    a_request: Annotated[float, Field(gt=0)] | None = None
    """The most that one request may cost on average; the gate into staging reads it."""
    beyond: Name | None = None
    """The variant, at no cost, that answers where a day's or a month's money does not suffice; without it such requests
    are refused."""

    @property
    def capped(self) -> bool:
        """Return whether the gateway holds it."""
        return self.a_day is not None or self.a_month is not None


class Limits(Strict):
    """How much may be asked of the gateway. Minutes are those of the clock, in UTC."""

    requests_a_minute: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """The most requests in one minute."""
    tokens_a_minute: Annotated[int, Field(ge=1, le=1_000_000_000_000)] | None = None
    """The most tokens in one minute, of requests and answers together."""
    per: Literal["key", "unit"] = "key"
    """Whose minute: each API key's, or each unit's. A request without a unit counts for its key."""
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] = 4_096
    """How long an answer may be where neither the request nor the variant says it. Money and tokens are held for an answer
    of full length until it is there."""
