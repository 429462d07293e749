"""The ratio of two means that were measured on the same items, such as money for each right answer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pilotage.stats.interval import Interval
from pilotage.stats.special import t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence


def ratio_interval(above: Sequence[float], below: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Return Fieller's interval of mean(above) / mean(below), pairs of one item each; None where it is not bounded.

    With means a, b, their (co)variances s_aa, s_ab, s_bb, t of n - 1 degrees and g = t^2 s_bb / b^2, it is

        (r - g s_ab / s_bb  -+  t / b sqrt(s_aa - 2 r s_ab + r^2 s_bb - g (s_aa - s_ab^2 / s_bb))) / (1 - g)

    and is bounded only while g < 1, where b is certainly not 0 (Fieller 1954, J. R. Stat. Soc. B 16:175, section 2).
    Raise ValueError for fewer than two pairs.
    """
    one, other = (np.asarray(values, dtype=np.float64) for values in (above, below))
    n = len(one)
    if n < 2 or n != len(other):
        msg = f"a ratio's interval needs two pairs or more, not {n} and {len(other)}"
        raise ValueError(msg)
    a, b = float(one.mean()), float(other.mean())
    if b <= 0:
        return None
    (aa, ab), (_, bb) = (np.cov(one, other) / n).tolist()
    t = t_quantile(0.5 + confidence / 2, n - 1)
    r, g = a / b, t * t * bb / (b * b)
    if g >= 1:
        return None
    shift = g * ab / bb if bb else 0.0
    rest = aa - ab * ab / bb if bb else aa
    half = t / b * math.sqrt(max(0.0, aa - 2 * r * ab + r * r * bb - g * rest))
    return Interval(r, (r - shift - half) / (1 - g), (r - shift + half) / (1 - g), n)
