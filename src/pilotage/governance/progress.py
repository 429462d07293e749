"""How far a rollout under way has come, for people and programs: what its controller kept last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.decision.exposure import exposed_at
from pilotage.decision.forecast import Expected, expected
from pilotage.decision.parity import Parity
from pilotage.decision.statistics import by_group, readings
from pilotage.decision.transition import UNDER_WAY
from pilotage.decision.verdict import judged
from pilotage.status import Reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.decision.statistics import Statistics
    from pilotage.spec.use_case import UseCase
    from pilotage.status import Decision, RolloutStatus
    from pilotage.store.base.transaction import Transaction


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `batches` batches showed by `at`, and what the controller did or waits for (`action`, `reason`).

    `readings` are by candidate and metric, `exposed` counts units by release ("" where there is no baseline), `moved` and
    `late` those that could not be counted. `expected` says by candidate and metric how many more units a proof takes, and
    when they will have come, if things stay as they are. `splits` are the log e-values of the candidates' sample ratios,
    `parity` what is known by candidate, group of units and metric.
    """

    at: int
    batches: int
    action: str
    reason: str
    readings: dict[str, dict[str, Reading]] = {}
    exposed: dict[str, int] = {}
    moved: int = 0
    late: int = 0
    expected: dict[str, dict[str, Expected]] = {}
    splits: dict[str, float] = {}
    parity: dict[str, dict[str, dict[str, Parity]]] = {}

    def as_json(self) -> dict[str, Any]:
        """Return plain data with every field there, whatever its value."""
        return {
            **msgspec.structs.asdict(self),
            "readings": plain(self.readings),
            "expected": msgspec.to_builtins(self.expected),
            "parity": {release: plain(groups) for release, groups in self.parity.items()},
        }


def plain(readings: Mapping[str, Mapping[str, Reading | Parity]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return readings by candidate and metric as plain data, every field there."""
    return {
        release: {name: msgspec.structs.asdict(reading) for name, reading in metrics.items()}
        for release, metrics in readings.items()
    }


_progress = msgspec.json.Decoder(Progress)


def standing_of(spec: UseCase, rollout: RolloutStatus, statistics: Statistics, decision: Decision) -> bytes:
    """Return a rollout's progress as JSON, to be kept."""
    shown = Progress(
        at=decision.at,
        batches=statistics.seq,
        action=str(decision.action),
        reason=decision.reason,
        readings=readings(statistics, spec, rollout),
        exposed=exposed(statistics, rollout),
        parity=by_group(statistics, spec, rollout),
        moved=statistics.moved,
        late=statistics.late,
        expected={
            candidate: _expected(spec, rollout, statistics, candidate, decision.at) for candidate in rollout.candidates
        },
        splits={
            candidate: split.log_e
            for candidate, split in zip(rollout.candidates, statistics.exposures.splits, strict=True)
        },
    )
    return msgspec.json.encode(shown)


def progress(tx: Transaction, rollout: RolloutStatus) -> Progress | None:
    """Return what was kept of a rollout, or None before its first batch."""
    kept = tx.batches.kept(rollout.id)
    if kept is None:
        return None
    try:
        return _progress.decode(kept[2])
    except msgspec.MsgspecError:
        # Another version kept it; what this one makes of the batches comes with its next tick.
        return None


def exposed(statistics: Statistics, rollout: RolloutStatus) -> dict[str, int]:
    """Return how many units each release has met, first exposures all."""
    arms = dict(enumerate((rollout.baseline, *rollout.candidates)))
    return {arms[arm]: units for arm, units in sorted(exposed_at(statistics.exposures, rollout).items())}


def _expected(
    spec: UseCase, rollout: RolloutStatus, statistics: Statistics, candidate: str, now: int
) -> dict[str, Expected]:
    found = {name: expected(statistics, spec, rollout, name, now, release=candidate) for name in judged(spec)}
    return {name: one for name, one in found.items() if one is not None}


def readings_of(tx: Transaction, rollout: RolloutStatus) -> Mapping[str, Reading]:
    """Return what is shown of the first candidate that is still in a rollout, by metric: as kept while it runs, else as it ended."""
    kept = progress(tx, rollout) if rollout.phase in UNDER_WAY else None
    return kept.readings.get(next(iter(rollout.remaining), rollout.candidate), {}) if kept else rollout.readings
