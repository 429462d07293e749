"""An open loop: requests leave on schedule, whether or not earlier ones have come back.

A closed loop, which waits for an answer before it sends again, slows down with the server and so leaves out the very
requests that would have waited (coordinated omission). Here latency counts from the scheduled time, not the actual one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.evaluation.client import GatewayClient, Reply, tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One replayed request; seconds after the start of the replay."""

    scheduled: float
    started: float
    finished: float
    reply: Reply

    @property
    def slip(self) -> float:
        """Return how late the sender was."""
        return self.started - self.scheduled

    @property
    def latency(self) -> float:
        """Return what a user who came on schedule would have waited."""
        return self.finished - self.scheduled


async def replay(
    client: GatewayClient,
    release: str,
    schedule: Sequence[float],
    questions: Sequence[Sequence[dict[str, Any]]],
    progress: Callable[[int, int], None],
) -> list[Sent]:
    """Send one request at each time of `schedule` (seconds from now, in order), its messages taken in turn.

    Return them in the order of the schedule when the last has come back.
    """
    loop = asyncio.get_running_loop()
    sent: list[Sent | None] = [None] * len(schedule)
    done = 0
    begin = loop.time()

    async def send(index: int, at: float) -> None:
        nonlocal done
        started = loop.time() - begin
        reply = await client.ask(release, questions[index % len(questions)])
        sent[index] = Sent(scheduled=at, started=started, finished=loop.time() - begin, reply=reply)
        done += 1
        progress(done, len(schedule))

    async with tasks() as group:
        for index, at in enumerate(schedule):
            wait = begin + at - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            group.create_task(send(index, at))
    return [one for one in sent if one is not None]
