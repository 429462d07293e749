from __future__ import annotations

import pytest

from pilotage.clock import FrozenClock
from pilotage.records import Finished, Started
from pilotage.serving.chat import parse
from pilotage.serving.exposure import Exposure
from pilotage.serving.outcome import Outcome
from pilotage.serving.routing import Assignment
from pilotage.spec.release import Release, UpstreamAddress
from pilotage.spec.route import Route
from pilotage.store.base.recorded import PlainText
from pilotage.upstream.chat import Choice, Completion, Usage

RELEASE = Release(
    use_case="help",
    variant="a",
    upstream=UpstreamAddress(kind="openai"),
    model="m",
    input_price=1_000_000,
    output_price=2_000_000,
)


class Kept:
    """Keeps what is recorded."""

    def __init__(self) -> None:
        self.ends: list[Finished] = []

    def started(self, event: Started) -> None:
        del event

    def finished(self, event: Finished, text: PlainText | None, *, redact: bool) -> None:
        del text, redact
        self.ends.append(event)


def outcome() -> tuple[Outcome, Kept]:
    route = Route(use_case="help", unit="user", live=RELEASE.reference, releases={}, metrics={})
    exposure = Exposure(id="i", route=route, assignment=Assignment(RELEASE, RELEASE.reference, "live"), received=0)
    request = parse(b'{"model": "help", "messages": [{"role": "user", "content": "hello"}]}')
    kept = Kept()
    return Outcome(exposure, request, kept, FrozenClock()), kept


@pytest.mark.parametrize(
    ("said", "kept_as"), [(1_000_000, 1_000_000), (0, 0), (None, 0), (-(10**12), 0), (10**30, 1 << 40)]
)
def test_tokens_are_kept_as_far_as_they_can_be_true(said: int | None, kept_as: int) -> None:
    made, kept = outcome()
    made.answering(RELEASE.reference, RELEASE)
    made.read(Completion(choices=[Choice(finish_reason="x" * 9_999)], usage=Usage(said, 0), model="m" * 2_000_000))
    made.finish(200)
    (end,) = kept.ends
    assert (end.input_tokens, end.cost) == (kept_as, kept_as)
    assert (len(end.model), len(end.finish_reason)) == (200, 200)


def test_whoever_gives_up_before_anything_came_met_an_error() -> None:
    made, kept = outcome()
    made.finish(499, cancelled=True)
    made.finish(200)
    assert [(end.error, end.cancelled, end.served) for end in kept.ends] == [("abandoned", True, "")]


def test_whoever_leaves_in_the_middle_of_an_answer_met_none() -> None:
    made, kept = outcome()
    made.answering(RELEASE.reference, RELEASE)
    made.finish(200, cancelled=True)
    assert [(end.error, end.served) for end in kept.ends] == [("", RELEASE.reference)]
