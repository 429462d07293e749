"""Faults of releases in the log: the first of a kind at once, those that follow it in one line, for a storm is one event."""

from __future__ import annotations

import asyncio
import logging

EVERY = 10.0
"""Seconds that are gathered into one line."""
_KINDS = 1_000

log = logging.getLogger(__name__)


class Complaints:
    """Needs a running loop, which says the last of them too."""

    def __init__(self) -> None:
        self._more: dict[tuple[str, str], int] = {}

    def say(self, reference: str, kind: str, message: str) -> None:
        """Say that a release failed in a way (`kind`), and in which words the first time."""
        key = (reference, kind)
        if key in self._more:
            self._more[key] += 1
            return
        log.warning("%s failed (%s): %s", reference, kind, message)
        if len(self._more) < _KINDS:
            self._more[key] = 0
            asyncio.get_running_loop().call_later(EVERY, self._sum, key)

    def _sum(self, key: tuple[str, str]) -> None:
        more = self._more.pop(key)
        if more:
            log.warning("%s failed (%s) %d more times within %d s", *key, more, EVERY)
            self._more[key] = 0
            asyncio.get_running_loop().call_later(EVERY, self._sum, key)
