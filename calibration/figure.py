"""One measured line of a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALPHA = 0.05


class Figure(msgspec.Struct, frozen=True):
    """What was simulated, what came out, and what is promised (empty where it is a description)."""

    table: str
    name: str
    value: str
    promise: str
    kept: bool = True
    beside: str = ""


def false_calls(
    name: str, called: NDArray[np.bool_], *, naive: NDArray[np.bool_] | None = None, alpha: float = ALPHA
) -> Figure:
    """Return the share of repetitions with a false call, and whether it fits a true share of at most alpha."""
    count, runs = int(called.sum()), called.size
    # Three standard errors above the promise would be a fault; below it nothing is wrong.
    kept = count / runs <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)
    beside = "" if naive is None else f"{100 * float(naive.mean()):.1f} %"
    error = 100 * math.sqrt(max(count, 1)) / runs
    return Figure(
        "errors",
        name,
        f"{100 * count / runs:.1f} % (+-{error:.1f}) of {runs}",
        f"at most {100 * alpha:g} %",
        kept,
        beside,
    )
