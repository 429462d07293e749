"""Breakers, retries and bounds, each on its own, with a clock and chances of the test's choice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random

import msgspec
import pytest
from tests.unit.loops import in_loop

from pilotage.errors import UpstreamError
from pilotage.serving.breaker import Breaker, Breakers
from pilotage.serving.retry import pause
from pilotage.spec.release import UpstreamAddress
from pilotage.upstream.base import Call
from pilotage.upstream.limit import LimitedUpstream
from pilotage.upstream.retry_after import seconds
from pilotage.upstream.tally import Tally


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_breaker_opens_only_where_half_of_many_calls_fail() -> None:
    time = Time()
    breaker = Breaker(3, 10.0, time)
    for _ in range(4):
        breaker.succeeded()
    for _ in range(3):
        breaker.failed()
        assert not breaker.closed_for()
    breaker.failed()
    assert breaker.closed_for() == 10.0


def test_failures_grow_old() -> None:
    time = Time()
    breaker = Breaker(2, 10.0, time)
    breaker.failed()
    time.now += 25
    breaker.failed()
    assert not breaker.is_open
    time.now += 6
    breaker.failed()
    assert breaker.is_open


def test_one_request_finds_out_whether_it_answers_again() -> None:
    time = Time()
    breaker = Breaker(1, 10.0, time)
    breaker.failed()
    time.now += 10
    assert breaker.closed_for() == 0
    # The others wait for what becomes of the probe.
    assert breaker.closed_for() > 0
    breaker.failed()
    assert breaker.closed_for() == 10.0
    time.now += 10
    assert breaker.closed_for() == 0
    # A probe whose caller left tells nothing, and the next one probes.
    breaker.untold()
    assert breaker.closed_for() == 0
    breaker.succeeded()
    assert (breaker.is_open, breaker.closed_for()) == (False, 0)
    assert breaker.closed_for() == 0


def test_what_callers_do_wrong_opens_nothing() -> None:
    tally = Tally()
    breakers = Breakers(Time(), tally)
    address = UpstreamAddress(kind="openai", breaker_failures=1)
    for kind in ("", "status:429", "busy", "prompt", "internal", None):
        breakers.told("a", breakers.check("a", address), kind)
    assert (tally.open, tally.opened) == (0, 0)
    for _ in range(2):
        breakers.told("a", breakers.check("a", address), "status:503")
    assert (tally.open, tally.opened) == (1, 1)
    with pytest.raises(UpstreamError) as raised:
        breakers.check("a", address)
    assert (raised.value.kind, raised.value.status, raised.value.retry_after) == ("open", 503, 10.0)
    # Another release has another one, and none where the file says so.
    assert breakers.check("b", address) is not None
    assert breakers.check("a", UpstreamAddress(kind="openai")) is None


def fault(kind: str, retry_after: float = 0.0) -> UpstreamError:
    said = UpstreamError(kind, "")
    said.retry_after = retry_after
    return said


def test_retries_double_their_pause_within_the_releases_patience() -> None:
    address = UpstreamAddress(kind="openai", retries=3, retry_wait=600_000)
    for tried, longest in ((1, 0.25), (2, 0.5), (3, 0.6)):
        waits = [pause(fault("status:500"), tried, address, Random(seed)) for seed in range(50)]
        assert all(wait is not None and longest / 2 <= wait <= longest for wait in waits)
        assert len(set(waits)) > 40
    assert pause(fault("status:500"), 4, address, Random(1)) is None


def test_a_provider_that_says_when_is_asked_then_or_not_at_all() -> None:
    address = UpstreamAddress(kind="openai", retries=1)
    assert pause(fault("status:429", 1.5), 1, address, Random(1)) == 1.5
    assert pause(fault("status:429", 3.0), 1, address, Random(1)) is None


@pytest.mark.parametrize(
    "kind", ["timeout", "status:400", "status:401", "protocol", "busy", "open", "prompt", "internal"]
)
def test_what_asking_again_cannot_help_is_not_asked_again(kind: str) -> None:
    assert pause(fault(kind), 1, UpstreamAddress(kind="openai", retries=3), Random(1)) is None


def test_retry_after_is_read_in_both_forms() -> None:
    assert (seconds("7"), seconds(" 0.5 "), seconds("soon"), seconds(""), seconds("-3")) == (7.0, 0.5, 0.0, 0.0, 0.0)
    assert seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert seconds("Wed, 21 Oct 2999 07:28:00 GMT") == 86_400.0


class Slow:
    """Answers at once, or fails; its answers end when they are closed."""

    def __init__(self) -> None:
        self.fails = False
        self.asked = 0

    async def send(self, call: Call) -> Slow:
        del call
        self.asked += 1
        if self.fails:
            raise UpstreamError("connect", "")
        return self

    status = 200
    content_type = "application/json"

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b"{}"

    async def close(self) -> None: ...


CALL = Call(path="/chat/completions", body=b"{}")


def limited(*, waiting: int, patience: int = 60_000_000) -> tuple[LimitedUpstream, Slow, Tally]:
    address = UpstreamAddress(kind="openai", max_concurrent=2, max_waiting=waiting, wait_timeout=patience)
    inner, tally = Slow(), Tally()
    return LimitedUpstream(inner, address, tally), inner, tally


@in_loop
async def test_places_are_handed_on_in_the_order_of_their_asking() -> None:
    upstream, _, tally = limited(waiting=2)
    first, second = await upstream.send(CALL), await upstream.send(CALL)
    third, fourth = asyncio.create_task(upstream.send(CALL)), asyncio.create_task(upstream.send(CALL))
    await asyncio.sleep(0)
    assert (tally.asked, tally.waiting) == (2, 2)
    with pytest.raises(UpstreamError) as raised:
        await upstream.send(CALL)
    assert (raised.value.kind, raised.value.status, raised.value.retry_after) == ("busy", 503, 1.0)
    with pytest.raises(UpstreamError, match="as many as may"):
        await upstream.send(msgspec.structs.replace(CALL, waits=False))
    await first.close()
    await first.close()
    await third
    assert not fourth.done()
    await second.close()
    await (await fourth).close()
    await (await third).close()
    assert (tally.asked, tally.waiting, tally.turned_away) == (0, 0, 1)


@in_loop
async def test_who_waits_too_long_or_leaves_takes_no_place() -> None:
    upstream, inner, tally = limited(waiting=5, patience=1)
    held = [await upstream.send(CALL), await upstream.send(CALL)]
    with pytest.raises(UpstreamError, match="in time"):
        await upstream.send(CALL)
    upstream, inner, tally = limited(waiting=5)
    held = [await upstream.send(CALL), await upstream.send(CALL)]
    leaving, staying = asyncio.create_task(upstream.send(CALL)), asyncio.create_task(upstream.send(CALL))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await held[0].close()
    await (await staying).close()
    await held[1].close()
    assert (tally.asked, tally.waiting) == (0, 0)
    inner.fails = True
    for _ in range(3):
        with pytest.raises(UpstreamError):
            await upstream.send(CALL)
    assert tally.asked == 0


@in_loop
async def test_a_place_that_comes_as_its_waiter_leaves_goes_to_the_next() -> None:
    upstream, _, tally = limited(waiting=5)
    held = [await upstream.send(CALL), await upstream.send(CALL)]
    leaving, staying = asyncio.create_task(upstream.send(CALL)), asyncio.create_task(upstream.send(CALL))
    await asyncio.sleep(0)
    await held[0].close()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await (await staying).close()
    await held[1].close()
    assert (tally.asked, tally.waiting) == (0, 0)
