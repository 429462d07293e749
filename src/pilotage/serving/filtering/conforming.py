"""Answers held until they are whole and against the schemas that they must conform to; asked for once more where they do not."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pilotage.clock import SECOND
from pilotage.errors import UpstreamError
from pilotage.guardrails.look import Blocked, Late
from pilotage.serving.filtering import answered, chat, responses
from pilotage.serving.filtering.held import Held, gathered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    from pilotage.serving.filtering.answered import Answered
    from pilotage.serving.filtering.filtering import Filtering
    from pilotage.serving.outcome import Outcome
    from pilotage.serving.request import Request
    from pilotage.spec.filter_rule import FilterRule
    from pilotage.spec.release import Release
    from pilotage.upstream.base import Answer, Call, Names

    Send: TypeAlias = Callable[[Call], Awaitable[Answer]]

_AGAIN = "Your last answer is not what was asked for: {}. Answer again, with the whole answer and nothing beside it."
_CALL_AGAIN = "Not done, for the arguments are not what this tool takes: {}. Call it again with all of its arguments."
_NOT_DONE = "Not done, for another call of the same answer was wrong. Make this call again."


class _Fault(NamedTuple):
    """What is wrong with an answer: with its text, or with the arguments of calls, by their ids. In words, without values."""

    rule: FilterRule
    text: str
    calls: dict[str, str]


class Conforming:
    """One request's answers, from just before its provider is first asked. `send` asks it."""

    def __init__(
        self,
        filtering: Filtering,
        request: Request,
        outcome: Outcome,
        *,
        reference: str,
        release: Release,
        send: Send,
        names: Names,
    ) -> None:
        self._names = names
        self._filtering = filtering
        self._reference = reference
        self._send = send
        self._request = request
        self._release = release
        self._outcome = outcome
        self._began = time.monotonic()

    async def settled(self, call: Call, answer: Answer) -> Answer:
        """Return the answer as it may go out, all of it.

        Raises UpstreamError where what came is not all of an answer: nothing of it has gone out.
        """
        kind, status = answer.content_type, answer.status
        raw = await self._taken(answer)
        self._outcome.heard()
        before = self._read(raw)
        try:
            await self._seek(before)
        except Blocked:
            assert before is not None, "nothing was looked for"
            return Held(status, kind, self._ended(before))
        data = await self._passed(raw, kind)
        said = self._read(data)
        if said is None:
            if self._request.stream:
                raise UpstreamError("broken", "the provider's stream ended before its answer did")
            return Held(status, kind, data)
        try:
            fault = self._fault(said)
            if fault is not None and fault.rule.repair:
                again = await self._repaired(call, raw, said, fault)
                if again is not None:
                    data, said = again
                    fault = self._fault(said)
            if fault is not None:
                self._filtering.met(fault.rule, "schema")
        except Blocked:
            data = self._ended(said)
        return Held(status, kind, data)

    async def _taken(self, answer: Answer) -> bytes:
        try:
            return await gathered(answer, self._request.answer_limit)
        finally:
            await answer.close()

    async def _seek(self, said: Answered | None) -> None:
        """Look for names in an answer as it came."""
        if said is not None:
            texts = [*said.texts, *(call.arguments for call in said.calls)]
            await self._filtering.seek_out(texts, self._names)

    async def _passed(self, raw: bytes, kind: str) -> bytes:
        """Return an answer as its other filters let it pass."""
        if not self._request.stream:
            return self._filtering.whole(self._request, raw)
        return await gathered(self._filtering.stream(self._request, Held(200, kind, raw)), len(raw) * 4 + (1 << 20))

    def _read(self, data: bytes) -> Answered | None:
        read = answered.chat if self._request.chats else answered.response
        return read(data, stream=self._request.stream)

    def _fault(self, said: Answered) -> _Fault | None:
        """Return what the first filter has against an answer; raise Blocked where one cannot tell and may not let it pass."""
        for rule, wanted in self._filtering.schemas:
            try:
                words = next((found for text in said.texts if (found := wanted.faults(text))), "") if said.texts else ""
                calls = {one.id: found for one in said.calls if (found := wanted.call_faults(one.name, one.arguments))}
            except (Late, ValueError) as fault:
                self._filtering.erred(rule, "late" if isinstance(fault, Late) else "error")
                continue
            if words or calls:
                return _Fault(rule, words, calls)
        return None

    async def _repaired(self, call: Call, raw: bytes, said: Answered, fault: _Fault) -> tuple[bytes, Answered] | None:
        """Ask once more, with the answer and what is wrong with it, in what is left of the release's time and money.

        Return None where no second answer came of it.
        """
        before = self._read(raw)
        left = self._release.upstream.total_timeout / SECOND - (time.monotonic() - self._began)
        if before is None or not before.turns or left <= 0:
            return None
        try:
            again = self._asking_again(call, before, fault)
        except Blocked:
            # What is wrong with the answer may not be said to the provider.
            return None
        outcome = self._outcome
        outcome.repeating(self._reference, self._release, said.usage)
        self._filtering.noted(fault.rule, "schema", "repair")
        try:
            outcome.sending(self._release, len(again.body))
            outcome.attempt()
            outcome.asking()
            async with asyncio.timeout(left):
                answer = await self._send(again)
                kind = answer.content_type
                raw = await self._taken(answer)
            await self._seek(self._read(raw))
            data = await self._passed(raw, kind)
            second = self._read(data)
        except (UpstreamError, TimeoutError) as failed:
            outcome.missed(failed.kind if isinstance(failed, UpstreamError) else "timeout")
            second = None
        finally:
            outcome.heard()
        if second is None:
            outcome.repeated_in_vain()
            return None
        return data, second

    def _asking_again(self, call: Call, before: Answered, fault: _Fault) -> Call:
        body = msgspec.json.decode(call.body)
        chats = self._request.chats
        field = "messages" if chats else "input"
        turns: list[dict[str, Any]] = []
        for one in before.calls:
            words = fault.calls.get(one.id)
            told = self._filtering.entering(_CALL_AGAIN.format(words) if words else _NOT_DONE)
            turns.append(
                {"role": "tool", "tool_call_id": one.id, "content": told}
                if chats
                else {"type": "function_call_output", "call_id": one.id, "output": told}
            )
        if fault.text:
            turns.append({"role": "user", "content": self._filtering.entering(_AGAIN.format(fault.text))})
        asked = body.get(field)
        asked = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked or []
        return msgspec.structs.replace(call, body=msgspec.json.encode({**body, field: [*asked, *before.turns, *turns]}))

    def _ended(self, said: Answered) -> bytes:
        """Return the answer without anything that it says, in the surface's own words for that."""
        end = chat.ended if self._request.chats else responses.ended
        return end(said.form, stream=self._request.stream)
