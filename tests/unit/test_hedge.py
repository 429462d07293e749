"""Requests that are sent a second time beside a slow first one: which, when, and what becomes of both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from tests.unit.loops import in_loop

from pilotage.errors import UpstreamError
from pilotage.serving.breaker import Breaker
from pilotage.serving.hedge import ONE_IN, Hedge, Hedges
from pilotage.serving.outcome import Outcome
from pilotage.spec.release import Release, UpstreamAddress
from pilotage.upstream.base import Call
from pilotage.upstream.tally import Tally

CALL = Call(path="/chat/completions", body=b"{}")
SLOW = Release(use_case="shop", variant="new", upstream=UpstreamAddress(kind="openai", hedge_after=1_000))


class Said:
    status, content_type = 200, "application/json"

    def __init__(self, number: int) -> None:
        self.number, self.closed = number, False

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b"{}"

    async def close(self) -> None:
        self.closed = True


class Provider:
    """Answers each request when its own event is set, by an answer or a fault; `stubborn` ones answer though cancelled."""

    def __init__(self, *, stubborn: bool = False) -> None:
        self.calls: list[Call] = []
        self.events = [asyncio.Event(), asyncio.Event()]
        self.faults: dict[int, Exception] = {}
        self.cancelled: list[int] = []
        self.answers: list[Said] = []
        self._stubborn = stubborn

    async def send(self, call: Call) -> Said:
        number = len(self.calls)
        self.calls.append(call)
        try:
            await self.events[number].wait()
        except asyncio.CancelledError:
            self.cancelled.append(number)
            if not self._stubborn:
                raise
        if number in self.faults:
            raise self.faults[number]
        self.answers.append(Said(number))
        return self.answers[-1]

    async def asked(self, number: int) -> None:
        while len(self.calls) < number:
            await asyncio.sleep(0.001)


class Money:
    def __init__(self, *, enough: bool = True) -> None:
        self.enough, self.hedged, self.failed = enough, 0, list[str]()

    def hedging(self) -> bool:
        self.hedged += 1
        return self.enough

    def unhedged(self, kind: str) -> None:
        self.failed.append(kind)


class World:
    def __init__(self, *, enough: bool = True, breaker: Breaker | None = None, stubborn: bool = False) -> None:
        self.provider, self.money, self.tally, self.hedges = (
            Provider(stubborn=stubborn),
            Money(enough=enough),
            Tally(),
            Hedges(),
        )
        for _ in range(ONE_IN):
            self.hedges.asked("shop/new@1")
        self.hedge = Hedge(
            self.provider.send,
            self.hedges,
            self.tally,
            reference="shop/new@1",
            release=SLOW,
            outcome=cast(Outcome, self.money),
            breaker=breaker,
        )

    def begin(self) -> asyncio.Task[Said]:
        return asyncio.create_task(self.hedge.send(CALL))  # type: ignore[arg-type]


@in_loop
async def test_a_quick_answer_is_asked_for_once() -> None:
    world = World()
    world.provider.events[0].set()
    assert (await world.begin()).number == 0
    assert (world.tally.hedged, world.money.hedged) == (0, 0)


@pytest.mark.parametrize("first", [0, 1])
def test_whichever_answers_first_is_taken_and_the_other_cancelled(first: int) -> None:
    @in_loop
    async def run() -> None:
        world = World()
        answer = world.begin()
        await world.provider.asked(2)
        assert [call.waits for call in world.provider.calls] == [True, False]
        world.provider.events[first].set()
        assert (await answer).number == first
        assert world.provider.cancelled == [1 - first]
        assert not world.provider.answers[0].closed
        assert (world.tally.hedged, world.tally.hedges_won) == (1, first)

    run()


@in_loop
async def test_an_answer_that_nobody_wants_any_more_is_closed() -> None:
    world = World(stubborn=True)
    answer = world.begin()
    await world.provider.asked(2)
    world.provider.events[1].set()
    assert (await answer).number == 1
    assert [(one.number, one.closed) for one in world.provider.answers] == [(1, False), (0, True)]


@pytest.mark.parametrize("first", [0, 1])
def test_where_one_fails_the_other_is_waited_for(first: int) -> None:
    @in_loop
    async def run() -> None:
        world = World()
        world.provider.faults[first] = UpstreamError("connect", "no")
        answer = world.begin()
        await world.provider.asked(2)
        world.provider.events[first].set()
        while not world.money.failed:
            await asyncio.sleep(0.001)
        world.provider.events[1 - first].set()
        assert (await answer).number == 1 - first
        assert world.money.failed == ["connect"]
        assert world.provider.cancelled == []

    run()


@in_loop
async def test_where_both_fail_each_fault_is_told_once() -> None:
    world = World()
    world.provider.faults = {0: ValueError("x"), 1: UpstreamError("timeout", "late")}
    answer = world.begin()
    await world.provider.asked(2)
    for event in world.provider.events:
        event.set()
    with pytest.raises(UpstreamError, match="late"):
        await answer
    assert world.money.failed == ["internal"]


@in_loop
async def test_who_leaves_cancels_both() -> None:
    world = World()
    answer = world.begin()
    await world.provider.asked(2)
    answer.cancel()
    await asyncio.gather(answer, return_exceptions=True)
    assert world.provider.cancelled == [0, 1]


@pytest.mark.parametrize("why", ["money", "breaker", "share"])
def test_it_is_sent_once_where_it_may_not_be_twice(why: str) -> None:
    @in_loop
    async def run() -> None:
        breaker = Breaker(1, 60.0, lambda: 0.0)
        if why == "breaker":
            breaker.failed()
        world = World(enough=why != "money", breaker=breaker)
        if why == "share":
            assert world.hedges.take("shop/new@1")
        answer = world.begin()
        await asyncio.sleep(0.05)
        assert len(world.provider.calls) == 1
        world.provider.events[0].set()
        assert (await answer).number == 0
        assert world.tally.hedged == 0

    run()


def test_one_request_in_ten_is_sent_twice_at_most() -> None:
    hedges, sent = Hedges(), 0
    for _ in range(1_000):
        hedges.asked("a")
        sent += hedges.take("a")
    assert sent == 1_000 // ONE_IN
    for _ in range(1_000):
        hedges.asked("a")
    assert [hedges.take("a") for _ in range(6)] == [True] * 5 + [False]
    assert not hedges.take("b")
