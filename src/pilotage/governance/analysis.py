"""What a rollout has shown so far, as one verdict: for a deployment tool that asks before it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.decision.transition import UNDER_WAY
from pilotage.decision.verdict import Verdict, judged, of_goal, of_guardrail, proof_demanded
from pilotage.governance import standing
from pilotage.governance.progress import progress
from pilotage.spec.metric import Guardrail
from pilotage.status import Phase

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.spec.use_case import UseCase
    from pilotage.status import Reading, RolloutStatus, UseCaseStatus
    from pilotage.store.base.transaction import Transaction

_SEVERITY = (Verdict.FAIL, Verdict.MISSING, Verdict.INCONCLUSIVE)
"""What one metric says for the whole, the first that any says; otherwise the whole passes."""


class Analysis(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    use_case: str


def analysis(context: Context, actor: Actor, arguments: Analysis) -> dict[str, Any]:  # noqa: ARG001 (a command)
    """Judge the newest candidate by its rollout; `rivals`, where there are any, says as much of each of the others.

    Fail where it is shown harmful or was ended, pass where every guardrail and goal holds as the ramp demands it, and
    never pass on what nobody has measured.
    """
    with context.store.read() as tx:
        stands = standing.standing(tx, arguments.use_case)
        status, spec = stands.status, stands.spec
        rollout = _rollout(status)
        readings = {} if rollout is None else _readings(tx, rollout)
    release = status.candidate if rollout is None else next(iter(rollout.remaining), rollout.candidate)
    metrics = {} if rollout is None else _metrics(spec, readings.get(release, {}))
    verdict, says = _verdict(status, rollout, release, metrics)
    found = {
        "use_case": status.use_case,
        "release": release,
        "baseline": "" if rollout is None else rollout.baseline,
        "verdict": str(verdict),
        "says": says,
        "stage": str(status.stage),
        "phase": "" if rollout is None else str(rollout.phase),
        "paused": status.paused,
        "step": 0 if rollout is None else rollout.step + 1,
        "steps": 0 if rollout is None else len(rollout.shares),
        "share": 0.0 if rollout is None else rollout.share / 1_000_000,
        "metrics": metrics,
    }
    if rollout is not None and rollout.rivals:
        found["rivals"] = {
            other: rollout.out.get(other) or str(_worst(_metrics(spec, readings.get(other, {}))))
            for other in rollout.candidates
            if other != release
        }
    return found


def _rollout(status: UseCaseStatus) -> RolloutStatus | None:
    """Return the rollout of the newest candidate; one that has not come so far must not inherit its predecessor's."""
    rollout = status.rollout
    if rollout is None or (status.candidate and status.candidate not in rollout.remaining):
        return None
    return rollout


def _readings(tx: Transaction, rollout: RolloutStatus) -> dict[str, dict[str, Reading]]:
    """Return what is known by candidate: what the controller kept last while it runs, else what ended it."""
    kept = progress(tx, rollout) if rollout.phase in UNDER_WAY else None
    return kept.readings if kept else {next(iter(rollout.remaining), rollout.candidate): rollout.readings}


def _metrics(spec: UseCase, readings: dict[str, Reading]) -> dict[str, dict[str, Any]]:
    demanded = proof_demanded(spec)
    found: dict[str, dict[str, Any]] = {}
    for name, metric in judged(spec).items():
        reading = readings.get(name)
        guards = isinstance(metric, Guardrail)
        verdict = of_guardrail(reading, demanded=demanded) if guards else of_goal(reading, demanded=demanded)
        found[name] = {
            "role": "guardrail" if guards else "goal",
            "verdict": str(verdict),
            "direction": metric.direction,
        }
        if isinstance(metric, Guardrail):
            found[name]["margin"] = metric.margin or 0.0
        if reading is not None:
            found[name] |= {
                "value": reading.value,
                "low": reading.low,
                "high": reading.high,
                "units": reading.units,
                "against": reading.against,
            }
    return found


def _verdict(
    status: UseCaseStatus, rollout: RolloutStatus | None, release: str, metrics: dict[str, dict[str, Any]]
) -> tuple[Verdict, str]:
    if status.retired:
        return Verdict.MISSING, f"{status.use_case} is retired."
    if rollout is None:
        return Verdict.MISSING, f"{status.candidate or status.use_case} has no rollout yet."
    if rollout.phase not in UNDER_WAY:
        why = next((ended.reason for ended in reversed(status.ended) if ended.release == release), "")
        verdict = Verdict.PASS if rollout.phase is Phase.PROMOTED else Verdict.FAIL
        return verdict, why or f"{release}: {rollout.phase.value.replace('_', ' ')}."
    verdict = _worst(metrics)
    if verdict is Verdict.PASS:
        return verdict, "Every guardrail and goal holds as far as the ramp demands it."
    return verdict, f"{verdict}: {', '.join(name for name, metric in metrics.items() if metric['verdict'] == verdict)}."


def _worst(metrics: dict[str, dict[str, Any]]) -> Verdict:
    said = {metric["verdict"] for metric in metrics.values()}
    return next((verdict for verdict in _SEVERITY if verdict in said), Verdict.PASS)
