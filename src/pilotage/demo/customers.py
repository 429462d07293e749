"""Simulated customers with real questions: they ask through the gateway, and what comes of it is posted as feedback.

A customer comes once with one question or two; three in ten come back hours later with another. Whether an answer
resolved the question is the judge's word. The rest is simulated, by the chances below: an unresolved customer mostly
asks for a person, and one whose questions were all resolved buys more often. The purchase arrives hours later, by the
order's number alone.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from pilotage.clock import HOUR, SECOND
from pilotage.demo.client import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pilotage.clock import ScaledClock
    from pilotage.demo.client import Answered, Shop
    from pilotage.demo.judging import JudgeProcess

SECOND_QUESTION, RETURNS, STREAMED = 0.1, 0.3, 0.15
HANDOVER = {0: 0.9, 1: 0.03}
"""The chance of asking for a person after an answer that did not resolve the question (0), or did (1)."""
CONVERSION = {0: 0.14, 1: 0.30}
"""The chance of buying where a question of the visit stayed open (0), or none did (1)."""
RETURNS_AFTER = (1 * HOUR, 8 * HOUR)
BUYS_AFTER = (1 * HOUR, 10 * HOUR)
AT_ONCE = 48
"""Requests under way at most: beyond that customers queue, as at a real shop's own limits."""


@dataclass(slots=True)
class Customer:
    number: int
    asked: int = 0
    open: bool = False

    @property
    def unit(self) -> str:
        return f"customer-{self.number:06d}"

    @property
    def order(self) -> str:
        return f"TW-{self.number:06d}"


@dataclass(slots=True)
class Tally:
    """What has happened so far. `resolved` counts (release, outcome)."""

    customers: int = 0
    requests: int = 0
    streamed: int = 0
    returns: int = 0
    handovers: int = 0
    conversions: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    resolved: Counter[tuple[str, int]] = field(default_factory=Counter)
    newest: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    """By release: the question answered last, the reply, and whether that resolved it."""
    latest: int = 0
    """How late the latest customer was (microseconds of the time-lapse): the machine could not keep up."""


class Customers:
    """Sends customers as they arrive, until told to stop; then waits for those who are there."""

    def __init__(
        self,
        shop: Shop,
        judge: JudgeProcess,
        clock: ScaledClock,
        *,
        use_case: str,
        questions: Sequence[str],
        arrivals: Iterator[int],
        seed: int,
    ) -> None:
        self._shop, self._judge, self._clock, self._use_case = shop, judge, clock, use_case
        self._questions, self._arrivals = questions, arrivals
        self._rng = random.Random(seed)  # noqa: S311 - a simulation, seeded so that it can be repeated
        self._later: list[tuple[int, int, Customer, bool]] = []
        self._tie = count()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._numbers = count(1)
        self.tally = Tally()

    async def run(self, stop: asyncio.Event) -> None:
        arrival = next(self._arrivals)
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                due = min(arrival, self._later[0][0]) if self._later else arrival
                await self._until(due, stop)
                await self._places.acquire()
                if stop.is_set():
                    self._places.release()
                    return
                if self._later and self._later[0][0] <= arrival:
                    _, _, customer, buys = heapq.heappop(self._later)
                    work = self._buy(customer, due) if buys else self._return(customer)
                else:
                    self.tally.customers += 1
                    self.tally.latest = max(self.tally.latest, self._clock.now() - due)
                    work = self._visit(Customer(next(self._numbers)))
                    arrival = next(self._arrivals)
                group.create_task(work).add_done_callback(lambda _: self._places.release())

    async def _until(self, due: int, stop: asyncio.Event) -> None:
        wait = (due - self._clock.now()) / SECOND / self._clock.rate
        if wait > 0.001:
            try:
                await asyncio.wait_for(stop.wait(), wait)
            except TimeoutError:
                return

    async def _visit(self, customer: Customer) -> None:
        await self._ask(customer)
        if self._rng.random() < SECOND_QUESTION:
            await self._ask(customer)
        now = self._clock.now()
        if self._rng.random() < RETURNS:
            self._schedule(now + self._rng.randint(*RETURNS_AFTER), customer, buys=False)
        if self._rng.random() < CONVERSION[0 if customer.open else 1]:
            self._schedule(now + self._rng.randint(*BUYS_AFTER), customer, buys=True)

    async def _return(self, customer: Customer) -> None:
        self.tally.returns += 1
        await self._ask(customer)

    async def _buy(self, customer: Customer, at: int) -> None:
        about = {"key": customer.order, "use_case": self._use_case}
        if await self._tell(f"{customer.order}-paid", "conversion", value=True, at=at / SECOND, **about):
            self.tally.conversions += 1

    async def _ask(self, customer: Customer) -> None:
        question = self._rng.choice(self._questions)
        stream = self._rng.random() < STREAMED
        customer.asked += 1
        self.tally.requests += 1
        self.tally.streamed += stream
        try:
            answer = await self._shop.ask(question, unit=customer.unit, key=customer.order, stream=stream)
        except Failed as fault:
            customer.open = True
            self.tally.failures[str(fault)] += 1
            return
        outcome = await self._judge.resolved(question, answer.text)
        if outcome is None:
            return
        customer.open |= not outcome
        self.tally.newest[answer.release] = (question, answer.text, outcome)
        await self._outcome(customer, answer, outcome)

    async def _outcome(self, customer: Customer, answer: Answered, outcome: int) -> None:
        self.tally.resolved[answer.release, outcome] += 1
        name = f"{customer.order}-{customer.asked}"
        # Silence counts as 'not resolved' in this use case's file, so only what was resolved has to be told.
        if outcome:
            await self._tell(f"{name}-resolved", "resolved", value=True, inference=answer.inference)
        if self._rng.random() < HANDOVER[outcome] and await self._tell(
            f"{name}-handover", "handover", value=True, inference=answer.inference
        ):
            self.tally.handovers += 1

    async def _tell(self, feedback: str, metric: str, *, value: bool, **about: str | float) -> bool:
        try:
            await self._shop.tell(feedback, metric, value, **about)
        except Failed as fault:
            self.tally.failures[f"feedback: {fault}"] += 1
            return False
        return True

    def _schedule(self, at: int, customer: Customer, *, buys: bool) -> None:
        heapq.heappush(self._later, (at, next(self._tie), customer, buys))
