"""A waiter is woken at its moment and never before, in each loop, with and without the system's own timer."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest
import uvloop

from pilotage.staging.bell import AWAKE, Bell

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def _without(_: Bell) -> int:
    raise OSError


@pytest.mark.parametrize("timer", [True, False])
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_it_rings_at_the_moment(
    run: Callable[[Coroutine[None, None, None]], None], *, timer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not timer:
        monkeypatch.setattr(Bell, "_made", _without)

    async def waits() -> None:
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208
        with Bell() as bell:
            for after in (0.0, -1.0, 1e-6, 0.0003, 0.003, 0.02):
                moment = time.monotonic() + after
                while time.monotonic() < moment:
                    await bell.until(moment)
                    if timer and after > AWAKE and bell._file >= 0:
                        assert time.monotonic() >= moment
        assert not before or len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208

    run(waits())


def test_others_go_on_meanwhile() -> None:
    async def waits() -> int:
        turns = 0

        async def work() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        working = asyncio.create_task(work())
        with Bell() as bell:
            await bell.until(time.monotonic() + 0.01)
            await bell.until(time.monotonic())
        working.cancel()
        return turns

    assert uvloop.run(waits()) > 1
