"""One rollout as people look at it: what was shown as time went on, what would move it, and whether it can be trusted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.decision.reading import lines
from pilotage.decision.transition import UNDER_WAY
from pilotage.decision.verdict import judged
from pilotage.decision.wording import amount_text, currency_of, difference_text
from pilotage.errors import NotFound, Refused
from pilotage.governance import standing
from pilotage.governance.context import Text, moment
from pilotage.governance.progress import progress
from pilotage.governance.trail import Trail, begun, kept_trail
from pilotage.spec.metric import Guardrail
from pilotage.stats.claim import threshold
from pilotage.stats.tilt import ALPHA
from pilotage.status import MILLION

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.governance.progress import Progress
    from pilotage.governance.standing import Standing
    from pilotage.spec.use_case import UseCase
    from pilotage.status import Reading, RolloutStatus
    from pilotage.store.base.transaction import Transaction

_NEWEST = 2_000


class RolloutOf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rollout` empty: the newest."""

    use_case: Text
    rollout: Text = ""


def rollout(context: Context, _: Actor, arguments: RolloutOf) -> dict[str, Any]:
    """Return a rollout's points, splits, metrics and decisions; of an older one what its trail and the ledger have kept."""
    with context.store.read() as tx:
        stands = standing.standing(tx, arguments.use_case)
        known = _known(tx, stands)
        newest = stands.status.rollout
        wanted = arguments.rollout or (newest.id if newest else "")
        if not wanted:
            raise Refused(
                f"{arguments.use_case} has had no rollout yet", hint="one begins with the promotion into canary"
            )
        if wanted not in {one["id"] for one in known}:
            raise NotFound(f"{arguments.use_case} has no rollout {wanted}", hint="`rollouts` lists those it has had")
        trail = kept_trail(tx, arguments.use_case, wanted)
        now = moment(context, tx)
        here = newest if newest is not None and newest.id == wanted else None
        shown = progress(tx, here) if here is not None and here.phase in UNDER_WAY else None
        trail = trail or (begun(arguments.use_case, here) if here else None)
        return {
            "use_case": arguments.use_case,
            "unit": stands.spec.unit,
            "id": wanted,
            "rollouts": known,
            "now": now,
            "baseline": trail.baseline if trail else "",
            "candidates": list(trail.candidates) if trail else [],
            "points": msgspec.to_builtins(trail.points) if trail else [],
            "splits": _splits(trail, here, now),
            "metrics": _metrics(stands.spec, here),
            "state": None if here is None else _state(stands.spec, here, shown),
        }


def _known(tx: Transaction, stands: Standing) -> list[dict[str, Any]]:
    """Return the rollouts of a use case, the newest first, from the ledger's promotions and where they ended."""
    found: dict[str, dict[str, Any]] = {}
    for entry in tx.ledger.read(use_case=stands.status.use_case, newest=_NEWEST):
        if entry.action == "promote" and entry.detail.get("rollout"):
            key = str(entry.detail["rollout"])
            found[key] = {
                "id": key,
                "at": entry.at,
                "candidate": str(entry.detail.get("release", "")),
                "seq": entry.seq,
            }
    newest = stands.status.rollout
    if newest is not None and newest.id not in found:
        found[newest.id] = {"id": newest.id, "at": newest.started, "candidate": newest.candidate, "seq": 0}
    return sorted(found.values(), key=lambda one: -int(one["at"]))


def _splits(trail: Trail | None, here: RolloutStatus | None, now: int) -> list[tuple[int, int]]:
    """Return (time, candidates' share in millionths) wherever the share changed, and as it is at the end."""
    if here is not None:
        found = [(split.at, split.share) for split in here.allocations] or [(here.started, here.share)]
        found.append((now if here.phase in UNDER_WAY else here.last.at if here.last else now, here.share))
        return found
    if trail is None or not trail.points:
        return []
    found = [(point.at, point.share) for point in trail.points]
    kept = [one for index, one in enumerate(found) if not index or one[1] != found[index - 1][1]]
    return [*kept, found[-1]]


def _metrics(spec: UseCase, here: RolloutStatus | None) -> list[dict[str, Any]]:
    """Return what is asked of each metric: its role, the margin or smallest effect, and the log e-values that decide."""
    at = lines(spec, here) if here is not None else None
    found = []
    for name, metric in judged(spec).items():
        guards = isinstance(metric, Guardrail)
        margin = metric.margin if guards else getattr(metric, "minimum_effect", None)
        worse = 1.0 if metric.direction == "down" else -1.0
        found.append(
            {
                "name": name,
                "role": "guardrail" if guards else "goal",
                "direction": metric.direction,
                "kind": metric.kind,
                "margin": margin,
                # Where the line lies on the scale of the difference: harm beyond it, or the effect that should be reached.
                "line": None if margin is None else worse * margin if guards else -worse * margin,
                "margin_text": "" if margin is None else amount_text(margin, metric, currency_of(spec)),
                "proof_line": at.proof if at else None,
                "against_line": (at.harm if guards else at.futile)
                if at and not math.isinf(at.harm if guards else at.futile)
                else None,
            }
        )
    return found


def _state(spec: UseCase, here: RolloutStatus, shown: Progress | None) -> dict[str, Any]:
    readings = shown.readings if shown else {here.candidate: here.readings}
    steps = [{"share": round(step.share * MILLION / 100), "demands": list(step.demands)} for step in spec.rollout.steps]
    return {
        "phase": str(here.phase),
        "step": here.step,
        "share": here.share,
        "shares": list(here.shares),
        "steps": steps,
        "started": here.started,
        "step_since": here.step_since,
        "out": here.out,
        "reason": shown.reason if shown else here.last.reason if here.last else "",
        "at": shown.at if shown else here.last.at if here.last else here.started,
        "readings": {
            release: {name: _reading(spec, name, one) for name, one in metrics.items()}
            for release, metrics in readings.items()
        },
        "exposed": shown.exposed if shown else {},
        "moved": shown.moved if shown else 0,
        "late": shown.late if shown else 0,
        "splits": shown.splits if shown else {},
        "split_line": threshold(ALPHA / len(here.candidates)),
        "expected": msgspec.to_builtins(shown.expected) if shown else {},
        "minimum_units": spec.rollout.minimum_units,
        "blind_after": spec.rollout.blind_after,
    }


def _reading(spec: UseCase, name: str, one: Reading) -> dict[str, Any]:
    metric = judged(spec).get(name)
    text = difference_text(name, metric, one, currency_of(spec)) if metric is not None else ""
    return {**msgspec.structs.asdict(one), "says": text}
