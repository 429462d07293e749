"""Shadow traffic through a real worker: copied, recorded apart, never returned, and capped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotage.records import Finished, Started
from pilotage.spec.route import ShadowPlan
from tests.integration.gateway_rig import Provider, Reply, Rig, release, until


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "workspace")
    yield made
    made.close()


def copies(rig: Rig) -> list[tuple[Started, Finished]]:
    """The copies that have ended, each with its start."""
    events = rig.events()
    begun = {event.id: event for event in events if isinstance(event, Started) and event.source == "shadow"}
    return [(begun[event.id], event) for event in events if isinstance(event, Finished) and event.id in begun]


def copied(rig: Rig, **more: Any) -> tuple[Reply, Started, Finished]:
    """Ask until a request has been copied: a worker that is held up copies nothing for a while."""

    def ask() -> tuple[Reply, Started, Finished] | None:
        answer = rig.chat("help", **more)
        inference = answer.headers["x-pilotage-inference"].split(".")[1]
        for _ in range(10):
            found = [one for one in copies(rig) if one[0].copy_of == inference]
            if found:
                return answer, *found[0]
            time.sleep(0.02)
        return None

    found = until(ask, seconds=60)
    assert found is not None
    return found


def test_live_requests_are_copied_and_nobody_gets_the_copies(rig: Rig, provider: Provider) -> None:
    live = release("help", provider.url("ok"), "before")
    candidate = release("help", provider.url("error-first"), "after", fallbacks=(live.reference,), input_price=1)
    plan = ShadowPlan(releases=(candidate.reference,), share=1_000_000, a_day=10**9)
    rig.route("help", live, candidate, shadow=plan)
    rig.start()
    answer, copy, ended = copied(rig, headers={"x-pilotage-unit": "anna"})
    assert (answer.status, answer.headers["x-pilotage-release"]) == (200, live.reference)
    started, _ = rig.record(answer)
    assert (copy.release, copy.arm, copy.source) == (candidate.reference, "shadow", "shadow")
    # It belongs to the unit, so that it is erased with it, and to no rollout, so that it counts in none.
    assert (copy.unit, copy.rollout, copy.key) == (started.unit, "", "")
    assert ended.error
    assert not ended.served, "what its fallback would have answered is known"

    pinned = rig.chat(candidate.reference, key=rig.operator)
    streamed, copy, _ = copied(rig, stream=True)
    assert streamed.status == 200
    assert copy.streamed
    wanted = pinned.headers["x-pilotage-inference"].split(".")[1]
    assert wanted not in {one.copy_of for one, _ in copies(rig)}, "pinned requests are not copied"


def test_copies_end_where_the_day_has_cost_enough(rig: Rig, provider: Provider) -> None:
    live = release("help", provider.url("ok"), "before")
    candidate = release("help", provider.url("ok"), "after", input_price=1_000_000, output_price=10_000_000)
    plan = ShadowPlan(releases=(candidate.reference,), share=1_000_000, a_day=25_000)
    rig.route("help", live, candidate, shadow=plan)
    rig.start()
    copied(rig)
    for _ in range(60):
        assert rig.chat("help", max_tokens=1_000).status == 200
    spent = sum(ended.cost for _, ended in copies(rig))
    assert 0 < spent <= 25_000
    # A worker that starts anew knows what was spent.
    assert until(lambda: list((rig.workspace.run).glob("*.purse")))
    rig.stop()
    rig.start()
    for _ in range(40):
        assert rig.chat("help", max_tokens=1_000).status == 200
    assert sum(ended.cost for _, ended in copies(rig)) <= 25_000


def test_a_slow_candidate_holds_no_live_request_up(rig: Rig, provider: Provider) -> None:
    live = release("help", provider.url("ok"), "before")
    candidate = release("help", provider.url("hang"), "after", input_price=0, output_price=0)
    plan = ShadowPlan(releases=(candidate.reference,), share=1_000_000, a_day=10**9, at_once=2)
    rig.route("help", live, candidate, shadow=plan)
    rig.start()
    begun = until(
        lambda: (
            rig.chat("help").status == 200
            and [one for one in rig.events() if isinstance(one, Started) and one.source == "shadow"]
        )
    )
    assert begun
    for _ in range(20):
        assert rig.chat("help").status == 200
    begun = [one for one in rig.events() if isinstance(one, Started) and one.source == "shadow"]
    assert len(begun) <= 2, "no more than two at once, and these do not end"
    assert rig.stop() == 0, "what hangs is dropped, and recorded"
    assert {ended.error for _, ended in copies(rig)} == {"abandoned"}
