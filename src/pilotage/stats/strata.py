"""A mean over strata of known size, each with an interval of its own: what a cheap judge's verdicts add to few human labels.

The judge's verdicts on all N cases part them into strata; people label a random part of each. With W_h = N_h / N and the
labels' mean p_h in stratum h, the mean is sum W_h p_h: the difference estimator with a judge as auxiliary variable, which
for verdicts of few kinds is prediction-powered inference with the best power tuning (Angelopoulos et al. 2023, Science
382:669; Angelopoulos, Duchi & Zrnic 2023, arXiv 2311.01453, section 6 on stratification). Right whatever the judge is worth: a useless
one gives the labels' own interval, a good one a narrower one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pilotage.stats.interval import Interval
from pilotage.stats.special import normal_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence


def combined(strata: Sequence[tuple[int, Interval]], confidence: float = 0.95) -> Interval:
    """Return the mean over strata of so many cases, from an interval of each stratum's mean at the same confidence.

    The strata's own ends are combined as in Zou & Donner (2008, Stat. Med. 27:1693), MOVER: the lower end is

        m - sqrt(sum W_h^2 (p_h - l_h)^2 + z^2 sum W_h (p_h - m)^2 / N)

    and likewise the upper. The last term is there because the N cases are a sample themselves, so the sizes vary too
    (Cochran 1977, Sampling Techniques, 12.2, double sampling). A stratum that rests on nothing (n = 0) may lie anywhere on
    its scale, and so may all such strata at once: their widths are added, and not the squares.
    """
    size = sum(cases for cases, _ in strata)
    if size == 0:
        msg = "a mean over strata needs a case or more"
        raise ValueError(msg)
    shares = [(cases / size, part) for cases, part in strata]
    known = [(weight, part) for weight, part in shares if part.n]
    mean = math.fsum(weight * part.value for weight, part in shares)
    centre = math.fsum(weight * part.value for weight, part in known) / (math.fsum(w for w, _ in known) or 1.0)
    z = normal_quantile(0.5 + confidence / 2)
    between = z * z * math.fsum(weight * (part.value - centre) ** 2 for weight, part in known) / size
    below = math.sqrt(math.fsum((weight * (part.value - part.low)) ** 2 for weight, part in known) + between)
    above = math.sqrt(math.fsum((weight * (part.high - part.value)) ** 2 for weight, part in known) + between)
    below += math.fsum(weight * (part.value - part.low) for weight, part in shares if not part.n)
    above += math.fsum(weight * (part.high - part.value) for weight, part in shares if not part.n)
    # No mean of the strata lies beyond the outermost of their ends.
    return Interval(
        mean,
        max(mean - below, min(part.low for _, part in shares)),
        min(mean + above, max(part.high for _, part in shares)),
        sum(part.n for _, part in shares),
    )
