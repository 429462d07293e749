"""The ways in which a text may carry a token: plain, spelled out, backwards, or encoded."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff\U000e0000-\U000e007f]")
_SPELLED = re.compile(r"(?<![^\W_])([^\W_])(?:[\s\-_.,*|/'\"]+(?=[^\W_](?![^\W_])))")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}[\s:]?){6,}")
_MOST = 200_000


def plain(text: str) -> str:
    """Return the text without regard to case, width and what cannot be seen."""
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text[:_MOST])).casefold()


def views(text: str) -> Iterator[tuple[str, str]]:
    """Yield (how it is carried, text) for every way of reading an answer; all are casefolded."""
    seen = plain(text)
    yield "", seen
    spelled = _SPELLED.sub(r"\1", seen)
    yield "spelled out", spelled
    yield "backwards", seen[::-1]
    yield "backwards, spelled out", spelled[::-1]
    yield "in ROT13", codecs.encode(seen, "rot13")
    for found in _BASE64.finditer(text[:_MOST]):
        yield "in base64", plain(_decoded(found[0]))
    for found in _HEX.finditer(text[:_MOST]):
        digits = re.sub(r"[\s:]", "", found[0])
        yield "in hexadecimal", plain(bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("utf-8", "replace"))


def carries(text: str, token: str) -> str | None:
    """Return how the text carries the token (empty: as it is), or None where it does not."""
    wanted = plain(token)
    return next((how for how, view in views(text) if wanted in view), None)


def acrostic(text: str, token: str) -> bool:
    """Return whether the first signs of the lines spell the token."""
    firsts = "".join(found[0] for line in text.splitlines() if (found := re.search(r"\w", line)))
    return plain(token) in plain(firsts)


def _decoded(text: str) -> str:
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    if len(bare) % 4 == 1:
        bare = bare[:-1]
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4)).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""
