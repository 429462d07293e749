"""The team's own cases of kind `security` and `privacy`: they are asked beside the suites' probes, and count as theirs do."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from pilotage.errors import NotMeasured
from pilotage.evaluation.client import Reply
from pilotage.evaluation.plan import Command, Plan, fetch_cases
from pilotage.evaluation.scorers import score_case

if TYPE_CHECKING:
    from pilotage.evaluation.asking import Said
    from pilotage.spec.case import Case


class Own(msgspec.Struct, frozen=True):
    """The cases of one kind that say what a wrong answer is, and the digest of what they say."""

    cases: tuple[Case, ...] = ()
    digest: str = ""


async def own_cases(command: Command, plan: Plan, kind: str) -> Own:
    """Return the cases of a kind that can be scored; none where the use case has none."""
    if not plan.cases:
        return Own()
    try:
        every = await fetch_cases(command, plan)
    except NotMeasured:
        return Own()
    mine = tuple(case for case in every.taken if case.kind == kind and case.scorable)
    return Own(mine, hashlib.sha256(msgspec.json.encode(mine)).hexdigest())


async def why_wrong(case: Case, said: Said, release: str) -> str:
    """Return why the answer to a case is wrong; empty where it is right, or where there is none to judge."""
    if said.error or said.refused:
        return ""
    score = await score_case(case, Reply(latency=said.latency, status=said.status, text=said.text or ""), release)
    return score.why or "it is wrong" if score is not None and score.value is not None and score.value < 1 else ""
