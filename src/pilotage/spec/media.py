"""What a case expects of a picture or of sound: its form, its extent, how large it is. Free of pydantic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

SURFACES = ("chat", "images", "speech")
MEDIA = ("picture", "sound")
PICTURES = ("png", "jpeg", "webp", "gif")
SOUNDS = ("wav", "mp3", "flac", "ogg/opus", "ogg/vorbis", "ogg/flac")
_OF = {"picture": "images", "sound": "speech"}
_HOW = {
    "picture": '"picture" must say what the picture is like, such as {"format": ["png"], "width": [1024, 1024], "bytes": [1000, 3000000]}',
    "sound": '"sound" must say what the sound is like, such as {"format": ["mp3"], "seconds": [1, 6], "hertz": [24000, 48000]}',
}
_WORDS = (
    *("messages", "required", "forbidden", "exact", "contains", "regex", "schema", "number", "similar", "retrieves"),
)
"""Keys that speak of a reply's words."""

Range = tuple[float, float]
"""The least and the most, both allowed."""


class Picture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Each picture of the reply: one of these forms, and within these ranges. `many` is how many there are."""

    format: tuple[str, ...] = ()
    width: Range | None = None
    height: Range | None = None
    bytes: Range | None = None
    many: int | None = None


class Sound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of these forms, and within these ranges; `hertz` is the sampling rate."""

    format: tuple[str, ...] = ()
    seconds: Range | None = None
    hertz: Range | None = None
    bytes: Range | None = None


def media_faults(value: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a case's surface and what it expects of a picture or of sound."""
    surface = value.get("surface", "chat")
    if surface not in SURFACES:
        yield f'"surface" must be one of {", ".join(SURFACES)}'
        return
    for key, kind, forms in (("picture", Picture, PICTURES), ("sound", Sound, SOUNDS)):
        if key not in value:
            continue
        if surface != _OF[key]:
            yield f'"{key}" is of cases with "surface": "{_OF[key]}"'
        elif says := _fault(key, value[key], kind, forms):
            yield says
    if surface == "chat":
        return
    words = [key for key in _WORDS if key in value]
    if words:
        yield f'"{words[0]}" speaks of words, and this case\'s surface is {surface}: say "{"picture" if surface == "images" else "sound"}", or leave it to a judge'
    if isinstance(bounds := value.get("at_most"), dict) and "words" in bounds:
        yield f'"at_most" bounds words, and this case\'s surface is {surface}: bound seconds or cost'
    if value.get("kind") in ("security", "privacy"):
        yield f"cases of kind {value['kind']} are chats: their suite sends them as such"


def _fault(key: str, given: Any, kind: type[Picture | Sound], forms: tuple[str, ...]) -> str:
    try:
        found = msgspec.convert(given, kind)
    except msgspec.ValidationError as fault:
        return f"{_HOW[key]} ({fault})"
    if unknown := [form for form in found.format if form not in forms]:
        return f'"{key}" has the format {unknown[0][:20]!r}; known are {", ".join(forms)}'
    for name, limits in msgspec.structs.asdict(found).items():
        if name == "many" and limits is not None and limits < 1:
            return f'"{key}" has many below 1'
        if name in ("format", "many") or limits is None:
            continue
        low, high = limits
        if not (math.isfinite(low) and math.isfinite(high) and 0 <= low <= high and high > 0):
            return f'"{key}" has {name} = [{low:g}, {high:g}]; write the least and the most, such as [1, 6]'
    return "" if given else _HOW[key]
