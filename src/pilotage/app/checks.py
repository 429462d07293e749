"""When what serves is measured again: by the file's clock, and as soon as an alarm says that its model is another one.

One child at a time does it, as anybody's command would, so no turn waits for it; it is ended where it takes too long.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from pilotage.clock import MINUTE
from pilotage.decision.wording import variant_of
from pilotage.governance.rechecks import probed, rechecked
from pilotage.governance.standing import spec_of
from pilotage.settings import child_environment

if TYPE_CHECKING:
    from pathlib import Path

    from pilotage.governance.context import Context
    from pilotage.spec.use_case import UseCase
    from pilotage.status import UseCaseStatus
    from pilotage.store.base.transaction import Transaction

LONGEST_SECONDS = 900.0
LOOK_SECONDS = 2.0
AGAIN = 10 * MINUTE
"""After a try that came to nothing, the next one is not before."""
_CALLED_FOR = ("model", "drift")

log = logging.getLogger(__name__)


class Due(NamedTuple):
    use_case: str
    cases: bool


class Checks:
    """`turn` starts what is due and returns at once."""

    def __init__(self, context: Context, workspace: Path) -> None:
        self._context, self._workspace = context, workspace
        self._tried: dict[Due, int] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._work: asyncio.Task[None] | None = None
        self._next = 0.0
        self._ending = False

    def due(self) -> Due | None:
        """Return what is to be measured next."""
        now = self._context.clock.now()
        with self._context.store.read() as tx:
            for status in tx.statuses.all():
                registered = tx.use_cases.get(status.use_case)
                if registered is None or status.retired or not status.live:
                    continue
                for one in _wanted(tx, spec_of(registered), status, now):
                    if now - self._tried.get(one, -AGAIN) >= AGAIN:
                        return one
        return None

    async def turn(self) -> None:
        if (self._work is not None and not self._work.done()) or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_SECONDS
        one = await asyncio.to_thread(self.due)
        if one is not None:
            self._tried[one] = self._context.clock.now()
            self._work = asyncio.create_task(self._run(one))

    async def end(self) -> None:
        """End what runs."""
        self._ending = True
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
        if self._work is not None:
            await self._work

    async def _run(self, one: Due) -> None:
        what = ["recheck", one.use_case, *(["--cases"] if one.cases else [])]
        command = [sys.executable, "-m", "pilotage", *what, "--workspace", str(self._workspace)]
        self._process = process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=child_environment(),
            preexec_fn=_gentle,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                _, said = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            log.warning("%s: rechecking took longer than %d s and was ended", one.use_case, LONGEST_SECONDS)
            return
        if not process.returncode:
            self._tried.pop(one, None)
        elif self._ending:
            log.info("%s: rechecking was ended with this process", one.use_case)
        else:
            last = said.decode(errors="replace").strip().splitlines()[-2:]
            log.error("%s: rechecking came to nothing: %s", one.use_case, " ".join(last))


def _gentle() -> None:
    os.nice(10)


def _wanted(tx: Transaction, spec: UseCase, status: UseCaseStatus, now: int) -> list[Due]:
    watch, found = spec.watch, []
    variant = spec.variants.get(variant_of(status.live))
    asks = variant is not None and variant.upstream != "search"
    if asks and watch.recheck and now - max(probed(tx, spec.name, status.live), 0) >= watch.recheck:
        found.append(Due(spec.name, cases=False))
    if watch.reevaluate:
        last = max(rechecked(tx, spec.name), status.live_since)
        called = [
            alarm
            for alarm in tx.alarms.of(spec.name, open_only=True)
            if alarm.kind in _CALLED_FOR and alarm.release == status.live and alarm.at > last
        ]
        if called or now - last >= watch.reevaluate:
            found.append(Due(spec.name, cases=True))
    return found
