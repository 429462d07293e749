"""Tests that need a running event loop."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine


def in_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run
