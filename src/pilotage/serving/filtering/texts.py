"""Every text of a request or an answer, wherever it stands in it, put through a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.upstream.chat import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pilotage.guardrails.passage import Channel

# No texts: names and ids that the protocols give a meaning to, and pictures, sound and files.
_NOT_TEXT = frozenset(
    {"role", "type", "object", "model", "status", "finish_reason", "stop_reason", "id", "call_id", "item_id"}
    | {"tool_call_id", "tool_use_id", "file_id", "response_id", "detail", "format", "mime_type", "media_type"}
    | {"image_url", "input_audio", "audio", "file", "file_data", "b64_json", "encrypted_content", "signature"}
    | {"cache_control", "service_tier", "system_fingerprint", "phase"}
)
_NESTED = ("arguments", "partial_json")
"""Texts that are JSON: what stands in them is looked at, not how it is escaped."""
_DEEPEST = 4
"""JSON within a text of JSON, and so on; what is deeper is looked at as it stands."""


def rewritten(value: Any, channel: Channel) -> Any:
    """Return a JSON value with its texts as the channel returns them; the same object where nothing changed.

    Raises Blocked.
    """
    return _value(value, channel, 0)


def texts(value: Any) -> list[str]:
    """Return every text that `rewritten` would put through a channel, in the same order."""
    seen = _Seen()
    _value(value, seen, 0)
    return seen.texts


def plain(fields: dict[str, Any]) -> list[str]:
    """Return the same as `texts` where there are only messages of one text each, else nothing."""
    messages = fields.get("messages")
    if len(fields) != 1 or not isinstance(messages, list):
        return []
    said = []
    for message in messages:
        if not isinstance(message, dict) or len(message) != 2 or "role" not in message:
            return []
        content = message.get("content")
        if not isinstance(content, str) or not content:
            return []
        said.append(content)
    return said


class _Seen:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def feed(self, text: str, *, last: bool = False) -> str:
        del last
        self.texts.append(text)
        return text


def _value(value: Any, channel: Channel, depth: int) -> Any:
    if isinstance(value, str):
        return channel.feed(value, last=True) if value else value
    if isinstance(value, list):
        items = [_value(item, channel, depth) for item in value]
        return items if any(map(_differs, items, value)) else value
    if isinstance(value, dict):
        fields = dict(_fields(value, channel, depth))
        return fields if any(map(_differs, fields.values(), value.values())) else value
    return value


def _fields(value: dict[str, Any], channel: Channel, depth: int) -> Iterator[tuple[str, Any]]:
    named = "name" in value and ("arguments" in value or "parameters" in value or "input" in value)
    for key, item in value.items():
        if key in _NOT_TEXT or (named and key == "name"):
            yield key, item
        elif key in _NESTED and isinstance(item, str):
            yield key, _json(item, channel, depth)
        else:
            yield key, _value(item, channel, depth)


def arguments(text: str, channel: Channel) -> str:
    """Return a tool's arguments, which are JSON, with the texts in them as the channel returns them."""
    return _json(text, channel, 0)


def _json(text: str, channel: Channel, depth: int) -> str:
    try:
        value = msgspec.json.decode(text) if depth < _DEEPEST else None
    except UNREADABLE:
        value = None
    if not isinstance(value, dict | list):
        return channel.feed(text, last=True) if text else text
    new = _plain(value, channel, depth + 1)
    return text if new is value else msgspec.json.encode(new).decode()


def _plain(value: Any, channel: Channel, depth: int) -> Any:
    """Return what a tool is given: here every text counts, names of fields too, and texts may hold JSON again."""
    if isinstance(value, str):
        return _json(value, channel, depth) if value[:1] in "{[" else channel.feed(value, last=True)
    if isinstance(value, list):
        items = [_plain(item, channel, depth) for item in value]
        return items if any(map(_differs, items, value)) else value
    if isinstance(value, dict):
        fields = {channel.feed(key, last=True): _plain(item, channel, depth) for key, item in value.items()}
        same = list(fields) == list(value) and not any(map(_differs, fields.values(), value.values()))
        return value if same else fields
    if isinstance(value, int | float) and not isinstance(value, bool):
        # A card's number may stand without quotes.
        said = str(value)
        new = channel.feed(said, last=True)
        return value if new == said else new
    return value


def _differs(one: object, other: object) -> bool:
    return one is not other and one != other
