"""What a test claims: the null that it must reject, for either direction of `better`.

With theta_B and theta_C the baseline's and the candidate's level, every claim is one-sided:

    H0: sign (theta_C - theta_B) <= null

`sign` is +1 or -1; -1 is the same test with the arms swapped. `scale` is the distance s over which the five effects of
a mixture are spread: null + k s (see `mixture`). All are on the metric's own scale (rates from 0 to 1, stars, seconds).
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

Better = Literal["higher", "lower"]


class Claim(msgspec.Struct, frozen=True):
    """H0: sign (theta_C - theta_B) <= null, tested against null + k scale."""

    null: float
    scale: float
    sign: int = 1

    def __post_init__(self) -> None:
        if not math.isfinite(self.null):
            msg = f"a null is a finite difference on the metric's scale, not {self.null}"
            raise ValueError(msg)
        if not (math.isfinite(self.scale) and self.scale > 0):
            msg = f"the margin or minimum effect must be above 0, not {self.scale}: no number of units shows an effect of 0"
            raise ValueError(msg)
        if self.sign not in (1, -1):
            msg = f"sign is 1 (candidate above) or -1 (arms swapped), not {self.sign}"
            raise ValueError(msg)


def not_inferior(margin: float, better: Better = "higher") -> Claim:
    """Claim that the candidate is worse by less than `margin`; H0: worse by `margin` or more."""
    return Claim(-margin, margin, _sign(better))


def superior(minimum_effect: float, better: Better = "higher") -> Claim:
    """Claim that the candidate is better; H0: not better. Quickest near an effect of `minimum_effect`."""
    return Claim(0.0, minimum_effect, _sign(better))


def harmful(margin: float, better: Better = "higher", *, at: Literal["margin", "zero"] = "margin") -> Claim:
    """Claim that the candidate is worse by more than `margin` (or than nothing, `at` zero); H0: it is not."""
    return Claim(margin if at == "margin" else 0.0, margin, -_sign(better))


def futile(minimum_effect: float, better: Better = "higher") -> Claim:
    """Claim that the effect is below `minimum_effect`; H0: it is `minimum_effect` or more."""
    return Claim(-minimum_effect, minimum_effect, -_sign(better))


def threshold(alpha: float) -> float:
    """Return ln(1 / alpha), which an e-process exceeds anywhere with a chance of at most alpha (Ville 1939)."""
    if not 0 < alpha < 1:
        msg = f"alpha, the chance of a false call, lies between 0 and 1 (0.05 is usual), not {alpha}"
        raise ValueError(msg)
    return -math.log(alpha)


def check_share(share: float) -> None:
    """Refuse a candidate share at which there is nothing to compare."""
    if not 0 < share < 1:
        msg = f"the candidate's share lies between 0 and 1, not {share}: without two sides there is no comparison"
        raise ValueError(msg)


def _sign(better: Better) -> int:
    if better not in ("higher", "lower"):
        msg = f"better is 'higher' or 'lower', not {better!r}"
        raise ValueError(msg)
    return 1 if better == "higher" else -1
