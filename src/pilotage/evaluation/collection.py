"""Answers of one release, each paid for and asked for once, ever: what cases, probes and counterfactuals share."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

from pilotage.errors import NotMeasured
from pilotage.evaluation.client import tasks
from pilotage.evaluation.keeper import Keeper
from pilotage.evaluation.purse import Spent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    from pilotage.evaluation.plan import Command
    from pilotage.evaluation.purse import Purse


class Answer(Protocol):
    """What comes back for a request; `error` is empty where it is worth keeping."""

    @property
    def error(self) -> str: ...


Kind = TypeVar("Kind", bound=Answer)


class Collection(Generic[Kind]):
    """What came back, by the digest of what was asked.

    A release is content-addressed and so is a request, so an answer stays good for as long as both are unchanged. Only
    answers of the release's own are kept; a request that failed is sent again by the next run.
    """

    def __init__(self, command: Command, use_case: str, release: str, kind: type[Kind], what: str) -> None:
        self.found: dict[str, Kind] = {}
        self.kept = 0
        self.unpaid = 0
        """Requests that were not sent, for their answers could have passed the cap on money."""
        self._kind = kind
        self.run = hashlib.sha256(f"{what}, version 1\0{release}".encode()).hexdigest()
        """The name that they are kept under."""
        self._keeper = Keeper(command, use_case, self.run)

    async def recall(self, keys: Iterable[str]) -> None:
        """Take what earlier runs have kept of these."""
        stored = await self._keeper.kept()
        self.found = {key: msgspec.convert(stored[key], self._kind) for key in keys if key in stored}
        self.kept = len(self.found)

    async def fill(
        self, todo: Mapping[str, Callable[[], Awaitable[Kind]]], at_once: int, progress: Callable[[int, int], None]
    ) -> None:
        """Ask what was not recalled. When cancelled, what has come in is kept before the cancellation goes on."""
        total = self.kept + len(todo)
        progress(self.kept, total)
        left = iter(todo.items())

        async def work(asks: Iterator[tuple[str, Callable[[], Awaitable[Kind]]]]) -> None:
            for key, ask in asks:
                try:
                    answer = await ask()
                except Spent:
                    self.unpaid += 1
                    continue
                self.found[key] = answer
                if not answer.error:
                    self._keeper.put(key, msgspec.to_builtins(answer))
                progress(len(self.found), total)

        async with self._keeper, tasks() as group:
            for _ in range(min(at_once, len(todo))):
                group.create_task(work(left))


def must_be_whole(collections: Iterable[Collection[Any]], purse: Purse) -> None:
    """Raise NotMeasured where the money ended before the requests: part of them is another data set."""
    sides = list(collections)
    unpaid = sum(side.unpaid for side in sides)
    if unpaid:
        raise spent_out(unpaid, sum(len(side.found) - side.kept for side in sides), purse)


def spent_out(unpaid: int, asked: int, purse: Purse) -> NotMeasured:
    return NotMeasured(
        f"{unpaid} questions were not asked: the next might have passed {purse.cap:g} {purse.currency}"
        f" ({asked} asked for {purse.spent:.4g} {purse.currency}); nothing was recorded",
        hint="run it again with more --max-cost, or ask less: what was answered is kept and costs nothing",
    )
