"""What an evaluation leaves behind each number: every case with its score, where its answers lie already."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.evaluation.dataset import answer_key
from pilotage.evaluation.keeper import MOST
from pilotage.evaluation.plan import call
from pilotage.governance.compared import Kept, Scored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.evaluation.answers import Answers
    from pilotage.evaluation.measures import Judged, Measure
    from pilotage.evaluation.plan import Command, Plan


async def keep_scores(
    command: Command,
    plan: Plan,
    judged: Sequence[Judged],
    sides: tuple[Answers, Answers | None],
    measures: Sequence[Measure],
) -> list[Measure]:
    """Keep the scores under a name of their own, and return the measures with that name in the one of quality.

    A run's answers are kept once for good; scores are this run's, for scorers change.
    """
    answers, before = sides
    if not any(measure.measure == "quality" for measure in measures):
        return list(measures)
    kept = Kept(f"scores {secrets.token_hex(16)}", answers.run, before.run if before is not None else "")
    rows = [(one.case.id, _scored(one)) for one in judged]
    for start in range(0, len(rows), MOST):
        part = {case: msgspec.to_builtins(one) for case, one in rows[start : start + MOST]}
        await call(command, "record_results", {"use_case": plan.use_case, "run": kept.scores, "results": part})
    detail: dict[str, Any] = {"kept": msgspec.to_builtins(kept), "beside": before.release if before is not None else ""}
    return [
        msgspec.structs.replace(measure, detail={**measure.detail, **detail})
        if measure.measure == "quality"
        else measure
        for measure in measures
    ]


def _scored(one: Judged) -> Scored:
    return Scored(
        key=answer_key(one.case),
        question=one.case.text,
        kind=one.case.kind,
        scenario=one.case.scenario,
        value=one.value,
        why=one.score.why if one.score else "",
        before=one.value_before,
        error=one.reply.error,
    )
