"""What one request may cost: held before it goes out, settled once with what it came to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pilotage.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.serving.tariff import Tariff, Worst
    from pilotage.spec.price import Price
    from pilotage.spec.release import Release

_UNBILLED = frozenset({"connect", "busy", "open", "prompt", "budget"})
"""Faults that come before a provider has anything to do; and it bills no answer that is an error status."""


def billed(kind: str) -> bool:
    """Return whether a request that failed so may be billed all the same."""
    return kind not in _UNBILLED and not kind.startswith("status:")


class Holder(Protocol):
    """Money that requests are paid from, in millionths."""

    def hold(self, amount: int) -> bool:
        """Put so much aside for a request; return whether there was as much."""

    def settle(self, held: int, cost: int) -> None:
        """Let go of what was held for a request, and spend what it cost."""


class Counted(Protocol):
    """What one request counts for in somebody's minute."""

    def correct(self, amount: int) -> None:
        """Say how many tokens it was, in place of what was supposed."""


class Bill:
    """What was answered: who asks how much for it (None: nobody knows), and what of it was counted.

    `usage` is (tokens in, tokens out), None where nobody counted them. `cost` is in millionths, 0 where nobody knows the
    price; `known` tells whether that is all of it.
    """

    __slots__ = ("cost", "known", "usage")

    def __init__(
        self, price: Price | None, usage: tuple[int, int] | None = None, pictures: int = 0, characters: int = 0
    ) -> None:
        self.usage = usage
        self.cost, self.known = 0, False
        if price is not None:
            tokens_in, tokens_out = usage or (0, 0)
            self.cost = price.cost(tokens_in, tokens_out, pictures, characters)
            self.known = usage is not None or not (price.input or price.output)

    def uncounted(self) -> Bill:
        """Return a bill for as much, of which nothing is counted as an answer's."""
        bill = Bill(None)
        bill.cost = self.cost
        return bill


class Grant:
    """Money of one request, in every purse that it comes out of; and its tokens, where those are limited.

    What nobody counted costs what was held for it: the provider may have done the work.
    """

    __slots__ = (
        "_answer",
        "_asked",
        "_before",
        "_beside",
        "_cost",
        "_counted",
        "_lost",
        "_purses",
        "_size",
        "_tariff",
        "held",
    )

    def __init__(
        self, tariff: Tariff, answer: Worst, purses: Sequence[Holder] = (), counted: Sequence[Counted] = ()
    ) -> None:
        self._tariff, self._answer, self._purses, self._counted = tariff, answer, purses, counted
        self.held = self._asked = self._lost = self._before = 0
        self._beside = 0
        """Held for the same request beside the one whose answer will be taken."""
        self._size = -1
        self._cost = 0

    def worst(self, size: int) -> int:
        """Return the most that a request of so many bytes may cost."""
        if size != self._size:
            self._size, self._cost = size, self._tariff.worst(size, self._answer)
        return self._cost

    def hold(self, size: int) -> Holder | None:
        """Hold what a request of so many bytes may cost beside what it has cost; return the purse that has not as much."""
        more = self._lost + self._beside + (self._cost if size == self._size else self.worst(size)) - self.held
        if more <= 0:
            return None
        for number, purse in enumerate(self._purses):
            if not purse.hold(more):
                for other in self._purses[:number]:
                    other.settle(more, 0)
                return purse
        self.held += more
        return None

    def sending(self, release: Release, size: int) -> None:
        """Note that so many bytes go out now; raise UpstreamError where there is not enough for them any more."""
        self._asked = 0
        if not self._purses or release.upstream.kind == "search":
            return
        if self.hold(size) is not None:
            raise UpstreamError("budget", "the budget does not suffice to ask for this again", status=429)
        self._asked = self.worst(size)

    def hedging(self) -> bool:
        """Hold as much once more, for the same goes out again beside what is under way; return whether there was as much."""
        self._beside = self._asked
        if self._beside and self.hold(self._size) is not None:
            self._beside = 0
            return False
        return True

    def unhedged(self) -> None:
        """Note that one of the two came to nothing."""
        self._beside = 0

    def missed(self, kind: str) -> None:
        """Note that what was sent has failed: some of it may be billed all the same."""
        self._lost += self._beside + (self._asked if billed(kind) else 0)
        self._asked = self._beside = 0

    def repeating(self, bill: Bill) -> None:
        """Note that this was answered, and is asked for once more: both are paid."""
        self._lost += self._charged(bill)
        self._before += sum(bill.usage or ())
        self._asked = self._beside = 0

    def repeated_in_vain(self, bill: Bill) -> None:
        """Note that no other answer came, so that the earlier one is what will be settled."""
        self._lost -= bill.cost if bill.known else 0
        self._before -= sum(bill.usage or ())

    def settle(self, bill: Bill | None) -> int:
        """Spend what it came to, and return it: what was answered, None where nothing was, and what was lost before."""
        cost = self._charged(bill)
        if bill is not None and bill.usage is not None:
            tokens_in, tokens_out = bill.usage
            for one in self._counted:
                one.correct(tokens_in + tokens_out + self._before)
        cost += self._lost
        for purse in self._purses:
            purse.settle(self.held, cost)
        self.held = 0
        return cost if self._purses else 0

    def _charged(self, bill: Bill | None) -> int:
        """Return what an answer costs. The same request beside it, which was cancelled, counts as having come as far."""
        cost = self._asked if bill is None or not bill.known else bill.cost
        return cost + min(self._beside, cost)
