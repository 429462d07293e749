"""The few fields of OpenAI's chat protocol that are read; everything else passes through untouched."""

from __future__ import annotations

from typing import Any

import msgspec

# What decoding bytes from outside may raise: not JSON or not this shape, not UTF-8, nested without end.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Said(msgspec.Struct):
    """A whole message or the delta of one."""

    content: Any = None


class Choice(msgspec.Struct):
    index: int = 0
    finish_reason: str | None = None
    message: Said | None = None
    delta: Said | None = None


class Completion(msgspec.Struct):
    """A chat completion, or one chunk of a streamed one. Exactly one of `choices` and `error` is there."""

    choices: list[Choice] | None = None
    usage: Usage | None = None
    model: str | None = None
    error: Any = None


def text_of(content: object) -> str:
    """Return the text of a message's content: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text")
    return "\n".join(part for part in parts if isinstance(part, str))
