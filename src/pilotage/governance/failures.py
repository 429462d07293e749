"""What went wrong in production, as questions to ask again: the newest requests of which users told that they failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pilotage.decision.traits import question_of
from pilotage.decision.verdict import judged
from pilotage.governance import ledger, standing
from pilotage.governance.context import Text, moment
from pilotage.governance.data import held_in, hidden

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context

MOST = 500


class Failures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    use_case: Text
    most: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 50


def failures(context: Context, actor: Actor, arguments: Failures) -> dict[str, Any]:
    """Give out the newest questions whose answer was told to have failed, with personal data redacted, as far as they are kept.

    A failure is feedback by its inference that a goal of kind `binary` was not reached, or that a guardrail of that kind was
    harmed. On record before anything is shown.
    """
    with context.store.write() as tx:
        spec = standing.standing(tx, arguments.use_case).spec
        told = {
            name: metric.direction
            for name, metric in judged(spec).items()
            if metric.kind == "binary" and metric.source == "feedback"
        }
        detail = {"metrics": sorted(told), "most": arguments.most}
        ledger.append(tx, at=moment(context, tx), actor=actor.id, action="failures", use_case=spec.name, detail=detail)
    with held_in(context) as holdings:
        rows = holdings.failures(
            spec.name,
            low=[name for name, direction in told.items() if direction == "up"],
            high=[name for name, direction in told.items() if direction == "down"],
            most=arguments.most,
        )
        texts = {one["inference"]: hidden(one) for one in holdings.texts(spec.name, [row["inference"] for row in rows])}
    found = [
        {
            "inference": row["inference"],
            "at": row["at"],
            "metric": row["metric"],
            "question": question_of(text["request"]),
            "reply": text.get("reply", ""),
        }
        for row in rows
        if "request" in (text := texts[row["inference"]])
    ]
    return {"use_case": spec.name, "failures": found, "gone": len(rows) - len(found)}
