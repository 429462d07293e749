"""`chat`: OpenAI's chat completions, unary and streamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import msgspec

from pilotage.errors import UpstreamError
from pilotage.serving import prompt
from pilotage.serving.chat_form import ChatForm
from pilotage.serving.relay import Relay
from pilotage.serving.request import Request, decode, faulty, fields, wrong
from pilotage.serving.stream import EventStream
from pilotage.upstream.chat import UNREADABLE, Completion, text_of

if TYPE_CHECKING:
    from pilotage.serving.outcome import Outcome
    from pilotage.serving.stream import Form
    from pilotage.spec.release import Release
    from pilotage.upstream.base import Answer

_COMPLETION = msgspec.json.Decoder(Completion)


class ChatRequest(Request, frozen=True, kw_only=True):
    surface: ClassVar[str] = "chat"
    path: ClassVar[str] = "/chat/completions"
    chats: ClassVar[bool] = True
    bounds: ClassVar[tuple[str, ...]] = ("max_tokens", "max_completion_tokens")

    said: list[dict[str, Any]]
    wants_usage: bool

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.said

    @property
    def question(self) -> str:
        return next((text_of(m.get("content")) for m in reversed(self.said) if m["role"] == "user"), "")

    @property
    def opening(self) -> str:
        return next((text_of(m.get("content")) for m in self.said if m["role"] == "user"), "")

    @property
    def transcript(self) -> str:
        return "\n\n".join(f"{m['role']}: {text_of(m.get('content'))}" for m in self.said)

    def outgoing(self, release: Release) -> dict[str, Any]:
        """The release's prompt comes first, as a system message."""
        body = super().outgoing(release)
        system = prompt.render(release, self)
        if system:
            body["messages"] = [{"role": "system", "content": system}, *self.said]
        if self.stream and release.upstream.stream_usage:
            # Tokens must be counted whether or not the caller asks; a chunk it has not asked for is taken out again.
            body["stream_options"] = {**(self.body.get("stream_options") or {}), "include_usage": True}
        return body

    def rewritten(self, fields: dict[str, Any]) -> Self:
        said = fields.get("messages", self.said)
        return msgspec.structs.replace(self, body={**self.body, **fields}, said=said)

    def whole(self, reply: bytes, content_type: str, outcome: Outcome) -> tuple[bytes, str]:
        del content_type  # some providers say text/plain
        try:
            completion = _COMPLETION.decode(reply)
        except UNREADABLE:
            raise UpstreamError("protocol", "the provider's answer is not a chat completion") from None
        if not completion.choices:
            raise UpstreamError("protocol", "the provider's answer is not a chat completion")
        outcome.read(completion)
        return reply, "application/json"

    def relay(self, answer: Answer, outcome: Outcome, reference: str) -> Relay | None:
        return EventStream(answer, outcome, reference, self.form(outcome)) if self.stream else None

    def form(self, outcome: Outcome) -> Form:
        return ChatForm(outcome, wants_usage=self.wants_usage)


class _Part(msgspec.Struct):
    type: str


class _Message(msgspec.Struct):
    role: Annotated[str, msgspec.Meta(min_length=1)]
    content: str | list[_Part] | None = None


class _Options(msgspec.Struct):
    include_usage: bool | None = None


class _Seen(msgspec.Struct):
    """All that is relied on, checked in one go; what does not pass is examined for what to say about it."""

    model: Annotated[str, msgspec.Meta(min_length=1)]
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _Options | None = None
    user: str | None = None
    safety_identifier: str | None = None


_SEEN = msgspec.json.Decoder(_Seen)


def parse(data: bytes) -> ChatRequest:
    """Return the request; raise RequestError that names the field at fault in `param`."""
    body = decode(data)
    try:
        seen = _SEEN.decode(data)
    except UNREADABLE:
        return _examined(data)
    return ChatRequest(
        body=body,
        model=seen.model,
        said=body["messages"],
        stream=bool(seen.stream),
        wants_usage=seen.stream_options is not None and bool(seen.stream_options.include_usage),
        user=seen.safety_identifier or seen.user or "",
    )


def _examined(data: bytes) -> ChatRequest:
    """The same, field by field, to find the one at fault."""
    body, model, stream, user = fields(data)
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise wrong("stream_options", options, "an object")
    wants_usage = (options or {}).get("include_usage")
    if wants_usage is not None and not isinstance(wants_usage, bool):
        raise wrong("stream_options.include_usage", wants_usage, "true or false")
    return ChatRequest(
        body=body,
        model=model,
        said=checked(body.get("messages")),
        stream=stream,
        wants_usage=bool(wants_usage),
        user=user,
    )


def checked(messages: object) -> list[dict[str, Any]]:
    """Return the messages; raise RequestError where they are none."""
    if not isinstance(messages, list):
        raise wrong("messages", messages, "a list of messages")
    if not messages:
        raise faulty("messages is empty; send at least one message", param="messages", code="empty_messages")
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        if not isinstance(message, dict):
            raise wrong(where, message, "an object with role and content")
        role = message.get("role")
        if not isinstance(role, str) or not role:
            raise wrong(f"{where}.role", role, "text such as 'user'")
        content = message.get("content")
        if content is None or isinstance(content, str):
            continue
        if not isinstance(content, list):
            raise wrong(f"{where}.content", content, "text, or a list of parts")
        for number, part in enumerate(content):
            if not isinstance(part, dict) or not isinstance(part.get("type"), str):
                raise wrong(f"{where}.content[{number}]", part, "an object with a type")
    return messages
