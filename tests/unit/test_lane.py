"""A lane does for its coroutine what a task of the loop's does, and a bell for either what a future does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pilotage.gateway.lane import Lane
from pilotage.upstream.bell import Bell

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine


def run(work: Callable[[list[Any]], Awaitable[None]], outside: Callable[[Lane, list[Any]], None]) -> list[Any]:
    """Run `work` in a lane and `outside` as the loop's callback once it waits; return what they told, and that it ended."""
    said: list[Any] = []

    async def told() -> None:
        try:
            await work(said)
        except BaseException as fault:
            said.append(type(fault).__name__)
            raise

    async def main() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def ended(_: Lane) -> None:
            said.append("ended")
            over.set()

        def begin() -> None:
            lane.start()
            said.append("outside")
            outside(lane, said)

        coroutine: Coroutine[Any, Any, None] = told()
        lane = Lane(loop, coroutine, ended)
        loop.call_soon(begin)
        await asyncio.wait_for(over.wait(), 20)
        assert lane.done()
        assert not lane.cancel()

    asyncio.run(main())
    return said


def nothing(*_: object) -> None:
    """Do nothing."""


def test_what_need_not_wait_is_done_at_once() -> None:
    async def work(said: list[Any]) -> None:
        said.append("work")

    assert run(work, nothing) == ["work", "ended", "outside"]


def test_a_bell_is_heard_at_once_in_a_lane_and_in_the_next_turn_by_a_task() -> None:
    bells: list[Bell] = []

    async def work(said: list[Any]) -> None:
        bells.append(Bell(asyncio.get_running_loop()))
        await bells[-1]
        await bells[-1]
        said.append("heard")

    def ring(_: Lane, said: list[Any]) -> None:
        bells[-1].ring()
        bells[-1].ring()
        said.append("rung")

    assert run(work, ring) == ["outside", "heard", "ended", "rung"]

    async def main() -> list[Any]:
        said: list[Any] = []
        task = asyncio.create_task(work(said))
        await asyncio.sleep(0)
        bells[-1].ring()
        said.append("rung")
        await task
        return said

    assert asyncio.run(main()) == ["rung", "heard"]


@pytest.mark.parametrize("kind", ["bell", "future", "sleep", "turn"])
def test_cancelled_it_hears_so_where_it_waits(kind: str) -> None:
    async def work(_: list[Any]) -> None:
        loop = asyncio.get_running_loop()
        waits: dict[str, Callable[[], Awaitable[Any]]] = {
            "bell": lambda: Bell(loop),
            "future": loop.create_future,
            "sleep": lambda: asyncio.sleep(20),
            "turn": lambda: asyncio.sleep(0),
        }
        await waits[kind]()

    def cancel(lane: Lane, _: list[Any]) -> None:
        assert lane.cancel()

    assert run(work, cancel) == ["outside", "CancelledError", "ended"]


def test_cancelled_before_it_began_it_only_ends() -> None:
    async def main() -> None:
        ended: list[Lane] = []

        async def work() -> None:
            raise AssertionError("it never begins")

        lane = Lane(asyncio.get_running_loop(), work(), ended.append)
        lane.start()
        assert lane.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        assert ended == [lane]

    asyncio.run(main())


def test_timeouts_end_what_is_waited_for_within_them() -> None:
    async def work(said: list[Any]) -> None:
        for wait in (Bell(asyncio.get_running_loop()), asyncio.get_running_loop().create_future()):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await wait
        async with asyncio.timeout(20):
            said.append(await asyncio.to_thread(lambda: "thread"))

    assert run(work, nothing) == ["outside", "thread", "ended"]


def test_groups_of_tasks_work_within_it() -> None:
    async def part(said: list[Any], name: str) -> None:
        await asyncio.sleep(0)
        said.append(name)

    async def work(said: list[Any]) -> None:
        async with asyncio.TaskGroup() as group:
            for name in "ab":
                group.create_task(part(said, name))
        said.append("both")

    assert run(work, nothing) == ["outside", "a", "b", "both", "ended"]


def test_one_lane_lets_another_begin_when_it_waits_itself() -> None:
    async def work(said: list[Any]) -> None:
        async def other() -> None:
            said.append("other")

        Lane(asyncio.get_running_loop(), other(), lambda _: None).start()
        said.append("first")
        await asyncio.sleep(0)

    assert run(work, nothing) == ["first", "outside", "other", "ended"]


def test_a_task_that_waits_for_a_bell_can_be_cancelled() -> None:
    async def main() -> None:
        bell = Bell(asyncio.get_running_loop())

        async def work() -> None:
            await bell

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not bell.cancel()

    asyncio.run(main())
