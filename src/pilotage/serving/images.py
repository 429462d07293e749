"""`images`: pictures from a text, whole or as they are painted."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from pilotage.errors import UpstreamError
from pilotage.serving.request import Request, fields, wrong
from pilotage.serving.stream import EventStream
from pilotage.serving.typed_form import TypedEvent, TypedForm
from pilotage.upstream.chat import UNREADABLE

if TYPE_CHECKING:
    from pilotage.serving.outcome import Outcome
    from pilotage.serving.relay import Relay
    from pilotage.upstream.base import Answer

_WHOLES = frozenset({"image_generation.completed"})


class Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None


class _Images(msgspec.Struct):
    data: list[msgspec.Raw]
    usage: Usage | None = None


_IMAGES = msgspec.json.Decoder(_Images)


class ImagesRequest(Request, frozen=True, kw_only=True):
    surface: ClassVar[str] = "images"
    path: ClassVar[str] = "/images/generations"
    answer_most: ClassVar[int] = 8_192
    """Of one picture; the largest in high quality has 6,240."""
    answer_limit: ClassVar[int] = 128 << 20

    @property
    def pictures(self) -> bool:
        return True

    @property
    def transcript(self) -> str:
        return str(self.body["prompt"])

    def whole(self, reply: bytes, content_type: str, outcome: Outcome) -> tuple[bytes, str]:
        del content_type
        try:
            found = _IMAGES.decode(reply)
        except UNREADABLE:
            raise UpstreamError("protocol", "the provider's answer holds no images") from None
        outcome.pictured(len(found.data))
        if found.usage is not None:
            outcome.count(found.usage.input_tokens, found.usage.output_tokens)
        return reply, "application/json"

    def relay(self, answer: Answer, outcome: Outcome, reference: str) -> Relay | None:
        if not self.stream:
            return None
        # Of a picture as it is painted, a provider makes one.
        outcome.pictured(1)
        form = TypedForm(outcome, _WHOLES, lambda event: count(event, outcome))
        return EventStream(answer, outcome, reference, form)


def count(event: TypedEvent, outcome: Outcome) -> None:
    """Note the usage that the last event of a stream brings, if it does."""
    try:
        usage = msgspec.convert(event.usage, Usage | None)
    except msgspec.ValidationError:
        raise UpstreamError("protocol", "the provider's stream ends with counts that cannot be read") from None
    if usage is not None:
        outcome.count(usage.input_tokens, usage.output_tokens)


def parse(data: bytes) -> ImagesRequest:
    """Return the request; raise RequestError that names the field at fault in `param`."""
    body, model, stream, user = fields(data)
    if not isinstance(body.get("prompt"), str) or not body["prompt"]:
        raise wrong("prompt", body.get("prompt"), "text")
    return ImagesRequest(body=body, model=model, stream=stream, user=user)
