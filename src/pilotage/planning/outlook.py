"""The plan of a file: what its proof takes, what its traffic can show, whether it is worth it, what would be cheaper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.decision.verdict import SEEN_BY_THE_GATEWAY, judged, proof_demanded
from pilotage.decision.wording import amount_text, currency_of, list_text
from pilotage.planning.cheaper import Cheaper, cheaper
from pilotage.planning.proof import Proof, proofs
from pilotage.planning.ramp import Stop, rivals, stops
from pilotage.planning.whole import Whole, provable, whole
from pilotage.planning.worth import Worth, worths

if TYPE_CHECKING:
    from pilotage.spec.use_case import UseCase

HORIZONS = (30, 90)


class Provable(msgspec.Struct, frozen=True):
    """The smallest effect of a goal, or margin of a guardrail, that each of HORIZONS proves; None: none on its scale."""

    name: str
    smallest: tuple[float | None, ...]
    says: str


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What a file's rollout takes, as facts; `notes` says in words what is missing or worth knowing."""

    use_case: str
    unit: str
    new_units_a_day: float | None
    alpha: float
    candidates: int
    ramp: tuple[Stop, ...]
    proofs: tuple[Proof, ...]
    whole: Whole | None
    provable: tuple[Provable, ...]
    worth: tuple[Worth, ...]
    cheaper: tuple[Cheaper, ...]
    notes: tuple[str, ...]


def outlook(spec: UseCase) -> Outlook:
    """Return the plan of a use case's file."""
    found = proofs(spec)
    return Outlook(
        use_case=spec.name,
        unit=spec.unit,
        new_units_a_day=spec.traffic.new_units_a_day if spec.traffic else None,
        alpha=spec.rollout.alpha,
        candidates=rivals(spec),
        ramp=stops(spec),
        proofs=found,
        whole=whole(spec, found),
        provable=tuple(_provable(spec)),
        worth=worths(spec),
        cheaper=cheaper(spec, found),
        notes=tuple(_notes(spec, found)),
    )


def _provable(spec: UseCase) -> list[Provable]:
    if spec.traffic is None or not proof_demanded(spec):
        return []
    found = []
    for name, metric in judged(spec).items():
        if metric.source in SEEN_BY_THE_GATEWAY and not metric.today:
            continue  # what it can show hangs on a rate that is only guessed
        smallest = tuple(provable(spec, metric, days) for days in HORIZONS)
        if all(one is None for one in smallest):
            continue
        said = [
            f"{amount_text(size, metric, currency_of(spec))} in {days} days"
            for days, size in zip(HORIZONS, smallest, strict=True)
            if size is not None
        ]
        what = "a gain" if name in spec.goals else "no worse than a margin"
        found.append(Provable(name, smallest, f"{name}: {what} of {', '.join(said)}"))
    return found


def _notes(spec: UseCase, found: tuple[Proof, ...]) -> list[str]:
    notes = []
    if spec.candidate is None:
        notes.append("No candidate is named yet (`candidate`); the plan is for any.")
    if spec.status_quo is None:
        notes.append("Nothing serves today, so each metric is compared with its own `today`, which must be right.")
    if not spec.goals:
        notes.append(
            "There is no goal, so nothing is to be shown better: [goals.NAME] with today, target, minimum_effect."
        )
    if spec.traffic is None:
        notes.append(
            f"No traffic is declared, so this counts {spec.unit}s, not days: [traffic] new_units_a_day says how many come."
        )
    if not proof_demanded(spec):
        notes.append("No step demands 'prove': the ramp ends when its steps are over, whatever the goals have shown.")
    if spec.rollout.risk_budget is not None:
        notes.append("risk_budget may keep a step longer than this says; --simulate plays that too.")
    if spec.rivals:
        notes.append(f"{1 + len(spec.rivals)} candidates share the ramp and alpha; what is said is for each of them.")
    never = [one.name for one in found if one.course is not None and one.ramp_likely is None]
    if never:
        notes.append(
            f"{list_text(never)} would not be shown within ten years: too few {spec.unit}s come, or the effect is too small."
        )
    return notes
