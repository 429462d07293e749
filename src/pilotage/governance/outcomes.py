"""What users' own outcomes have shown of a release: its rollout, metric by metric, and what is wrong with it now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.decision.transition import UNDER_WAY
from pilotage.decision.verdict import judged
from pilotage.decision.wording import amount_text, currency_of, difference_text, units_text
from pilotage.governance.progress import progress
from pilotage.spec.metric import Guardrail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.governance.standing import Standing
    from pilotage.spec.use_case import UseCase
    from pilotage.status import Reading, RolloutStatus
    from pilotage.store.base.transaction import Transaction


def outcomes(tx: Transaction, stands: Standing, release: str) -> dict[str, Any]:
    """Return how a release's newest rollout stands (None: it has had none), and the alarms that are open on what serves."""
    rollout = stands.status.rollout
    mine = rollout is not None and release in rollout.candidates
    open_ = tx.alarms.of(stands.status.use_case, open_only=True) if release == stands.status.live else []
    return {
        "rollout": _rollout(tx, stands.spec, rollout, release) if rollout is not None and mine else None,
        "alarms": [{"what": one.what, "kind": one.kind, "since": one.since} for one in open_],
    }


def _rollout(tx: Transaction, spec: UseCase, rollout: RolloutStatus, release: str) -> dict[str, Any]:
    readings: Mapping[str, Reading] = {}
    if rollout.phase in UNDER_WAY:
        kept = progress(tx, rollout)
        readings = kept.readings.get(release, {}) if kept else {}
    elif release not in rollout.out and release == next(iter(rollout.remaining), ""):
        readings = rollout.readings
    return {
        "id": rollout.id,
        "phase": rollout.out.get(release, str(rollout.phase)),
        "baseline": rollout.baseline,
        "started": rollout.started,
        "share": rollout.share,
        "metrics": [_shown(spec, name, reading) for name, reading in readings.items() if name in judged(spec)],
    }


def _shown(spec: UseCase, name: str, reading: Reading) -> dict[str, Any]:
    metric, currency = judged(spec)[name], currency_of(spec)
    guardrail = isinstance(metric, Guardrail)
    if reading.proved:
        verdict, shown = "pass", "no worse than its margin" if guardrail else "better"
    elif reading.harmed or reading.futile:
        verdict, shown = "fail", "worse than it may be" if reading.harmed else "short of what matters"
    else:
        verdict, shown = "inconclusive", ""
    margin = f", margin {amount_text(metric.margin or 0.0, metric, currency)}" if guardrail else ""
    return {
        "metric": name,
        "role": "guardrail" if guardrail else "goal",
        "says": f"{difference_text(name, metric, reading, currency)}{margin}, {units_text(reading.units, spec)} "
        f"against {reading.against:,}",
        "verdict": verdict,
        "shown": f"shown to be {shown}" if shown else "not shown either way",
        "value": reading.value,
        "low": reading.low,
        "high": reading.high,
        "units": reading.units,
        "against": reading.against,
    }
