"""What one request may cost: held before it goes out, settled once with what it came to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pilotage.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.serving.purse import Purse
    from pilotage.serving.tariff import Tariff
    from pilotage.spec.release import Release

_UNBILLED = frozenset({"connect", "busy", "open", "prompt", "budget"})
"""Faults that come before a provider has anything to do; and it bills no answer that is an error status."""


class Counted(Protocol):
    """What one request counts for in somebody's minute."""

    def correct(self, tokens: int) -> None:
        """Say how many tokens it was, in place of what was supposed."""


class Grant:
    """Money of one request, in every purse that it comes out of; and its tokens, where those are limited.

    What nobody counted costs what was held for it: the provider may have done the work.
    """

    __slots__ = ("_answer", "_asked", "_counted", "_held", "_lost", "_purses", "_tariff")

    def __init__(
        self, tariff: Tariff, answer: int, purses: Sequence[Purse] = (), counted: Counted | None = None
    ) -> None:
        self._tariff, self._answer, self._purses, self._counted = tariff, answer, purses, counted
        self._held = self._asked = self._lost = 0

    def hold(self, size: int) -> Purse | None:
        """Hold what a request of so many bytes may cost beside what it has cost; return the purse that has not as much."""
        more = self._lost + self._tariff.worst(size, self._answer) - self._held
        if more <= 0:
            return None
        for number, purse in enumerate(self._purses):
            if not purse.hold(more):
                for other in self._purses[:number]:
                    other.settle(more, 0)
                return purse
        self._held += more
        return None

    def sending(self, release: Release, size: int) -> None:
        """Note that so many bytes go out now; raise UpstreamError where there is not enough for them any more."""
        self._asked = 0
        if release.upstream.kind == "search":
            return
        if self.hold(size) is not None:
            raise UpstreamError("budget", "the use case's budget does not suffice to ask for this again", status=429)
        self._asked = self._tariff.worst(size, self._answer)

    def missed(self, kind: str) -> None:
        """Note that what was sent has failed: some of it may be billed all the same."""
        if kind not in _UNBILLED and not kind.startswith("status:"):
            self._lost += self._asked
        self._asked = 0

    def settle(self, release: Release | None, usage: tuple[int, int] | None) -> None:
        """Spend what it came to. `usage` is (tokens in, tokens out), None where nobody counted them."""
        cost = self._asked
        if release is not None and usage is not None:
            cost = self._tariff.cost(release, *usage)
            if self._counted is not None:
                self._counted.correct(sum(usage))
        for purse in self._purses:
            purse.settle(self._held, self._lost + cost)
        self._held = 0
