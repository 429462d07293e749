"""Whether units arrive on both sides in the shares that were set, at any moment and over all steps of a ramp.

    E = mean over t of exp(sum over steps [n_C t - n ln(pi e^t + 1 - pi)])

Each term has expectation 1 when every unit goes to the candidate with the chance pi of its step, whatever the order
and the shares (an exponential tilt of the binomial; Lindon & Malek 2022, NeurIPS, test it with a Dirichlet mixture).
Count first exposures, before any unit is dropped. A mismatch means that assignment, exposure or recording is broken and
no comparison means anything: pause, never roll back.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from pilotage.stats.claim import check_share
from pilotage.stats.mixture import grown

ALPHA = 0.001
TILTS = tuple(sign * size for size in (0.025, 0.05, 0.1, 0.2, 0.4, 0.8) for sign in (-1.0, 1.0))
"""Distances in log odds; a candidate share of 0.50 that should be 0.51 is one of 0.04."""


class SampleRatio(msgspec.Struct, frozen=True):
    """The e-process of H0: every unit went to the candidate with the chance that was set."""

    candidate: int = 0
    units: int = 0
    log_wealth: tuple[float, ...] = (0.0,) * len(TILTS)

    def update(self, candidate: int, units: int, share: float) -> SampleRatio:
        """Return the process after `units` first exposures at one share, `candidate` of them on the candidate."""
        check_share(share)
        if not 0 <= candidate <= units or units == 0:
            msg = f"candidate units are among all units, of which there are some: not {candidate} of {units}"
            raise ValueError(msg)
        tilts = np.asarray(TILTS)
        gain = candidate * tilts - units * np.log1p(share * np.expm1(tilts))
        return SampleRatio(self.candidate + candidate, self.units + units, grown(self.log_wealth, gain))

    @property
    def log_e(self) -> float:
        """The log of the e-value."""
        top = max(self.log_wealth)
        return top + math.log(sum(math.exp(x - top) for x in self.log_wealth) / len(self.log_wealth))
