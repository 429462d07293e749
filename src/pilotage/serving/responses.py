"""`responses`: OpenAI's Responses, unary and streamed.

What a provider keeps between calls (`previous_response_id`, `store`) is known to that provider alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from pilotage.errors import UpstreamError
from pilotage.serving import prompt
from pilotage.serving.request import Request, fields, wrong
from pilotage.serving.stream import EventStream
from pilotage.serving.typed_form import TypedEvent, TypedForm
from pilotage.upstream.chat import UNREADABLE

if TYPE_CHECKING:
    from pilotage.serving.outcome import Outcome
    from pilotage.serving.relay import Relay
    from pilotage.spec.release import Release
    from pilotage.upstream.base import Answer

_WHOLES = frozenset({"response.completed", "response.incomplete"})
_TEXTS = ("input_text", "output_text", "text")


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None


class _Item(msgspec.Struct):
    content: Any = None


class _Response(msgspec.Struct):
    output: list[_Item]
    model: str | None = None
    status: str | None = None
    usage: _Usage | None = None
    incomplete_details: Any = None


_RESPONSE = msgspec.json.Decoder(_Response)


class ResponsesRequest(Request, frozen=True, kw_only=True):
    surface: ClassVar[str] = "responses"
    path: ClassVar[str] = "/responses"
    bounds: ClassVar[tuple[str, ...]] = ("max_output_tokens",)

    said: list[dict[str, Any]]
    """The items of the input that are messages."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.said

    @property
    def question(self) -> str:
        return next((_text(m.get("content")) for m in reversed(self.said) if m.get("role") == "user"), "")

    @property
    def opening(self) -> str:
        return next((_text(m.get("content")) for m in self.said if m.get("role") == "user"), "")

    @property
    def transcript(self) -> str:
        given = self.body.get("instructions")
        head = [f"system: {given}"] if isinstance(given, str) and given else []
        return "\n\n".join([*head, *(f"{m.get('role')}: {_text(m.get('content'))}" for m in self.said)])

    def outgoing(self, release: Release) -> dict[str, Any]:
        """The release's prompt comes before the caller's instructions."""
        body = super().outgoing(release)
        system = prompt.render(release, self)
        if system:
            given = body.get("instructions")
            body["instructions"] = f"{system}\n\n{given}" if isinstance(given, str) and given else system
        return body

    def rewritten(self, fields: dict[str, Any]) -> Self:
        body = {**self.body, **fields}
        return msgspec.structs.replace(self, body=body, said=_said(body.get("input")))

    def whole(self, reply: bytes, content_type: str, outcome: Outcome) -> tuple[bytes, str]:
        del content_type
        try:
            response = _RESPONSE.decode(reply)
        except UNREADABLE:
            raise UpstreamError("protocol", "the provider's answer is not a response") from None
        if response.status == "failed":
            raise UpstreamError("broken", "the provider reported an error in its answer", body=reply)
        for item in response.output:
            outcome.say(_text(item.content))
        _note(response, outcome)
        return reply, "application/json"

    def relay(self, answer: Answer, outcome: Outcome, reference: str) -> Relay | None:
        if not self.stream:
            return None

        def last(event: TypedEvent) -> None:
            try:
                _note(msgspec.convert(event.response, _Response), outcome)
            except msgspec.ValidationError:
                raise UpstreamError(
                    "protocol", "the provider's stream ends in something other than a response"
                ) from None

        return EventStream(
            answer, outcome, reference, TypedForm(outcome, _WHOLES, last, texts="response.output_text.delta")
        )


def parse(data: bytes) -> ResponsesRequest:
    """Return the request; raise RequestError that names the field at fault in `param`."""
    body, model, stream, user = fields(data)
    given = body.get("input")
    if not (
        isinstance(given, str)
        or (isinstance(given, list) and all(isinstance(item, dict) for item in given))
        or (given is None and (body.get("prompt") or body.get("previous_response_id")))
    ):
        raise wrong("input", given, "text, or a list of items")
    return ResponsesRequest(body=body, model=model, stream=stream, user=user, said=_said(given))


def _said(given: Any) -> list[dict[str, Any]]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    return [item for item in given or () if isinstance(item.get("role"), str)]


def _note(response: _Response, outcome: Outcome) -> None:
    if response.model:
        outcome.named(response.model)
    if response.usage is not None:
        outcome.count(response.usage.input_tokens, response.usage.output_tokens)
    why = response.incomplete_details
    outcome.ended(str(why.get("reason") or "incomplete") if isinstance(why, dict) else response.status or "completed")


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") for part in content if isinstance(part, dict) and part.get("type") in _TEXTS)
    return "\n".join(part for part in parts if isinstance(part, str))
