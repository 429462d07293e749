"""One worker's share of a cap: pure accounting, in whole numbers, without a clock and without a store.

A worker spends only out of what it was given. What a request may cost at worst is held before it goes out and settled
when it is known; what is held counts as spent until then. So whatever dies, and when, the sum over all workers of what
was spent is never above the sum of what was given, and that never above the cap.
"""

from __future__ import annotations

from pilotage.spec.period import Kind, Period, period

_SMALLEST = 200
"""A worker that has seen no request asks for this part of the cap."""
_AHEAD = 10
"""Renewals that a share should last for, at the pace of the last one."""
_AT_ONCE = 8
"""Of the dearest request that was held lately, so many must fit in."""


class Purse:
    """What one worker has of one account in one period. `usual` is what a plain request may cost at worst."""

    __slots__ = ("_dearest", "_least", "_moved", "_refused", "dry", "given", "held", "spent", "taken", "told", "usual")

    def __init__(self, usual: int = 0) -> None:
        self.usual = usual
        self.given = self.held = self.spent = 0
        self.told = 0
        """Of what was spent, so much the store knows."""
        self.taken = 0
        """What all workers together had been given, as the store last said."""
        self.dry = False
        """Whether the store had less left than was needed."""
        self._moved = self._dearest = self._refused = self._least = 0

    @property
    def free(self) -> int:
        return self.given - self.held - self.spent

    def hold(self, amount: int) -> bool:
        """Put so much aside for a request; return whether there was as much."""
        if self.given - self.held - self.spent < amount:
            self._refused = max(self._refused, amount)
            return False
        if amount >= self._refused:
            # What was refused before would fit by now: asked for beside what this request holds, it would seem to be too much.
            self._refused = 0
        self.held += amount
        self._moved += amount
        self._dearest = max(self._dearest, amount)
        return True

    def settle(self, held: int, cost: int) -> None:
        """Let go of what was held for a request, and spend what it cost. Dearer than held, it is owed out of the next share."""
        self.held -= held
        self.spent += cost

    def low(self, cap: int) -> bool:
        """Return whether it should be renewed without waiting for the next turn."""
        if self.dry:
            return False
        # As `_target` has it; every request asks.
        twice = (self.given - self.held - self.spent) * 2
        dearest = max(self.usual, self._dearest)
        return twice < cap // _SMALLEST or twice < self._moved * _AHEAD or twice < dearest * _AT_ONCE

    def wanted(self, cap: int) -> tuple[int, int]:
        """Return how much to ask the store for (below zero: to give back to it), and how little is of use. Once a renewal."""
        refused, self._refused = self._refused, 0
        target, free = max(self._target(cap), refused), self.free
        self._moved = 0
        self._dearest -= self._dearest // 16
        self._least = max(0, refused - free)
        if free * 2 < target or self._least:
            # A share that no plain request fits in would be of no use either.
            return target - free, self._least or max(0, min(self.usual, target) - free)
        self.dry = False
        return (target - free, 0) if free > 4 * target else (0, 0)

    def renewed(self, given: int, taken: int, cap: int) -> None:
        """Take in what the store handed out."""
        self.given += given
        self.taken = taken
        self.dry = taken >= cap or given < self._least

    def returned(self, amount: int) -> None:
        """Let go of what goes back to the store; called before it does, so that it is never there twice."""
        self.given -= amount
        self.taken -= amount

    def expect(self, other: Purse) -> None:
        """Make ready for as much as another purse has met."""
        self._dearest, self._moved = max(self._dearest, other._dearest), max(self._moved, other._moved)

    def _target(self, cap: int) -> int:
        dearest = max(self.usual, self._dearest)
        return max(cap // _SMALLEST, self._moved * _AHEAD, dearest * _AT_ONCE)


class Allowance:
    """A cap a day or a month on one account, of which this worker has a purse for the present period and the next."""

    __slots__ = ("_purses", "account", "cap", "kind", "now", "usual")

    def __init__(self, account: str, kind: Kind, cap: int, usual: int = 0) -> None:
        self.account, self.kind, self.cap, self.usual = f"{account}/{kind}", kind, cap, usual
        self.now = Period("", 0, 0, 0)
        self._purses: dict[str, Purse] = {}

    def purse(self, at: int) -> Purse:
        """Return the purse of the period in which `at` lies. A request settles with the purse that it was held from."""
        if at >= self.now.end:
            self.now = period(self.kind, at)
            # What is left of an earlier one stays taken; requests that still run have it themselves.
            self._purses = {name: purse for name, purse in self._purses.items() if name >= self.now.name}
        return self._of(self.now.name)

    def due(self, at: int, soon: int) -> list[tuple[str, Purse]]:
        """Return the periods for which a share is needed by `at + soon` (microseconds), with the purse of each."""
        here = self.purse(at)
        found = [(self.now.name, here)]
        if at + soon >= self.now.end:
            following = period(self.kind, self.now.end).name
            there = self._of(following)
            if not there.given:
                there.expect(here)
            found.append((following, there))
        return found

    @property
    def last(self) -> Purse:
        """Return the purse of the period that was last asked for."""
        return self._of(self.now.name)

    def all(self) -> list[tuple[str, Purse]]:
        return list(self._purses.items())

    def _of(self, name: str) -> Purse:
        purse = self._purses.get(name)
        if purse is None:
            purse = self._purses[name] = Purse(self.usual)
        purse.usual = self.usual
        return purse
