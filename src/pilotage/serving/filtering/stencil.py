"""What most events of one stream of chat completions have in common, so that they need not be read whole."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import msgspec

from pilotage.upstream.chat import UNREADABLE
from pilotage.upstream.sse import event

_CONTENT = b'"content":'
_TEXT = msgspec.json.Decoder(str)


class Stencil(NamedTuple):
    """All but the text of one choice, before it and behind it.

    An event that differs in nothing else is written as the one that was read whole before it.
    """

    choice: int
    before: bytes
    after: bytes
    opening: bytes
    closing: bytes

    @classmethod
    def of(cls, found: bytes, part: dict[str, Any], head: dict[str, Any]) -> Self | None:
        """Return what an event has in common with those like it; None for one that says more than a text."""
        choices = part["choices"]
        choice = choices[0] if len(choices) == 1 and part.get("usage") is None else None
        if not isinstance(choice, dict) or choice.get("finish_reason"):
            return None
        delta, index = choice.get("delta"), choice.get("index", 0)
        if not isinstance(delta, dict) or list(delta) != ["content"] or found.count(_CONTENT) != 1:
            return None
        before, _, rest = found.partition(_CONTENT)
        blank = b" " if rest.startswith(b" ") else b""
        end = rest.find(b'"', len(blank) + 1) + 1
        if rest[len(blank) : end] != msgspec.json.encode(delta["content"]):
            return None
        made = said(head, [{"index": index, "delta": {"content": ""}, "finish_reason": None}])
        opening, _, closing = made.rpartition(_CONTENT + b'""')
        return cls(index, before + _CONTENT + blank, rest[end:], opening + _CONTENT, closing)

    def text(self, found: bytes) -> str | None:
        """Return the text of an event of this kind, None for any other."""
        if not (found.startswith(self.before) and found.endswith(self.after)):
            return None
        text = found[len(self.before) : -len(self.after)]
        if not (text.startswith(b'"') and text.endswith(b'"')):
            return None
        try:
            return _TEXT.decode(text)
        except UNREADABLE:
            return None

    def said(self, text: str) -> bytes:
        return self.opening + msgspec.json.encode(text) + self.closing


def said(head: dict[str, Any], choices: list[dict[str, Any]], usage: Any = None) -> bytes:
    """Return the event that says this, with what a stream's events all begin with."""
    return event(msgspec.json.encode({**head, "choices": choices, **({"usage": usage} if usage is not None else {})}))
