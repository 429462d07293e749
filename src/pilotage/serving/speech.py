"""`speech`: a text read aloud, passed on as it is spoken."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pilotage.serving.images import count
from pilotage.serving.octets import OctetStream
from pilotage.serving.request import Request, fields, wrong
from pilotage.serving.stream import CONTENT_TYPE, EventStream
from pilotage.serving.typed_form import TypedForm

if TYPE_CHECKING:
    from pilotage.serving.outcome import Outcome
    from pilotage.serving.relay import Relay
    from pilotage.upstream.base import Answer

_WHOLES = frozenset({"speech.audio.done"})


class SpeechRequest(Request, frozen=True, kw_only=True):
    surface: ClassVar[str] = "speech"
    path: ClassVar[str] = "/audio/speech"
    answer_most: ClassVar[int] = 16_384
    """Tokens of the longest sound that providers make of one text: some ten minutes."""

    @property
    def characters(self) -> int:
        return len(self.body["input"])

    @property
    def transcript(self) -> str:
        return str(self.body["input"])

    def relay(self, answer: Answer, outcome: Outcome, reference: str) -> Relay | None:
        if answer.content_type == CONTENT_TYPE:
            form = TypedForm(outcome, _WHOLES, lambda event: count(event, outcome))
            return EventStream(answer, outcome, reference, form)
        return OctetStream(answer, outcome, reference)


def parse(data: bytes) -> SpeechRequest:
    """Return the request; raise RequestError that names the field at fault in `param`."""
    body, model, _, user = fields(data)
    if not isinstance(body.get("input"), str) or not body["input"]:
        raise wrong("input", body.get("input"), "text")
    return SpeechRequest(body=body, model=model, stream=body.get("stream_format") == "sse", user=user)
