"""Answers of one release to the cases: each is asked for once, ever."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.evaluation.client import TURNED_AWAY, GatewayClient, Reply
from pilotage.evaluation.collection import Collection
from pilotage.evaluation.dataset import answer_key, asked
from pilotage.evaluation.purse import FREE, Purse, Tariff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pilotage.evaluation.pace import Pace
    from pilotage.evaluation.plan import Command
    from pilotage.spec.case import Case

    Question = tuple[str, Sequence[dict[str, Any]]]


class Answers(Collection[Reply]):
    """The answers of one release, by `answer_key`. `again` tells a time at which everything is asked anew."""

    def __init__(self, command: Command, use_case: str, release: str, tariff: Tariff = FREE, *, again: int = 0) -> None:
        super().__init__(command, use_case, release, Reply, f"answers again at {again}" if again else "answers")
        self.release = release
        self._tariff = tariff

    @property
    def replies(self) -> dict[str, Reply]:
        return self.found

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
        await self.recall(questions)
        return [(key, messages) for key, messages in questions.items() if key not in self.found]

    def most(self, questions: Sequence[Question]) -> float:
        """Return the most that asking these can cost."""
        return sum(self._tariff.most(_bytes(messages)) for _, messages in questions)

    def likely(self, questions: Sequence[Question]) -> float | None:
        """Return about what asking these will cost, by the answers that are kept; None where there are too few."""
        known = [reply for reply in self.found.values() if reply.input_tokens is not None]
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
        """Fill `replies` for all cases, as many at once as `pace` lets, for no more than `purse` has."""
        todo = await self.find(cases)
        paying = purse or Purse()
        asks = {key: partial(self._asked, client, messages, pace, paying) for key, messages in todo}
        await self.fill(asks, pace.most, progress)

    async def _asked(
        self, client: GatewayClient, messages: Sequence[dict[str, Any]], pace: Pace, purse: Purse
    ) -> Reply:
        async def once() -> Reply:
            with purse.paying(self._tariff, _bytes(messages)) as bill:
                reply = await client.ask(self.release, messages)
                # Whoever was turned away, or was not answered by a provider at all, pays nothing.
                unpaid = reply.status == TURNED_AWAY or (reply.error and not reply.release and reply.status)
                bill.tokens = (0, 0) if unpaid else (reply.input_tokens, reply.output_tokens)
            return reply

        return await pace.send(once, lambda reply: reply.retry_after if reply.status == TURNED_AWAY else None)


def _bytes(messages: Sequence[dict[str, Any]]) -> int:
    return len(msgspec.json.encode(messages))
