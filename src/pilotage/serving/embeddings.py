"""`embeddings`: texts as vectors. No prompt is put before them, and nothing of the vectors is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from pilotage.errors import UpstreamError
from pilotage.serving.request import Request, fields, wrong
from pilotage.upstream.chat import UNREADABLE, Usage

if TYPE_CHECKING:
    from pilotage.serving.outcome import Outcome


class _Embeddings(msgspec.Struct):
    data: list[msgspec.Raw]
    model: str | None = None
    usage: Usage | None = None


_EMBEDDINGS = msgspec.json.Decoder(_Embeddings)


class EmbeddingsRequest(Request, frozen=True, kw_only=True):
    surface: ClassVar[str] = "embeddings"
    path: ClassVar[str] = "/embeddings"
    answers_tokens: ClassVar[bool] = False
    answer_limit: ClassVar[int] = 128 << 20

    @property
    def transcript(self) -> str:
        given: Any = self.body["input"]
        return given if isinstance(given, str) else "\n\n".join(text for text in given if isinstance(text, str))

    def whole(self, reply: bytes, content_type: str, outcome: Outcome) -> tuple[bytes, str]:
        del content_type
        try:
            found = _EMBEDDINGS.decode(reply)
        except UNREADABLE:
            raise UpstreamError("protocol", "the provider's answer holds no embeddings") from None
        if found.model:
            outcome.named(found.model)
        if found.usage is not None:
            outcome.count(found.usage.prompt_tokens, found.usage.completion_tokens)
        return reply, "application/json"


def parse(data: bytes) -> EmbeddingsRequest:
    """Return the request; raise RequestError that names the field at fault in `param`."""
    body, model, _, user = fields(data)
    if not isinstance(body.get("input"), str | list) or not body["input"]:
        raise wrong("input", body.get("input"), "text, or a list of texts or tokens")
    return EmbeddingsRequest(body=body, model=model, stream=False, user=user)
