"""Keeps pictures and sound beside the answers they came in, by digest, and hands them to whoever judges them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import TYPE_CHECKING, Any

from pilotage.evaluation.plan import call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.evaluation.media.look import Media
    from pilotage.evaluation.plan import Command

LARGEST = 8 << 20
"""Bytes of one piece that is kept; a larger one is looked at, and cannot be judged."""
TO_A_JUDGE = (4 << 20) * 3 // 4 - (64 << 10)
"""Bytes that fit into one request to the gateway, as base64 and with words beside them."""
_MIME = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif"}
_PLACE = "pilotage-media:"
_PICTURE = re.compile(rf"{_PLACE}(png|jpeg|webp|gif)/([0-9a-f]{{64}})")
_SOUND = re.compile(rf"{_PLACE}([0-9a-f]{{64}})")


class Shelf:
    """The pieces of one use case's answers. Each is kept under a run of its own, so that it is read alone."""

    def __init__(self, command: Command, use_case: str) -> None:
        self._command, self._use_case = command, use_case

    async def keep(self, digest: str, data: bytes) -> None:
        arguments = {"use_case": self._use_case, "run": _run(digest)}
        await call(
            self._command, "record_results", {**arguments, "results": {"it": {"data": base64.b64encode(data).decode()}}}
        )

    async def fetch(self, digest: str) -> bytes | None:
        """Return a piece's bytes; None where they are not kept, or are no longer what they were."""
        found = await call(self._command, "results", {"use_case": self._use_case, "run": _run(digest)})
        try:
            data = base64.b64decode(found["results"].get("it", {}).get("data") or "", validate=True)
        except (binascii.Error, TypeError, ValueError):
            return None
        return data if hashlib.sha256(data).hexdigest() == digest else None

    async def filled(self, messages: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
        """Return messages of a judge with the bytes in the place of what `part_of` left for them."""
        if not shown(messages):
            return messages
        return [
            {**one, "content": [await self._part(part) for part in one["content"]]} if shown([one]) else one
            for one in messages
        ]

    async def _part(self, part: Any) -> Any:
        match part:
            case {"type": "image_url", "image_url": {"url": str(url)}} if found := _PICTURE.fullmatch(url):
                there = f"data:{_MIME[found[1]]};base64,{await self._text(found[2])}"
                return {"type": "image_url", "image_url": {"url": there}}
            case {"type": "input_audio", "input_audio": {"data": str(data), "format": form}} if (
                found := _SOUND.fullmatch(data)
            ):
                return {"type": "input_audio", "input_audio": {"data": await self._text(found[1]), "format": form}}
        return part

    async def _text(self, digest: str) -> str:
        return base64.b64encode(await self.fetch(digest) or b"").decode()


def part_of(one: Media) -> dict[str, Any] | None:
    """Return the part of a message that shows a piece to a judge, its bytes left out; None where nobody can be shown it."""
    if not one.kept or one.bytes > TO_A_JUDGE:
        return None
    if one.kind == "picture" and one.format in _MIME:
        return {"type": "image_url", "image_url": {"url": f"{_PLACE}{one.format}/{one.digest}"}}
    if one.kind == "sound" and one.format in ("wav", "mp3"):
        # What audio models take (OpenAI's `input_audio`).
        return {"type": "input_audio", "input_audio": {"data": f"{_PLACE}{one.digest}", "format": one.format}}
    return None


def shown(messages: Sequence[dict[str, Any]]) -> int:
    """Return how many pictures or sounds messages show, whose bytes stand on the shelf."""
    return sum(_is_place(part) for one in messages if isinstance(one.get("content"), list) for part in one["content"])


def _is_place(part: Any) -> bool:
    match part:
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return _PICTURE.fullmatch(url) is not None
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": "wav" | "mp3"}}:
            return _SOUND.fullmatch(data) is not None
    return False


def _run(digest: str) -> str:
    return f"media, version 1, {digest}"
