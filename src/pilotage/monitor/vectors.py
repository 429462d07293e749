"""Questions as vectors, where the file names a variant that embeds them: in batches, and without them where that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pilotage.errors import NotMeasured
from pilotage.stats.topics import LONGEST, unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

BATCH = 64


class Embed(Protocol):
    def __call__(self, use_case: str, release: str, texts: Sequence[str]) -> Matrix:
        """Return a row a text (texts x width). Raise NotMeasured where they cannot be had. Blocks."""


class Vectors:
    """What one look embeds. After the first `fault` nothing more is asked: who is down, or over budget, is not asked again and again."""

    def __init__(self, embed: Embed, use_case: str, release: str) -> None:
        self._embed, self._use_case, self.release = embed, use_case, release
        self.fault = ""
        self._width = 0

    def of(self, texts: Sequence[str]) -> list[Matrix | None]:
        """Return each text's vector, of length 1; None for those that could not be had."""
        found: list[Matrix | None] = []
        while len(found) < len(texts) and not self.fault:
            batch = [text[:LONGEST] for text in texts[len(found) : len(found) + BATCH]]
            try:
                rows = self._embed(self._use_case, self.release, batch)
            except NotMeasured as fault:
                self.fault = fault.message
                break
            if self._width and rows.shape[1] != self._width:
                self.fault = f"a vector had {self._width:,} numbers, and the next {rows.shape[1]:,}"
                break
            self._width = rows.shape[1]
            found.extend(unit(rows))
        return found + [None] * (len(texts) - len(found))
