"""A provider's declared quota beside the declared peak."""

from __future__ import annotations

from typing import Any

import pytest

from pilotage.evaluation.client import Reply
from pilotage.evaluation.plan import Plan
from pilotage.staging.quota import ceilings
from pilotage.staging.replay import Sent

RELEASE = "support/model@111111111111"


def plan(quota: dict[str, Any]) -> Plan:
    spec = {"variants": {"model": {"upstream": "mine"}}, "upstreams": {"mine": {"quota": quota}}}
    return Plan(use_case="support", charter="c", candidate=RELEASE, spec=spec)


def sent(tokens: int | None) -> Sent:
    reply = Reply(latency=0.1, status=200, text="x", input_tokens=tokens, output_tokens=tokens)
    return Sent(scheduled=0.0, started=0.0, finished=0.1, reply=reply)


def test_the_lowest_quota_comes_first_and_says_whether_it_limits() -> None:
    found = ceilings(plan({"requests_a_minute": 600, "tokens_a_minute": 12_000}), [sent(50), sent(50), sent(None)], 4.0)
    assert [(one.name, one.rate) for one in found] == [("quota of tokens", 2.0), ("quota of requests", 10.0)]
    assert "at mine limits: 12,000 tokens a minute at 100 a request let 2 a second come" in found[0].says
    assert "does not limit" in found[1].says


@pytest.mark.parametrize("quota", [{}, {"tokens_a_minute": 100}])
def test_what_is_not_declared_or_not_counted_is_no_ceiling(quota: dict[str, Any]) -> None:
    assert ceilings(plan(quota), [sent(None)], 4.0) == []
    assert ceilings(Plan(use_case="s", charter="c", candidate=RELEASE), [sent(1)], 4.0) == []
