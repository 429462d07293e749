"""All that a rollout has shown, batch by batch: the only thing that decisions read of its units.

`after` takes one recorded batch and gives the next statistics; nothing else is remembered, and no clock is read. So the
recorded batches give the same statistics again, bit for bit, on the same build of numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.decision import parity
from pilotage.decision.batch import BASELINE
from pilotage.decision.comparison import Arrived, Comparison, opened
from pilotage.decision.comparison import after as compared_after
from pilotage.decision.exposure import Exposures, exposed, unexposed
from pilotage.decision.method import method_of
from pilotage.decision.parts import part_of, step_of
from pilotage.decision.reading import lines, reading
from pilotage.decision.verdict import judged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pilotage.decision.batch import Batch, Cell
    from pilotage.decision.parity import Parity
    from pilotage.spec.metric import Goal, Guardrail
    from pilotage.spec.use_case import UseCase
    from pilotage.status import Reading, RolloutStatus


class Statistics(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `seq` batches have shown, the newest of them at `at`.

    `comparisons` holds for each candidate, in the rollout's order, what is known by metric, `groups` the same by group
    of units where the file declares any. `frontier`, `moved`, `late`
    and `heard` are the batches' own, added up.
    """

    seq: int = 0
    at: int = 0
    frontier: dict[str, int] = {}
    exposures: Exposures = Exposures()
    comparisons: tuple[dict[str, Comparison], ...] = ()
    groups: tuple[dict[str, dict[str, Comparison]], ...] = ()
    heard: tuple[str, ...] = ()
    moved: int = 0
    late: int = 0


def begin(spec: UseCase, rollout: RolloutStatus) -> Statistics:
    """Return the statistics before any unit."""
    metrics = judged(spec)
    compared = bool(rollout.baseline)
    found = {name: known for name, metric in metrics.items() if (known := opened(metric, compared=compared))}
    return Statistics(
        exposures=unexposed(rollout),
        comparisons=tuple(dict(found) for _ in rollout.candidates),
        groups=tuple(parity.begin(spec, compared=compared) for _ in rollout.candidates)
        if spec.fairness.segments
        else (),
    )


def after(statistics: Statistics, batch: Batch, spec: UseCase, rollout: RolloutStatus) -> Statistics:
    """Return the statistics with one batch more. Metrics that are not judged, signals among them, pass by."""
    metrics = judged(spec)
    return Statistics(
        seq=statistics.seq + 1,
        at=batch.at,
        frontier={**statistics.frontier, **batch.frontier},
        exposures=exposed(statistics.exposures, batch.exposed, rollout),
        comparisons=tuple(
            _compared(known, batch.metrics, metrics, rollout, index + 1)
            for index, known in enumerate(statistics.comparisons)
        ),
        groups=tuple(
            {
                name: _compared(by_metric, parity.cells_of(spec, name, batch.groups), metrics, rollout, index + 1)
                for name, by_metric in known.items()
            }
            for index, known in enumerate(statistics.groups)
        ),
        heard=tuple(sorted({*statistics.heard, *batch.heard})),
        moved=statistics.moved + batch.moved,
        late=statistics.late + batch.late,
    )


def readings(statistics: Statistics, spec: UseCase, rollout: RolloutStatus) -> dict[str, dict[str, Reading]]:
    """Return what is known now: candidate release -> metric -> reading.

    A metric of feedback about which nobody has reported anything has no reading: all are silent, on both sides.
    """
    metrics, at = judged(spec), lines(spec, rollout)
    found: dict[str, dict[str, Reading]] = {}
    for release, comparisons in zip(rollout.candidates, statistics.comparisons, strict=True):
        found[release] = {}
        for name, known in comparisons.items():
            if metrics[name].source == "feedback" and name not in statistics.heard:
                continue
            one = reading(metrics[name], known, at, rollout, release=release, now=statistics.at)
            if one is not None:
                found[release][name] = one
    return found


def by_group(statistics: Statistics, spec: UseCase, rollout: RolloutStatus) -> dict[str, dict[str, dict[str, Parity]]]:
    """Return what is known now by group: candidate release -> group -> metric -> parity; nothing where none is declared."""
    metrics, alpha = judged(spec), lines(spec, rollout).alpha
    told = {name for name, metric in metrics.items() if metric.source != "feedback" or name in statistics.heard}
    return {
        release: {
            group: {name: one for name, one in known.items() if name in told}
            for group, known in parity.parities(spec, comparisons, alpha=alpha).items()
        }
        for release, comparisons in zip(rollout.candidates, statistics.groups, strict=False)
    }


def _compared(
    known: dict[str, Comparison],
    cells: Mapping[str, Sequence[Cell]],
    metrics: Mapping[str, Goal | Guardrail],
    rollout: RolloutStatus,
    arm: int,
) -> dict[str, Comparison]:
    release, found = rollout.candidates[arm - 1], dict(known)
    for name in known:
        method = method_of(metrics[name])
        sides: dict[tuple[int, int], tuple[list[tuple[int, ...]], list[tuple[int, ...]]]] = {}
        for cell in cells.get(name, ()):
            if cell.arm in (BASELINE, arm):
                both = sides.setdefault((cell.first, cell.last), ([], []))
                both[cell.arm == arm].append(cell.sums)
        for first, last in sorted(sides):
            part = part_of(rollout, release, first, last)
            if not part.comparable(compared=bool(rollout.baseline)):
                continue
            baseline, candidate = (sums[0] if len(sums) == 1 else method.merge(sums) for sums in sides[first, last])
            arrived = Arrived(part, step_of(rollout, first), baseline, candidate)
            found[name] = compared_after(found[name], method, arrived)
    return found
