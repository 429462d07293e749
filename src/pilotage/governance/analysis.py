"""What a rollout has shown so far, as one verdict: for a deployment tool that asks before it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.decision.transition import UNDER_WAY
from pilotage.decision.verdict import Verdict, judged, of_goal, of_guardrail, proof_demanded
from pilotage.governance import standing
from pilotage.spec.metric import Guardrail
from pilotage.status import Phase

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.spec.use_case import UseCase
    from pilotage.status import RolloutStatus, UseCaseStatus

_SEVERITY = (Verdict.FAIL, Verdict.MISSING, Verdict.INCONCLUSIVE)
"""What one metric says for the whole, the first that any says; otherwise the whole passes."""


class Analysis(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    use_case: str


def analysis(context: Context, actor: Actor, arguments: Analysis) -> dict[str, Any]:  # noqa: ARG001 (a command)
    """Judge the newest candidate by its rollout.

    Fail where it is shown harmful or was ended, pass where every guardrail and goal holds as the ramp demands it, and
    never pass on what nobody has measured.
    """
    with context.store.read() as tx:
        stands = standing.standing(tx, arguments.use_case)
    status, spec = stands.status, stands.spec
    rollout = _rollout(status)
    metrics = {} if rollout is None else _metrics(spec, rollout)
    verdict, says = _verdict(status, rollout, metrics)
    return {
        "use_case": status.use_case,
        "release": status.candidate if rollout is None else rollout.candidate,
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


def _rollout(status: UseCaseStatus) -> RolloutStatus | None:
    """Return the rollout of the newest candidate; one that has not come so far must not inherit its predecessor's."""
    rollout = status.rollout
    if rollout is None or (status.candidate and rollout.candidate != status.candidate):
        return None
    return rollout


def _metrics(spec: UseCase, rollout: RolloutStatus) -> dict[str, dict[str, Any]]:
    demanded = proof_demanded(spec)
    found: dict[str, dict[str, Any]] = {}
    for name, metric in judged(spec).items():
        reading = rollout.readings.get(name)
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
    status: UseCaseStatus, rollout: RolloutStatus | None, metrics: dict[str, dict[str, Any]]
) -> tuple[Verdict, str]:
    if status.retired:
        return Verdict.MISSING, f"{status.use_case} is retired."
    if rollout is None:
        return Verdict.MISSING, f"{status.candidate or status.use_case} has no rollout yet."
    if rollout.phase not in UNDER_WAY:
        why = next((ended.reason for ended in reversed(status.ended) if ended.release == rollout.candidate), "")
        verdict = Verdict.PASS if rollout.phase is Phase.PROMOTED else Verdict.FAIL
        return verdict, why or f"{rollout.candidate}: {rollout.phase.value.replace('_', ' ')}."
    for verdict in _SEVERITY:
        names = [name for name, metric in metrics.items() if metric["verdict"] == verdict]
        if names:
            return verdict, f"{verdict}: {', '.join(names)}."
    return Verdict.PASS, "Every guardrail and goal holds as far as the ramp demands it."
