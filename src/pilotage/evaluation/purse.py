"""What an evaluation may cost: each request is paid for before it is sent, at the most that it can cost."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from pilotage.errors import NotMeasured
from pilotage.evaluation.price import MILLION, Price, paid
from pilotage.serving.images import ImagesRequest
from pilotage.serving.speech import SpeechRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pilotage.evaluation.client import Reply
    from pilotage.evaluation.plan import Plan

SEEN = 50_000
"""Tokens that a picture or a sound can count at a judge, at most: the dearest of OpenAI's models take 48,169 for a picture of 8 tiles."""
_OVERHEAD = 16
"""Tokens that a request has beside its text: roles and separators."""


class Tariff(msgspec.Struct, frozen=True):
    """A release's price for a million tokens (in, out), the most that it may answer in tokens, and its prompt in bytes.

    `longest` is None where nothing bounds an answer; without a price it is free, unless its price is not `known`. `many` is
    how many pictures a request brings, `chats` whether it is asked for words at all.
    """

    price: Price | None
    longest: int | None
    prompt: int = 0
    known: bool = True
    many: int = 1
    chats: bool = True

    def most(self, asked: int, surface: str = "chat", seen: int = 0) -> float:
        """Return the most that a request of so many bytes, beside pictures or sounds that are shown, can cost: no token is shorter than a byte."""
        if self.price is None:
            return 0.0
        # The prompt's template may repeat what is asked.
        tokens = 2 * asked + self.prompt + _OVERHEAD + seen * SEEN
        longest, pieces = self.longest or 0, 0.0
        if surface == "images":
            longest, pieces = ImagesRequest.answer_most * self.many, self.price.image * self.many
        elif surface == "speech":
            longest, pieces = SpeechRequest.answer_most, self.price.speech * asked / MILLION
        return pieces + (tokens * self.price.input + longest * self.price.output) / MILLION

    def cost(self, tokens_in: int | None, tokens_out: int | None) -> float:
        if self.price is None:
            return 0.0
        return ((tokens_in or 0) * self.price.input + (tokens_out or 0) * self.price.output) / MILLION

    def paid(self, reply: Reply) -> float | None:
        """Return what a reply took; None where nobody says."""
        return 0.0 if self.price is None else paid(reply, self.price)


FREE = Tariff(None, None)


class Spent(Exception):
    """The next request could pass the cap."""


class Bill:
    """What a request took: tokens (in, out), None where nobody says; or the money itself, where that is known."""

    def __init__(self) -> None:
        self.tokens: tuple[int | None, int | None] = (None, None)
        self.paid: float | None = None


class Purse:
    """`spent` is what has been paid, `cap` what may be; None is without bound."""

    def __init__(self, cap: float | None = None, currency: str = "EUR") -> None:
        self.cap, self.currency = cap, currency
        self.spent = 0.0
        self._reserved = 0.0

    @contextmanager
    def paying(self, tariff: Tariff, asked: int, surface: str = "chat", seen: int = 0) -> Iterator[Bill]:
        """Put the most that a request of so many bytes can cost aside, and pay what its bill says afterwards.

        Raise Spent where that could pass the cap. All of what was put aside is paid where nobody says what it was.
        """
        most = tariff.most(asked, surface, seen)
        if self.cap is not None and self.spent + self._reserved + most > self.cap:
            raise Spent
        self._reserved += most
        bill = Bill()
        try:
            yield bill
        finally:
            self._reserved = max(0.0, self._reserved - most)
            tokens_in, tokens_out = bill.tokens
            if bill.paid is not None:
                self.spent += bill.paid
            else:
                self.spent += most if tokens_out is None else tariff.cost(tokens_in, tokens_out)


Money = tuple[Purse, dict[str, Tariff]]
"""What may be spent, and what the releases that are asked cost."""


def money_of(plan: Plan, cap: float | None, *releases: str) -> Money:
    """Return the money of one run; raise NotMeasured where a cap could not hold."""
    tariffs = {one: tariff_of(plan, one, capped=cap is not None) for one in releases if one}
    return Purse(cap, plan.currency), tariffs


def tariff_of(plan: Plan, release: str, *, capped: bool, chats: bool = True) -> Tariff:
    """Return what a release costs. With a cap, raise NotMeasured where its requests cannot be bounded; what is no chat always is."""
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
        if chats and not isinstance(longest, int):
            raise NotMeasured(
                f"nothing bounds the answers of {release}, so no cap on money can hold",
                hint="set parameters = { max_tokens = 500 } in its variant, or leave --max-cost out",
            )
    bound = longest if isinstance(longest, int) else None
    return Tariff(
        None if free else price,
        bound,
        len(plan.prompts.get(release, "").encode()),
        free or price is not None,
        many if isinstance(many := parameters.get("n"), int) and many > 0 else 1,
        chats,
    )
