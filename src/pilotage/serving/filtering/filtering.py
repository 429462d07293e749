"""A release's filters around one call of its provider."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pilotage.clock import SECOND
from pilotage.errors import RequestError
from pilotage.guardrails.filters import Filters
from pilotage.guardrails.look import Blocked
from pilotage.guardrails.passage import Passage
from pilotage.serving.filtering import chat, responses
from pilotage.serving.filtering.chat_sieve import ChatSieve
from pilotage.serving.filtering.stream import FilteredAnswer
from pilotage.serving.filtering.texts import plain, rewritten, texts
from pilotage.upstream.base import Unfound

if TYPE_CHECKING:
    from pilotage.records import GuardrailHit
    from pilotage.serving.filtering.wanted import Wanted
    from pilotage.serving.request import Request
    from pilotage.spec.filter_rule import FilterRule
    from pilotage.spec.release import Release
    from pilotage.upstream.base import Answer, Names

CODE = "content_filter"


@lru_cache(maxsize=512)
def _filters(rules: tuple[FilterRule, ...], prompt: str) -> Filters:
    return Filters(rules, prompt)


class Filtering:
    def __init__(self, release: Release) -> None:
        self._filters = _filters(release.filters, release.prompt)
        self._made: Passage | None = None
        self._release = release
        self.schemas: list[tuple[FilterRule, Wanted]] = []
        """What the answer is held against, once `request` has been seen."""

    @property
    def _passage(self) -> Passage:
        if self._made is None:
            self._made = Passage(self._filters)
        return self._made

    @property
    def hits(self) -> tuple[GuardrailHit, ...]:
        """Return what was found so far."""
        return () if self._made is None else self._made.hits.records()

    def request(self, request: Request) -> Request:
        """Return the request as it may go on; raise RequestError 400 where it may not."""
        try:
            self._want(request)
            return self._request(request)
        except Blocked as block:
            raise _refused(block) from None

    def holds(self, request: Request) -> bool:
        """Return whether this request's answer is held until it is whole; known once `request` has seen it."""
        return bool(self.schemas or self._filters.names_out) and _says(request)

    @property
    def seeks(self) -> bool:
        """Return whether names are looked for in the request."""
        return bool(self._filters.names_in)

    async def seek(self, request: Request, names: Names) -> None:
        """Look for names in the request; raise RequestError 400 where nobody can tell, and it may not pass then."""
        given = {name: request.body[name] for name in request.texts if name in request.body}
        try:
            await self._sought(self._filters.names_in, "in", texts(given), names)
        except Blocked as block:
            raise _refused(block) from None

    async def seek_out(self, said: list[str], names: Names) -> None:
        """Look for names in an answer's texts; raise Blocked where nobody can tell, and it may not pass then."""
        await self._sought(self._filters.names_out, "out", said, names)

    async def _sought(self, rules: list[FilterRule], side: str, said: list[str], names: Names) -> None:
        for rule in rules:
            try:
                found = await names.of(rule.model, said, seconds=rule.deadline / SECOND)
            except TimeoutError:
                self._passage.erred(rule, side, "late")
            except Unfound:
                self._passage.erred(rule, side, "error")
            else:
                self._passage.names.add(found)

    def _want(self, request: Request) -> None:
        """Make ready what the answer is held against."""
        if not self._filters.schemas or not _says(request):
            return
        # It takes megabytes and its time to load, and few releases need it.
        from pilotage.serving.filtering.wanted import Wanted

        for rule in self._filters.schemas:
            try:
                wanted = Wanted(rule, request, self._release)
            except ValueError:
                self._passage.erred(rule, "out", "unusable_schema")
            else:
                if wanted:
                    self.schemas.append((rule, wanted))

    def _request(self, request: Request) -> Request:
        if not self._filters.looks_in:
            return request
        body = request.body
        given = {name: body[name] for name in request.texts if name in body}
        said = plain(given) or texts(given)
        if self._filters.clear(said, "in"):
            return request
        self._passage.reserve(said)
        for tool in request.tools:
            self._passage.offers(tool)
        self._passage.asks(request.question)
        new = rewritten(given, self._passage.entering())
        return request if new is given else request.rewritten(new)

    def entering(self, text: str) -> str:
        """Return one more text for the provider as it may go there; raise Blocked."""
        return self._passage.entering().feed(text, last=True)

    def met(self, rule: FilterRule, kind: str) -> None:
        """Count what is wrong with an answer as a whole; raise Blocked where it may not pass."""
        self._passage.met(rule, "out", kind)

    def erred(self, rule: FilterRule, kind: str) -> None:
        """Note that it could not be told; raise Blocked where it may not pass then."""
        self._passage.erred(rule, "out", kind)

    def noted(self, rule: FilterRule, kind: str, action: str) -> None:
        """Count what was done about an answer."""
        self._passage.hits.add(rule, "out", kind, action=action)

    def whole(self, request: Request, reply: bytes) -> bytes:
        """Return a unary answer as it may go out."""
        if self._made is None and (not self._filters.looks_out or (request.chats and chat.clear(reply, self._filters))):
            return reply
        if not self._passage.looks_out:
            return reply
        if request.chats:
            return chat.whole(reply, self._passage)
        return responses.whole(reply, self._passage) if request.surface == "responses" else reply

    def stream(self, request: Request, answer: Answer) -> Answer:
        """Return a streamed answer that filters itself."""
        if not request.stream or not (self._filters.looks_out or self._passage.looks_out):
            return answer
        if request.chats:
            return FilteredAnswer(answer, ChatSieve(self._passage))
        if request.surface == "responses":
            return FilteredAnswer(answer, responses.ResponsesSieve(self._passage))
        return answer


def _says(request: Request) -> bool:
    """Return whether what answers this says texts; others give vectors, pictures, sound."""
    return request.chats or request.surface == "responses"


def _refused(block: Blocked) -> RequestError:
    says = f"the filter {block.name!r} of this use case does not let this request pass: {_said(block.kind)}"
    return RequestError(400, says, code=CODE)


def _said(kind: str) -> str:
    return {"late": "it could not be looked at in time", "error": "it could not be looked at"}.get(
        kind, kind.replace("_", " ")
    )
