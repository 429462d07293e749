"""Answers of one release to the cases: each is asked for once, ever."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.evaluation.client import TURNED_AWAY, GatewayClient, Reply, tasks
from pilotage.evaluation.dataset import answer_key, asked
from pilotage.evaluation.keeper import Keeper
from pilotage.evaluation.purse import Purse, Spent, Tariff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pilotage.evaluation.pace import Pace
    from pilotage.evaluation.plan import Command
    from pilotage.spec.case import Case

    Question = tuple[str, Sequence[dict[str, Any]]]

FREE = Tariff(None, None)


class Answers:
    """The answers of one release, by `answer_key`.

    A release is content-addressed and so is a case, so an answer stays good for as long as both are unchanged. Only
    answers of the release's own are kept; a request that failed is sent again by the next run. `again` tells a time at which
    everything is asked anew.
    """

    def __init__(self, command: Command, use_case: str, release: str, tariff: Tariff = FREE, *, again: int = 0) -> None:
        self.release = release
        self.replies: dict[str, Reply] = {}
        self.kept = 0
        self.unpaid = 0
        """Questions that were not asked, for their answers could have passed the cap on money."""
        self._tariff = tariff
        told = f"answers, version 1\0{release}" + (f"\0again at {again}" if again else "")
        run = hashlib.sha256(told.encode()).hexdigest()
        self._keeper = Keeper(command, use_case, run)

    @property
    def priced(self) -> bool:
        """Return whether it is known what an answer costs."""
        return self._tariff.known

    @property
    def bounded(self) -> bool:
        """Return whether it is known what an answer can cost at most."""
        return self._tariff.known and (self._tariff.price is None or self._tariff.longest is not None)

    async def find(self, cases: Sequence[Case]) -> list[Question]:
        """Take what earlier runs have kept; return what is still to be asked."""
        questions = {answer_key(case): asked(case) for case in cases}
        stored = await self._keeper.kept()
        self.replies = {key: msgspec.convert(stored[key], Reply) for key in questions if key in stored}
        self.kept = len(self.replies)
        return [(key, messages) for key, messages in questions.items() if key not in self.replies]

    def most(self, questions: Sequence[Question]) -> float:
        """Return the most that asking these can cost."""
        return sum(self._tariff.most(_bytes(messages)) for _, messages in questions)

    def likely(self, questions: Sequence[Question]) -> float | None:
        """Return about what asking these will cost, by the answers that are kept; None where there are too few."""
        known = [reply for reply in self.replies.values() if reply.input_tokens is not None]
        if len(known) < 2:
            return None
        paid = sum(self._tariff.cost(reply.input_tokens, reply.output_tokens) for reply in known)
        return paid / len(known) * len(questions)

    async def collect(
        self,
        client: GatewayClient,
        cases: Sequence[Case],
        pace: Pace,
        progress: Callable[[int, int], None],
        purse: Purse | None = None,
    ) -> None:
        """Fill `replies` for all cases, as many at once as `pace` lets, for no more than `purse` has.

        When cancelled, what has come in is kept before the cancellation goes on.
        """
        todo = await self.find(cases)
        total = self.kept + len(todo)
        progress(self.kept, total)
        left = iter(todo)
        paying = purse or Purse()

        async def work(questions: Iterator[Question]) -> None:
            for key, messages in questions:
                try:
                    reply = await self._asked(client, messages, pace, paying)
                except Spent:
                    self.unpaid += 1
                    continue
                self.replies[key] = reply
                if not reply.error:
                    self._keeper.put(key, msgspec.to_builtins(reply))
                progress(len(self.replies), total)

        async with self._keeper, tasks() as group:
            for _ in range(min(pace.most, len(todo))):
                group.create_task(work(left))

    async def _asked(
        self, client: GatewayClient, messages: Sequence[dict[str, Any]], pace: Pace, purse: Purse
    ) -> Reply:
        async def once() -> Reply:
            reserved = purse.reserve(self._tariff, _bytes(messages))
            reply: Reply | None = None
            try:
                reply = await client.ask(self.release, messages)
            finally:
                purse.settle(reserved, self._paid(reply))
            return reply

        return await pace.send(once, lambda reply: reply.retry_after if reply.status == TURNED_AWAY else None)

    def _paid(self, reply: Reply | None) -> float | None:
        """Return what a reply has cost; None where nobody says, nothing where the provider never answered."""
        if reply is not None and (reply.status == TURNED_AWAY or (reply.error and not reply.release and reply.status)):
            return 0.0
        if reply is None or reply.output_tokens is None:
            return None
        return self._tariff.cost(reply.input_tokens, reply.output_tokens)


def _bytes(messages: Sequence[dict[str, Any]]) -> int:
    return len(msgspec.json.encode(messages))
