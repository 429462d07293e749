"""The measures that Pilotage records as evidence, by name: what a gate can demand without evidence of one's own."""

from __future__ import annotations

import difflib

EVALUATED = (
    "quality",
    "quality_difference",
    "latency",
    "cost",
    "cost_a_goal",
    "net_value_a_month",
    "break_even_units_a_day",
)
"""By `evaluate` on the cases."""
SUITES = (
    "judge",
    "judge_difference",
    "preference",
    "security",
    "over_refusal",
    "security_garak",
    "security_promptfoo",
    "privacy",
    "privacy_at_rest",
    "redaction_recall",
    "redaction_recall_all",
    "redaction_precision",
    "bias",
)
"""By `evaluate --suite`, and imported from other tools. `bias_ATTRIBUTE` is one for each attribute of the templates."""
REHEARSED = (
    "replay_errors",
    "replay_latency",
    "replay_fidelity",
    "day_errors",
    "day_latency",
    "day_fidelity",
    "fault_failures",
    "fault_recovery",
    "scalability",
    "shadow_errors",
    "shadow_latency",
    "shadow_slower",
    "shadow_cost",
    "shadow_refusals",
)
"""By `rehearse`."""
MEASURES = (*EVALUATED, *SUITES, *REHEARSED)
_ALIKE = 0.8
"""Above this share of like letters (difflib's ratio) a name is a slip of the pen."""


def slip(name: str) -> str:
    """Return the measure that a name was probably meant for; empty where it is one, or like none.

    A name that is like none may be of evidence that a team records itself.
    """
    if name in MEASURES:
        return ""
    return next(iter(difflib.get_close_matches(name[:80], MEASURES, 1, _ALIKE)), "")


def ours(name: str) -> bool:
    """Return whether Pilotage itself records this measure."""
    return name in MEASURES or name.startswith("bias_")
