"""A gate's lines on the organisation's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.decision.criterion import CriterionResult
from pilotage.decision.verdict import Verdict
from pilotage.decision.wording import list_text

if TYPE_CHECKING:
    from pilotage.decision.rules import Rules
    from pilotage.spec.use_case import UseCase


def policy_criteria(rules: Rules) -> list[CriterionResult]:
    """Return the line on the organisation's rules; none where nobody set any and none of the law is broken."""
    if rules.breaches:
        says = f"Broken: {'; '.join(rules.breaches)}."
        opens_with = "Change the file as it says and `pilotage apply` it; only the organisation changes its rules."
        return [CriterionResult(name="policy", verdict=Verdict.FAIL, says=says, opens_with=opens_with)]
    if not rules.organisation:
        return []
    says = f"It keeps every rule of {rules.organisation}."
    return [CriterionResult(name="policy", verdict=Verdict.PASS, says=says)]


def production_criteria(spec: UseCase, rules: Rules) -> list[CriterionResult]:
    """Return what the organisation asks before everybody gets it: somebody on call, and enough of each provider's quota."""
    found = []
    if rules.on_call is not None:
        if rules.on_call:
            line = CriterionResult(
                name="on_call", verdict=Verdict.PASS, says=f"{list_text(list(rules.on_call))} answer when it fails."
            )
        else:
            line = CriterionResult(
                name="on_call",
                verdict=Verdict.MISSING,
                says=f"Nobody is on call for {spec.owner}.",
                opens_with=f'Write "{spec.owner}" = ["..."] under [on_call] in organisation.toml.',
            )
        found.append(line)
    peak = spec.traffic.peak_requests_a_second if spec.traffic is not None else None
    for provider, (quota, needed) in sorted(rules.quotas.items()):
        name = f"quota-{provider}"
        if peak is None:
            says = f"{provider} lets {quota:g} requests a second through, and the file does not say how many its peak takes."
            opens_with = "Write traffic.peak_requests_a_second in usecase.toml."
            found.append(CriterionResult(name=name, verdict=Verdict.MISSING, says=says, opens_with=opens_with))
            continue
        says = f"{provider} lets {quota:g} requests a second through; the peaks of all who use it take {needed:g}."
        enough = needed <= quota
        opens_with = "" if enough else f"Raise the quota at {provider}, then requests_a_second in organisation.toml."
        verdict = Verdict.PASS if enough else Verdict.FAIL
        found.append(CriterionResult(name=name, verdict=verdict, says=says, opens_with=opens_with))
    return found
