"""Who came under which split: first exposures, counted before any unit is dropped, and whether they came as was set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.decision.batch import BASELINE
from pilotage.decision.parts import part_of, step_of
from pilotage.stats.claim import threshold
from pilotage.stats.tilt import ALPHA, SampleRatio

if TYPE_CHECKING:
    from pilotage.status import RolloutStatus


class Exposures(msgspec.Struct, frozen=True, omit_defaults=True):
    """First exposures as (generation, arm, units), and a sample-ratio e-process for each candidate.

    A candidate's looks at those who have it or the baseline, of whom each has it with the chance of its part.
    """

    units: tuple[tuple[int, int, int], ...] = ()
    splits: tuple[SampleRatio, ...] = ()


class Mismatch(msgspec.Struct, frozen=True):
    """A split that came otherwise than it was set: `candidate` units of `units`, where about `expected` were due."""

    release: str
    candidate: int
    units: int
    expected: float
    log_e: float


def unexposed(rollout: RolloutStatus) -> Exposures:
    """Return the exposures before any unit."""
    return Exposures((), tuple(SampleRatio() for _ in rollout.candidates))


def exposed(known: Exposures, new: tuple[tuple[int, int, int], ...], rollout: RolloutStatus) -> Exposures:
    """Return the exposures with those of a batch, generation by generation in rising order."""
    whole = {(generation, arm): units for generation, arm, units in known.units}
    fresh: dict[int, dict[int, int]] = {}
    for generation, arm, units in new:
        whole[generation, arm] = whole.get((generation, arm), 0) + units
        arms = fresh.setdefault(generation, {})
        arms[arm] = arms.get(arm, 0) + units
    splits = list(known.splits)
    for generation in sorted(fresh):
        for index, release in enumerate(rollout.candidates):
            part = part_of(rollout, release, generation, generation)
            here = fresh[generation].get(index + 1, 0)
            units = here + fresh[generation].get(BASELINE, 0)
            # Without a baseline nobody else is recorded, so there is no split to judge.
            if rollout.baseline and units and part.comparable(compared=True):
                splits[index] = splits[index].update(here, units, part.share)
    counted = tuple((*key, units) for key, units in sorted(whole.items()) if units)
    return Exposures(counted, tuple(splits))


def exposed_at(known: Exposures, rollout: RolloutStatus, step: int | None = None) -> dict[int, int]:
    """Return the units first exposed at a step (at any, for None) by arm."""
    found: dict[int, int] = {}
    for generation, arm, units in known.units:
        if step is None or step_of(rollout, generation) == step:
            found[arm] = found.get(arm, 0) + units
    return found


def mismatches(known: Exposures, rollout: RolloutStatus) -> tuple[Mismatch, ...]:
    """Return every candidate whose split is shown to be broken, at .001 over all candidates and all time."""
    found = []
    line = threshold(ALPHA / len(rollout.candidates))
    for index, (release, split) in enumerate(zip(rollout.candidates, known.splits, strict=True)):
        if split.log_e >= line:
            expected = _expected(known, rollout, index + 1, release)
            found.append(Mismatch(release, split.candidate, split.units, expected, split.log_e))
    return tuple(found)


def _expected(known: Exposures, rollout: RolloutStatus, arm: int, release: str) -> float:
    expected = 0.0
    for generation in sorted({generation for generation, _, _ in known.units}):
        part = part_of(rollout, release, generation, generation)
        if part.comparable(compared=True):
            units = sum(n for other, side, n in known.units if other == generation and side in (BASELINE, arm))
            expected += units * part.share
    return expected
