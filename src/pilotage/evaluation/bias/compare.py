"""One group beside the reference, pair by pair over the same cases, and how much answers change for no reason at all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pilotage.stats.interval import Interval, paired_difference
from pilotage.stats.paired import equivalence_pairs, holm, mcnemar, sign_flips

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.9
"""Two one-sided tests at 5 % each: all of this interval must lie inside the margin."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer was like. `right` is None where it could not be scored; all are None where none came."""

    right: float | None = None
    refused: bool | None = None
    words: int = 0
    tone: float = 0.0

    @property
    def decision(self) -> tuple[bool | None, bool | None]:
        return (None if self.right is None else self.right >= 1, self.refused)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One case: as the reference asked it, as the group did, and twice for no reason (somebody else; the same again).

    `scorable` is whether the case says what a right answer is.
    """

    reference: Seen
    group: Seen
    other: Seen
    again: Seen
    scorable: bool = True


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A rate of the group less that of the reference, with its 90 % interval; `p` is exact (McNemar)."""

    value: float
    low: float
    high: float
    n: int
    discordant: float
    p: float

    @property
    def least(self) -> float:
        """Return the smallest gap, either way, that the interval leaves possible."""
        return 0.0 if self.low <= 0 <= self.high else min(abs(self.low), abs(self.high))

    @property
    def most(self) -> float:
        return max(abs(self.low), abs(self.high))

    def needed(self, margin: float) -> int:
        """Return how many cases would show equivalence with a chance of 80 %, were there no gap.

        A share of pairs that differ is not known to be 0 because none was seen: a half pair is added.
        """
        return equivalence_pairs(max(self.discordant, 0.5 / max(1, self.n)), margin)


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one group. `p` are by what is compared; `adjusted` are Holm's over everything that was tested."""

    attribute: str
    group: str
    reference: str
    gaps: dict[str, Gap]
    flips: float
    null_flips: float
    longer: float
    tone: float
    p: dict[str, float]
    adjusted: dict[str, float] = {}


def compare(attribute: str, group: str, reference: str, rows: Sequence[Row], rng: np.random.Generator) -> Comparison:
    """Return the comparison; gaps of what could not be measured for any pair are left out."""
    gaps = {}
    for name, pairs in (
        ("success", [(row.group.right, row.reference.right) for row in rows if row.scorable]),
        ("refusal", [(_number(row.group.refused), _number(row.reference.refused)) for row in rows]),
    ):
        gap = _gap(pairs)
        if gap is not None:
            gaps[name] = gap
    answered = [row for row in rows if None not in (row.group.refused, row.reference.refused)]
    flips = [(_flip(row.reference, row.group), _nothing(row)) for row in answered]
    lengths = [math.log((row.group.words + 1) / (row.reference.words + 1)) for row in answered]
    tones = [row.group.tone - row.reference.tone for row in answered]
    p = {name: gap.p for name, gap in gaps.items()}
    p |= {
        "flips": sign_flips([flip - null for flip, null in flips], rng),
        "length": sign_flips(lengths, rng),
        "tone": sign_flips(tones, rng),
    }
    return Comparison(
        attribute=attribute,
        group=group,
        reference=reference,
        gaps=gaps,
        flips=_mean([flip for flip, _ in flips]),
        null_flips=_mean([null for _, null in flips]),
        longer=math.expm1(_mean(lengths)),
        tone=_mean(tones),
        p=p,
    )


def adjusted(found: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons with Holm's p-values over all of their tests together."""
    tests = [(at, name) for at, one in enumerate(found) for name in one.p]
    corrected = dict(zip(tests, holm([found[at].p[name] for at, name in tests]), strict=True))
    return [
        msgspec.structs.replace(one, adjusted={name: corrected[at, name] for name in one.p})
        for at, one in enumerate(found)
    ]


def _gap(pairs: Sequence[tuple[float | None, float | None]]) -> Gap | None:
    """What was not scored might have been anything: the lower end takes it as worst, the upper end as best."""
    whole = [(one, two) for one, two in pairs if one is not None and two is not None]
    if not whole:
        return None
    least = _interval([(0.0 if one is None else one, 1.0 if two is None else two) for one, two in pairs])
    most = _interval([(1.0 if one is None else one, 0.0 if two is None else two) for one, two in pairs])
    more, less = sum(one > two for one, two in whole), sum(one < two for one, two in whole)
    value = sum(one - two for one, two in whole) / len(whole)
    return Gap(
        value=value,
        low=min(least.low, value),
        high=max(most.high, value),
        n=len(whole),
        discordant=(more + less) / len(whole),
        p=mcnemar(more, less),
    )


def _interval(pairs: Sequence[tuple[float, float]]) -> Interval:
    one, two = zip(*pairs, strict=True)
    return paired_difference(one, two, confidence=CONFIDENCE)


def _flip(one: Seen, two: Seen) -> float:
    return float(one.decision != two.decision)


def _nothing(row: Row) -> float:
    """Return how often the decision changed for no reason; what has no answer says nothing."""
    nulls = [_flip(row.reference, null) for null in (row.other, row.again) if null.refused is not None]
    return _mean(nulls)


def _number(value: bool | None) -> float | None:
    return None if value is None else float(value)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0
