"""What each variant costs, side by side, and which is the cheapest of those that pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.decision.measured import measured_criteria, newest
from pilotage.decision.verdict import Verdict, of_evidence
from pilotage.status import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.decision.rules import Rules
    from pilotage.governance.standing import Standing
    from pilotage.records import Evidence

TOLD = ("cost", "cost_a_goal", "net_value_a_month", "break_even_units_a_day")


def variant_costs(stands: Standing, evidence: Sequence[Evidence], rules: Rules, since: int) -> dict[str, Any]:
    """Return by variant what a request, a goal and a month cost, and whether it meets all that its first gate reads.

    `cheapest` is the release that costs least for a goal reached (else for a request) among those that pass: by the
    upper end of its interval, for that is what is shown. Empty where none passes.
    """
    spec, status = stands.spec, stands.status
    criteria = measured_criteria(spec, status, Stage.STAGING, rules)
    rows: list[dict[str, Any]] = []
    for release in dict.fromkeys((*status.candidates, status.live, *stands.registered.releases.values())):
        found = {name: newest(evidence, status, name, release, since=since)[0] for name in TOLD} if release else {}
        if not any(found.values()):
            continue
        facts = {name: newest(evidence, status, name, release, since=since)[0] for name in criteria}
        lacks = [name for name, fact in facts.items() if of_evidence(criteria[name], fact) is not Verdict.PASS]
        cost = found["cost"]
        rows.append(
            {
                "release": release,
                **{name: [fact.value, fact.low, fact.high] if fact else None for name, fact in found.items()},
                "a_unit": cost.detail.get("a_unit") if cost else None,
                "a_month": {
                    one: (cost.detail.get("a_month") or {}).get(one) if cost else None for one in ("1x", "10x", "100x")
                },
                "passes": not lacks,
                "lacks": lacks,
            }
        )
    passing = [row for row in rows if row["passes"]]
    by = "cost_a_goal" if all(row["cost_a_goal"] for row in passing) else "cost"
    ranked = sorted((row for row in passing if row[by]), key=lambda row: row[by][2])
    return {"variants": rows, "cheapest": ranked[0]["release"] if ranked else "", "by": by}
