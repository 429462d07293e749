"""Answers of one release to the cases: each is asked for once, ever."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from pilotage.evaluation.client import TURNED_AWAY, GatewayClient, Reply
from pilotage.evaluation.collection import Collection
from pilotage.evaluation.dataset import answer_key, asked
from pilotage.evaluation.media.read import ask
from pilotage.evaluation.media.shelf import LARGEST, Shelf, shown
from pilotage.evaluation.purse import FREE, Purse, Tariff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pilotage.evaluation.pace import Pace
    from pilotage.evaluation.plan import Command
    from pilotage.spec.case import Case

    Question = tuple[str, Case]


class Answers(Collection[Reply]):
    """The answers of one release, by `answer_key`. `again` tells a time at which everything is asked anew."""

    def __init__(self, command: Command, use_case: str, release: str, tariff: Tariff = FREE, *, again: int = 0) -> None:
        super().__init__(command, use_case, release, Reply, f"answers again at {again}" if again else "answers")
        self.release = release
        self._tariff = tariff
        self.shelf = Shelf(command, use_case)

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
        tariff = self._tariff
        return tariff.known and (tariff.price is None or tariff.longest is not None or not tariff.chats)

    async def find(self, cases: Sequence[Case]) -> list[Question]:
        """Take what earlier runs have kept; return what is still to be asked."""
        questions = {answer_key(case): case for case in cases}
        await self.recall(questions)
        return [(key, case) for key, case in questions.items() if key not in self.found]

    def most(self, questions: Sequence[Question]) -> float:
        """Return the most that asking these can cost."""
        return sum(self._tariff.most(*_size(case)) for _, case in questions)

    def likely(self, questions: Sequence[Question]) -> float | None:
        """Return about what asking these will cost, by the answers that are kept; None where there are too few."""
        known = [money for reply in self.found.values() if (money := self._tariff.paid(reply)) is not None]
        return sum(known) / len(known) * len(questions) if len(known) > 1 else None

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
        asks = {key: partial(self._asked, client, case, pace, paying) for key, case in todo}
        await self.fill(asks, pace.most, progress)

    async def _asked(self, client: GatewayClient, case: Case, pace: Pace, purse: Purse) -> Reply:
        async def once() -> Reply:
            with purse.paying(self._tariff, *_size(case)) as bill:
                reply = await self._sent(client, case)
                # Whoever was turned away, or was not answered by a provider at all, pays nothing.
                if reply.status == TURNED_AWAY or (reply.error and not reply.release and reply.status):
                    bill.paid = 0.0
                elif not reply.error:
                    bill.paid = self._tariff.paid(reply)
                bill.tokens = reply.input_tokens, reply.output_tokens
            return reply

        return await pace.send(once, lambda reply: reply.retry_after if reply.status == TURNED_AWAY else None)

    async def _sent(self, client: GatewayClient, case: Case) -> Reply:
        if case.surface == "chat":
            return await client.ask(self.release, await self.shelf.filled(asked(case)))
        reply, pieces = await ask(client, self.release, case.surface, case.text)
        kept = {digest for digest, data in pieces.items() if len(data) <= LARGEST}
        for digest in kept:
            await self.shelf.keep(digest, pieces[digest])
        media = tuple(msgspec.structs.replace(one, kept=one.digest in kept) for one in reply.media)
        return msgspec.structs.replace(reply, media=media)


def _size(case: Case) -> tuple[int, str, int]:
    """Return the bytes of a question, its surface, and how many pictures or sounds it shows."""
    if case.surface != "chat":
        return len(case.text.encode()), case.surface, 0
    return len(msgspec.json.encode(asked(case))), case.surface, shown(case.messages)
