"""How a provider behaves, learned from what was recorded of it: how long it takes by size, how it fails, how much it takes."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.clock import MINUTE, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ENOUGH = 30
"""Answers below which too little is known of a provider."""
MOST = 2_000
_LIMITED = "status:429"
_OURS = ("abandoned", "internal", "prompt")
"""Errors that are no provider's."""


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One answer: tokens of the question and of the answer, and seconds."""

    input_tokens: int
    output_tokens: int
    seconds: float


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """`samples` are answers; `errors` is the share of requests that fail, by kind, without those over the limit.

    `a_minute` is the most that was answered in a minute in which the provider also said 429; None where it never did.
    """

    samples: tuple[Sample, ...]
    errors: dict[str, float] = {}
    a_minute: int | None = None
    learned_from: int = 0

    @property
    def described(self) -> dict[str, Any]:
        seconds = sorted(one.seconds for one in self.samples)
        return {
            "answers": len(self.samples),
            "requests": self.learned_from,
            "median_seconds": seconds[len(seconds) // 2],
            "errors": self.errors,
            "requests_a_minute": self.a_minute,
        }


def learn(rows: Iterable[Mapping[str, Any]], release: str) -> Behaviour | None:
    """Learn from rows of the table `inferences`; None where fewer than `ENOUGH` answers of this release are recorded.

    Answers without counted tokens count as 1 token each way: their time still tells.
    """
    samples: list[Sample] = []
    errors: Counter[str] = Counter()
    answered: Counter[int] = Counter()
    limited: set[int] = set()
    asked = 0
    for row in rows:
        if row.get("release") != release or not row.get("finished") or row.get("surface", "chat") == "flag":
            continue
        minute = row["at"] // MINUTE
        error = row.get("error") or ""
        if error.startswith(_OURS):
            continue
        asked += 1
        if error == _LIMITED:
            limited.add(minute)
        elif error:
            errors[error] += 1
        elif len(samples) < MOST:
            answered[minute] += 1
            samples.append(
                Sample(row.get("input_tokens") or 1, row.get("output_tokens") or 1, (row.get("duration") or 0) / SECOND)
            )
    if len(samples) < ENOUGH:
        return None
    a_minute = max((answered[minute] for minute in limited), default=0) or None
    return Behaviour(
        samples=tuple(samples),
        errors={kind: count / asked for kind, count in errors.items()},
        a_minute=a_minute,
        learned_from=asked,
    )


def alike(samples: Sequence[Sample], input_tokens: int, output_tokens: int | None, count: int = 25) -> list[Sample]:
    """Return the samples nearest in size, by the distance of their logarithms."""

    def distance(one: Sample) -> float:
        far = abs(math.log1p(one.input_tokens) - math.log1p(input_tokens))
        if output_tokens is not None:
            # What is written takes the time, far more than what is read.
            far = far / 4 + abs(math.log1p(one.output_tokens) - math.log1p(output_tokens))
        return far

    return sorted(samples, key=distance)[:count]
