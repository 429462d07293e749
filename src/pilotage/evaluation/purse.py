"""What an evaluation may cost: each request is paid for before it is sent, at the most that it can cost."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from pilotage.errors import NotMeasured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pilotage.evaluation.plan import Plan

_MILLION = 1_000_000
_OVERHEAD = 16
"""Tokens that a request has beside its text: roles and separators."""


class Tariff(msgspec.Struct, frozen=True):
    """A release's price for a million tokens (in, out), the most that it may answer in tokens, and its prompt in bytes.

    `longest` is None where nothing bounds an answer; without a price it is free, unless its price is not `known`.
    """

    price: tuple[float, float] | None
    longest: int | None
    prompt: int = 0
    known: bool = True

    def most(self, asked: int) -> float:
        """Return the most that a request of so many bytes can cost: no token is shorter than a byte."""
        if self.price is None:
            return 0.0
        # The prompt's template may repeat what is asked.
        return ((2 * asked + self.prompt + _OVERHEAD) * self.price[0] + (self.longest or 0) * self.price[1]) / _MILLION

    def cost(self, tokens_in: int | None, tokens_out: int | None) -> float:
        if self.price is None:
            return 0.0
        return ((tokens_in or 0) * self.price[0] + (tokens_out or 0) * self.price[1]) / _MILLION


FREE = Tariff(None, None)


class Spent(Exception):
    """The next request could pass the cap."""


class Bill:
    """What a request took: tokens (in, out), None where nobody says."""

    def __init__(self) -> None:
        self.tokens: tuple[int | None, int | None] = (None, None)


class Purse:
    """`spent` is what has been paid, `cap` what may be; None is without bound."""

    def __init__(self, cap: float | None = None, currency: str = "EUR") -> None:
        self.cap, self.currency = cap, currency
        self.spent = 0.0
        self._reserved = 0.0

    @contextmanager
    def paying(self, tariff: Tariff, asked: int) -> Iterator[Bill]:
        """Put the most that a request of so many bytes can cost aside, and pay what its bill says afterwards.

        Raise Spent where that could pass the cap. All of what was put aside is paid where nobody says what it was.
        """
        most = tariff.most(asked)
        if self.cap is not None and self.spent + self._reserved + most > self.cap:
            raise Spent
        self._reserved += most
        bill = Bill()
        try:
            yield bill
        finally:
            self._reserved = max(0.0, self._reserved - most)
            tokens_in, tokens_out = bill.tokens
            self.spent += most if tokens_out is None else tariff.cost(tokens_in, tokens_out)


Money = tuple[Purse, dict[str, Tariff]]
"""What may be spent, and what the releases that are asked cost."""


def money_of(plan: Plan, cap: float | None, *releases: str) -> Money:
    """Return the money of one run; raise NotMeasured where a cap could not hold."""
    tariffs = {one: tariff_of(plan, one, capped=cap is not None) for one in releases if one}
    return Purse(cap, plan.currency), tariffs


def tariff_of(plan: Plan, release: str, *, capped: bool) -> Tariff:
    """Return what a release costs. With a cap, raise NotMeasured where its requests cannot be bounded."""
    variant = plan.variant(release)
    price = plan.price(release)
    parameters = variant.get("parameters") or {}
    longest = next((parameters[name] for name in ("max_tokens", "max_completion_tokens") if name in parameters), None)
    if longest is None and (plan.spec.get("limits") or (plan.spec.get("budget") or {}).get("a_day")):
        # The gateway then gives every request the file's own bound.
        longest = (plan.spec.get("limits") or {}).get("max_tokens", 4_096)
    free = variant.get("upstream") == "search"
    if capped and not free:
        if price is None:
            raise NotMeasured(
                f"{release} has no price, so no cap on money can hold",
                hint="give its variant one: price = { input = 0.5, output = 1.5 }, or leave --max-cost out",
            )
        if not isinstance(longest, int):
            raise NotMeasured(
                f"nothing bounds the answers of {release}, so no cap on money can hold",
                hint="set parameters = { max_tokens = 500 } in its variant, or leave --max-cost out",
            )
    bound = longest if isinstance(longest, int) else None
    return Tariff(
        None if free else price, bound, len(plan.prompts.get(release, "").encode()), free or price is not None
    )
