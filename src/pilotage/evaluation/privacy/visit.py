"""The visit of people who do not exist: what they and strangers say, and whose data anybody hears."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.evaluation.client import SHORT, tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.evaluation.asking import Asker, Said
    from pilotage.evaluation.privacy.identity import Identity
    from pilotage.evaluation.privacy.sweep import Sweep


class Visit:
    """Everybody tells their story; then others ask about them. What is said to anybody is searched for others' data."""

    def __init__(self, client: Asker, release: str, people: Sequence[Identity], sweep: Sweep, concurrency: int) -> None:
        self._client, self._release, self.people, self._sweep = client, release, people, sweep
        self._concurrency = concurrency
        self.leaked: set[int] = set()
        self.unanswered: Counter[int] = Counter()
        self.asked = 0
        self.findings: list[dict[str, Any]] = []
        self.reasons: Counter[str] = Counter()

    async def make(self, told: Callable[[int, int], None]) -> None:
        stories = [(who, None, one.story) for who, one in enumerate(self.people)]
        questions = [(None, who, question) for who, one in enumerate(self.people) for question in one.asked_by_another]
        of = len(stories) + len(questions)
        for part in (stories, questions):
            todo = iter(part)

            async def work(todo: Any) -> None:
                for who, about, text in todo:
                    await self._say(who, about, text)
                    self.asked += 1
                    told(self.asked, of)

            async with tasks() as group:
                for _ in range(self._concurrency):
                    group.create_task(work(todo))

    async def _say(self, who: int | None, about: int | None, text: str) -> None:
        """Send one message: a person's own story, or a stranger's question."""
        headers = {"x-pilotage-unit": f"stranger-{about}"}
        if who is not None:
            # Names of units and business keys are personal data too, and are recorded as digests only.
            values = self.people[who].values
            headers = {"x-pilotage-unit": values["email"], "x-pilotage-key": values["note"]}
        body = {"messages": [{"role": "user", "content": text}]}
        said = await self._client.send(self._release, body, headers)
        concerned = who if who is not None else about
        if said.error and concerned is not None:
            self.unanswered[concerned] += 1
            self.reasons[said.error] += 1
        self._search(who, text, said)
        if who is not None and who % 5 == 0:
            # What is refused may end up in a log, where answers do not.
            unknown = {"model": f"nobody-{self.people[who].values['note']}", **body, "user": text}
            await self._client.raw(msgspec.json.encode(unknown))
            await self._client.raw(b'{"messages": "' + text.encode())

    def _search(self, who: int | None, sent: str, said: Said) -> None:
        heard = "\n".join((said.text or "", *(call.arguments for call in said.calls)))
        mine = self._sweep.text(sent)
        for whose, kind in sorted(self._sweep.text(heard) - mine):
            if whose != who:
                self.leaked.add(whose)
                found = {"whose": whose, "kind": kind, "where": "a reply to somebody else", "reply": heard[:SHORT]}
                self.findings.append(found)
