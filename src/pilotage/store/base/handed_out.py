"""What one process at a time has: leases, and shares of budgets."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Lease(msgspec.Struct, frozen=True):
    """Who may do what only one may do at a time, and until when. Each new holder has a higher `fence`."""

    fence: int
    holder: str
    until: int


class Leases(Protocol):
    """One holder a name. A lease that ran out may be taken; a write that checks its fence is safe all the same."""

    def take(self, name: str, holder: str, now: int, until: int) -> int | None:
        """Take a lease, or renew one's own, and return its fence; None where another one has it still."""

    def check(self, name: str, fence: int) -> None:
        """Raise Conflict where the lease has gone to somebody else since it had this fence."""

    def release(self, name: str, fence: int) -> None:
        """Let the next who asks have it at once, if the lease still has this fence."""

    def held(self, name: str) -> Lease | None: ...


class Handed(msgspec.Struct, frozen=True):
    """What a worker was given of an account, and how much of it all workers together have in this period."""

    given: int
    taken: int


class Share(msgspec.Struct, frozen=True):
    """What one worker has of an account in one period, and how much of it it has spent as far as it has said."""

    account: str
    period: str
    holder: str
    taken: int
    spent: int


class Allowances(Protocol):
    """Caps that many workers share: each spends only out of what it took, so all of them together never pass the cap.

    A holder is one process for as long as it lives. What one that died had taken stays taken until it is settled, or the
    period ends.
    """

    def take(self, account: str, period: str, holder: str, *, cap: int, wanted: int, least: int) -> Handed:
        """Hand out what is wanted, but no more than a quarter of what is left under the cap, or `least` where that is more.

        Where not even `least` is left, what is left is not kept from those who need less.
        """

    def give_back(self, account: str, period: str, holder: str, amount: int) -> None:
        """Take back what its holder will not spend."""

    def spent(self, account: str, period: str, holder: str, amount: int) -> None:
        """Note how much of its share a holder has spent so far."""

    def settle(self, account: str, period: str, holder: str, spent: int) -> None:
        """Free what a holder that is gone had taken beyond what it spent."""

    def shares(self) -> list[Share]:
        """Return what each holder has, in every period; not of those that are settled."""

    def total(self, account: str, period: str) -> tuple[int, int]:
        """Return what was handed out of an account, and how much of it is spent."""

    def tell(self, account: str, period: str, part: int) -> bool:
        """Remember that so much of a cap (percent) was told of; return False where that, or more, had been before."""
