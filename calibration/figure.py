"""One measured line of a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ALPHA = 0.05


class Figure(msgspec.Struct, frozen=True):
    """A line of `table`: its cells, the first of which says what was simulated, and whether every promise was kept."""

    table: str
    cells: tuple[str, ...]
    kept: bool = True


def share(called: NDArray[np.bool_]) -> str:
    """Return the part of the repetitions that called, with one standard error."""
    part, runs = float(called.mean()), called.size
    error = math.sqrt(max(part, 1 / runs) * (1 - part) / runs)
    return f"{100 * part:.1f} % (+-{100 * error:.1f})"


def percent(called: NDArray[np.bool_]) -> str:
    """Return the part of the repetitions that called."""
    part = 100 * float(called.mean())
    return f"{part:.1f} %" if part < 99.95 else "100 %"


def within(called: NDArray[np.bool_], alpha: float = ALPHA) -> bool:
    """Return whether as many calls fit a true rate of at most alpha: three standard errors above it are a fault."""
    return float(called.mean()) <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / called.size)
