"""What comes back for a picture or a sound becomes a reply: its pieces looked at, the provider's own safety flag read."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.evaluation.client import Reply, refused, who_answered
from pilotage.evaluation.media.look import look

if TYPE_CHECKING:
    from pilotage.evaluation.client import GatewayClient

WITHHELD = "content_filter"
"""The finish reason of what the provider's own safety system held back, as chats have it."""
_SAYS_SO = re.compile(
    r"(?i)content_policy_violation|moderation_blocked|content[_ ]?filter|safety system|content (management )?policy|"
    r"responsible ai"
)
"""Codes and words by which providers say that a request was held back: OpenAI's, Azure's, and those who write alike."""
_PATHS = {"images": "/v1/images/generations", "speech": "/v1/audio/speech"}
_FIELDS = {"images": "prompt", "speech": "input"}
_SOUNDING = ("audio/", "application/octet-stream", "application/ogg")


class _Picture(msgspec.Struct):
    b64_json: str | None = None
    url: str | None = None
    content_filter_results: Any = None
    respect_moderation: bool | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None


class _Pictures(msgspec.Struct):
    data: list[_Picture]
    usage: _Usage | None = None


_PICTURES = msgspec.json.Decoder(_Pictures)


def _says_withheld(reply: Reply) -> bool:
    """Return whether a refused request was held back by a safety system: the provider's, or a filter of the gateway's."""
    return 400 <= reply.status < 500 and reply.status not in (401, 403, 404, 429) and bool(_SAYS_SO.search(reply.error))


def held_back(reply: Reply, why: str) -> Reply:
    """Return the reply as an answer: that nothing is shown is what this release says to the question."""
    return msgspec.structs.replace(reply, error="", text=f"withheld: {why}"[:300], finish_reason=WITHHELD)


def pieces_of(surface: str, reply: Reply, raw: bytes, content_type: str, text: str) -> tuple[Reply, dict[str, bytes]]:
    """Return the reply to a request that was answered, with what came in it, and the bytes of that by digest."""
    if surface == "speech":
        kind = content_type.partition(";")[0].strip().lower()
        if not kind.startswith(_SOUNDING):
            return _faulty(reply, f"the reply is {kind or 'of no type'}, not sound (is stream_format set?)"), {}
        return _with(reply, surface, [raw], characters=len(text))
    try:
        found = _PICTURES.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        return _faulty(reply, f"the reply is no list of pictures: {fault}"), {}
    usage = found.usage or _Usage()
    reply = msgspec.structs.replace(reply, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
    pictures, faults, flags = [], [], []
    for one in found.data:
        data, why = _decoded(one)
        pictures += [data] if data else []
        faults += [why] if why else []
        flags += _flags(one)
    if flags and not pictures:
        return held_back(reply, ", ".join(sorted(set(flags)))), {}
    if faults or not pictures:
        return _faulty(reply, faults[0] if faults else "the reply holds no picture"), {}
    return _with(reply, surface, pictures, flags=tuple(sorted(set(flags))))


def _with(
    reply: Reply, surface: str, pieces: list[bytes], *, characters: int = 0, flags: tuple[str, ...] = ()
) -> tuple[Reply, dict[str, bytes]]:
    if not all(pieces):
        return _faulty(reply, "the reply is empty"), {}
    media = tuple(look(surface, data) for data in pieces)
    told = "; ".join(map(str, media))
    made = msgspec.structs.replace(
        reply,
        text=told,
        media=media,
        flags=flags,
        pictures=len(media) if surface == "images" else 0,
        characters=characters,
    )
    return made, {one.digest: data for one, data in zip(media, pieces, strict=True)}


def _decoded(one: _Picture) -> tuple[bytes, str]:
    """Return a picture's bytes, or why there are none. What a link points to is never fetched."""
    if one.b64_json:
        try:
            return base64.b64decode(one.b64_json, validate=True), ""
        except (binascii.Error, ValueError):
            return b"", "the picture is no base64"
    if one.url:
        return (
            b"",
            "the reply gives a link and not the picture: parameters = { response_format = 'b64_json' } in its variant",
        )
    return b"", ""


def _flags(one: _Picture) -> list[str]:
    """Return what a provider's safety system says of a picture: Azure's categories, or that it did not pass."""
    found = ["moderation"] if one.respect_moderation is False else []
    results = one.content_filter_results
    if isinstance(results, dict):
        found += [
            str(name)[:40]
            for name, said in results.items()
            if isinstance(said, dict) and (said.get("filtered") is True or said.get("detected") is True)
        ]
    return found


def _faulty(reply: Reply, why: str) -> Reply:
    return msgspec.structs.replace(reply, text=None, error=why[:300])


async def ask(client: GatewayClient, release: str, surface: str, text: str) -> tuple[Reply, dict[str, bytes]]:
    """Return the reply to one request for pictures or sound, and the bytes of what came by digest; raise as `GatewayClient.ask`."""
    body = msgspec.json.encode({"model": release, _FIELDS[surface]: text})
    came = await client.post(_PATHS[surface], body)
    if came.error:
        return Reply(latency=came.latency, error=came.error), {}
    if came.status != 200:
        reply = refused(came.status, came.raw, came.latency, release, came.headers.get("retry-after", ""))
        return (held_back(reply, reply.error) if _says_withheld(reply) else reply), {}
    answered, error = who_answered(came.headers, release)
    reply = Reply(latency=came.latency, status=200, release=answered, error=error)
    if error:
        return reply, {}
    return pieces_of(surface, reply, came.raw, came.headers.get("content-type", ""), text)
