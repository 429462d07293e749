"""Group commit: feedback that arrives together is synced together, and nobody is told before it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from pilotage.errors import WorkspaceUnusable
from pilotage.gateway.feedback import Commit
from pilotage.records import Feedback, SpoolEvent
from pilotage.store.spool import Reader, Writer


class Counted(Writer):
    """The real spool, which counts its syncs and can be made to fail."""

    groups: list[int]
    broken = False

    def append_durably(self, events: Sequence[SpoolEvent]) -> None:
        if self.broken:
            raise WorkspaceUnusable("the disk is gone")
        super().append_durably(events)
        self.groups.append(len(events))


def an_event(number: int) -> Feedback:
    return Feedback(id=str(number), use_case="support", at=1, metric="m", value=1.0, received=1)


@pytest.fixture
def spool(tmp_path: Path) -> Counted:
    spool = Counted(tmp_path, "w0")
    spool.groups = []
    return spool


def test_what_waits_is_synced_at_once(spool: Counted, tmp_path: Path) -> None:
    async def run() -> None:
        commit = Commit(spool)
        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(commit.append(an_event(number)))
        await commit.close()

    asyncio.run(run())
    spool.close()
    assert sum(spool.groups) == 50
    assert len(spool.groups) < 10
    reader = Reader(tmp_path)
    (segment,) = reader.segments()
    assert {event.id for _, event in reader.read(segment, 0)[0]} == {str(number) for number in range(50)}


def test_a_failure_is_told_to_everyone_who_waited_and_to_nobody_later(spool: Counted) -> None:
    async def run() -> None:
        commit = Commit(spool)
        spool.broken = True
        results = await asyncio.gather(*(commit.append(an_event(n)) for n in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [WorkspaceUnusable] * 3
        spool.broken = False
        await commit.append(an_event(9))

    asyncio.run(run())
    spool.close()


def test_a_caller_that_leaves_takes_nobody_along(spool: Counted) -> None:
    async def run() -> None:
        commit = Commit(spool)
        leaving = asyncio.create_task(commit.append(an_event(1)))
        staying = asyncio.create_task(commit.append(an_event(2)))
        await asyncio.sleep(0)
        leaving.cancel()
        await staying
        assert leaving.cancelled() or await asyncio.gather(leaving, return_exceptions=True)
        await commit.close()

    asyncio.run(run())
    spool.close()
    assert sum(spool.groups) == 2
