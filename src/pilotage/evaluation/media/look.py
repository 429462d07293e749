"""A picture or a sound, as an evaluation knows it: by what its own bytes say."""

from __future__ import annotations

import hashlib

import msgspec

from pilotage.evaluation.media.picture import picture_of
from pilotage.evaluation.media.sound import sound_of

UNKNOWN = "unknown"
_KINDS = {"images": "picture", "speech": "sound"}


class Media(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`bytes` is how many; `digest` the SHA-256 of them. `format` is `unknown` where they are nothing that is known here.

    What they do not say is None. `kept` is whether the bytes themselves are kept, for whoever judges them.
    """

    kind: str
    format: str
    bytes: int
    digest: str
    whole: bool = True
    kept: bool = False
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    hertz: int | None = None

    def __str__(self) -> str:
        parts = [self.kind, self.format]
        if self.width is not None:
            parts.append(f"{self.width} x {self.height}")
        if self.seconds is not None:
            parts.append(f"{self.seconds:.1f} s")
        if self.hertz is not None:
            parts.append(f"{self.hertz} Hz")
        return f"{' '.join(parts)}, {self.bytes:,} bytes{'' if self.whole else ', cut off'}, {self.digest[:12]}"


def look(surface: str, data: bytes) -> Media:
    """Return what came on a surface is, whatever it was declared to be."""
    digest, kind = hashlib.sha256(data).hexdigest(), _KINDS[surface]
    if kind == "picture" and (seen := picture_of(data)) is not None:
        return Media(
            kind=kind, format=seen.format, bytes=len(data), digest=digest,
            whole=seen.whole, width=seen.width, height=seen.height,
        )  # fmt: skip
    if kind == "sound" and (heard := sound_of(data)) is not None:
        return Media(
            kind=kind, format=heard.format, bytes=len(data), digest=digest,
            whole=heard.whole, seconds=heard.seconds, hertz=heard.hertz,
        )  # fmt: skip
    return Media(kind=kind, format=UNKNOWN, bytes=len(data), digest=digest)
