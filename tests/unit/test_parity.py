"""Outcomes by group: what a request may say, who counts where, what is shown of whom, and when a gap is one."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit import test_observe as seen

from pilotage.counting.groups import Groups
from pilotage.counting.observe import Observer
from pilotage.decision.batch import EXPOSED, Batch, Cell
from pilotage.decision.findings import findings
from pilotage.decision.judgement import Case, judge
from pilotage.decision.observation import Observation
from pilotage.decision.parity import Parity, unequal
from pilotage.decision.proof import rollout_criteria
from pilotage.decision.statistics import Statistics, after, begin, by_group
from pilotage.gateway.segments import segment_of
from pilotage.spec.use_case import UseCase
from pilotage.status import MILLION, Allocated, RolloutStatus, Stage, UseCaseStatus

DECLARED = {"language": ("en", "de", "tr"), "age": ("young", "old")}
RELEASE = "support/new@111111111111"
ROLLOUT = RolloutStatus(
    id="r",
    candidate=RELEASE,
    baseline="support/old@000000000000",
    shares=(MILLION // 2, MILLION // 2),
    started=0,
    step_since=0,
    generation=1,
    allocations=(Allocated(generation=1, step=0, share=MILLION // 2, at=0),),
)


def use_case(**fairness: Any) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "support",
            "owner": "Ada",
            "candidate": "new",
            "goals": {"resolved": {"today": 0.5, "minimum_effect": 0.05}},
            "guardrails": {"spent": {"kind": "money", "margin": 1.0, "direction": "down"}},
            "fairness": {"segments": {"language": ["en", "de", "tr"]}, **fairness},
            "rollout": {"minimum_units": 1, "steps": [{"share": 50}, {"share": 60}]},
            "variants": {"old": {"upstream": "search"}, "new": {"upstream": "search"}},
        }
    )


def shown(spec: UseCase, groups: dict[str, tuple[tuple[int, int], tuple[int, int]]]) -> dict[str, dict[str, Parity]]:
    """Return what is known where each group has these (successes, failures) of baseline and candidate."""
    return by_group(taken(spec, groups), spec, ROLLOUT)[RELEASE]


def taken(spec: UseCase, groups: dict[str, tuple[tuple[int, int], tuple[int, int]]]) -> Statistics:
    cells: dict[str, dict[str, tuple[Cell, ...]]] = {
        name: {"resolved": (Cell(1, 1, 0, one), Cell(1, 1, 1, two))} for name, (one, two) in groups.items()
    }
    whole = tuple(
        Cell(1, 1, arm, (sum(both[arm][0] for both in groups.values()), sum(both[arm][1] for both in groups.values())))
        for arm in (0, 1)
    )
    one = Batch(
        at=1, frontier={EXPOSED: 1, "resolved": 1}, metrics={"resolved": whole}, groups=cells, heard=("resolved",)
    )
    return after(begin(spec, ROLLOUT), one, spec, ROLLOUT)


EVEN = ((500, 500), (500, 500))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("language=de", "language=de"),
        (" age = old ,language=tr", "language=tr;age=old"),
        ("language=de,language=en", "language=en"),
        ("language=DE", ""),
        ("language=", ""),
        ("=de", ""),
        ("language", ""),
        ("income=low;language=de", ""),
        ("__class__=x", ""),
        ("language=de;age=old", ""),
        ("", ""),
    ],
)
def test_only_what_the_file_declares_is_recorded(said: str, found: str) -> None:
    assert segment_of(said, DECLARED) == found


@given(st.text(max_size=60))
def test_nothing_that_a_client_makes_up_reaches_a_record(said: str) -> None:
    parts = segment_of(said, DECLARED).split(";")
    assert all(not part or part.partition("=")[2] in DECLARED[part.partition("=")[0]] for part in parts)
    assert len(Groups(DECLARED).of(";".join(parts))) == 2


def test_a_unit_counts_in_one_group_of_every_segment() -> None:
    groups = Groups(DECLARED)
    assert groups.of("language=de;age=old") == ("language=de", "age=old")
    assert groups.of("age=old") == ("language=", "age=old")
    assert groups.of("") == ("language=", "age=")
    # Written by a file that declared others.
    assert groups.of("language=fr;colour=red") == ("language=", "age=")
    assert Groups({}).of("language=de") == ()


def test_what_was_said_with_the_first_request_counts_and_groups_add_up() -> None:
    watching = Observer(grace=0)
    watching.follow({"support": seen.followed()._replace(segments={"language": ("en", "de")})})
    for number, said in enumerate(("language=de", "language=de", "language=en", "")):
        watching.feed(seen.started(f"i{number}", f"u{number}", segment=said, at=10))
        watching.feed(seen.started(f"j{number}", f"u{number}", segment="language=en", at=20))
        watching.feed(seen.outcome(f"f{number}", inference=f"i{number}", value=number % 2))
    # Read later, but it was first.
    watching.feed(seen.started("first", "u2", segment="language=de", at=5))
    watching.caught_up(seen.MATURE, 1.0)
    found = seen.batch(watching)
    sums = {group: cells["resolved"][0].sums for group, cells in found.groups.items()}
    assert {group: sum(both) for group, both in sums.items()} == {"language=": 1, "language=de": 3}
    assert found.metrics["resolved"][0].sums == tuple(map(sum, zip(*sums.values(), strict=True)))


def test_without_segments_a_batch_is_as_it_always_was() -> None:
    watching = seen.observer()
    watching.feed(seen.started("a", "ann", segment="language=de"))
    watching.caught_up(seen.MATURE, 1.0)
    assert b"groups" not in msgspec.msgpack.encode(seen.batch(watching))


def test_an_even_candidate_has_no_gap_and_a_bad_one_is_said_in_words() -> None:
    spec = use_case(margins={"resolved": 0.05})
    assert not unequal(spec, shown(spec, {"language=en": EVEN, "language=de": EVEN, "language=tr": EVEN}))
    found = shown(spec, {"language=en": EVEN, "language=de": EVEN, "language=tr": ((500, 500), (200, 800))})
    one = found["language=tr"]["resolved"]
    assert one.above
    assert one.gap_low <= one.gap <= one.gap_high < -0.05
    assert (one.value, round(one.gap, 6)) == (-0.3, -0.3)
    assert not found["language=en"]["resolved"].above
    (words,) = unequal(spec, found)
    assert words.startswith("resolved is worse for language=tr than for the others by 30")
    assert words.endswith("above the 5.0 points that fairness.margins.resolved allows")


def test_what_is_as_bad_for_everybody_is_no_gap() -> None:
    spec = use_case(margins={"resolved": 0.05})
    worse = ((500, 500), (100, 900))
    assert not unequal(spec, shown(spec, {"language=en": worse, "language=de": worse, "language=tr": worse}))
    # Nor is one that the baseline has as well.
    there = ((200, 800), (200, 800))
    assert not unequal(spec, shown(spec, {"language=en": EVEN, "language=de": EVEN, "language=tr": there}))


def test_a_better_group_is_no_gap_of_it() -> None:
    spec = use_case(margins={"resolved": 0.05})
    found = shown(spec, {"language=en": EVEN, "language=de": EVEN, "language=tr": ((500, 500), (900, 100))})
    assert not found["language=tr"]["resolved"].above
    assert found["language=en"]["resolved"].gap < 0, "what is better for some is worse for the others, beside them"


def test_small_groups_are_not_shown_nor_can_they_be_told_from_the_rest() -> None:
    spec = use_case(margins={"resolved": 0.05}, least=30)
    few, some = ((20, 9), (20, 9)), ((100, 100), (100, 100))
    found = shown(spec, {"language=en": EVEN, "language=de": some, "language=tr": few})
    hidden = {group for group, metrics in found.items() if metrics["resolved"].few}
    assert hidden == {"language=tr", "language=de"}, "the next smallest too, or it is told by subtracting"
    for group in hidden:
        assert found[group]["resolved"] == Parity(few=True)
    # One side is enough to be few.
    lopsided = shown(spec, {"language=en": EVEN, "language=de": EVEN, "language=tr": ((500, 500), (5, 5))})
    assert lopsided["language=tr"]["resolved"].few
    whole = shown(spec, {"language=en": EVEN, "language=de": some, "language=tr": ((15, 15), (15, 15))})
    assert not any(metrics["resolved"].few for metrics in whole.values())


def test_a_metric_of_which_nothing_was_said_is_not_shown() -> None:
    spec = use_case()
    statistics = msgspec.structs.replace(
        taken(spec, {"language=en": EVEN, "language=de": EVEN, "language=tr": EVEN}), heard=()
    )
    assert all("resolved" not in metrics for metrics in by_group(statistics, spec, ROLLOUT)[RELEASE].values())


def case(groups: dict[str, tuple[tuple[int, int], tuple[int, int]]]) -> Case:
    spec = use_case(margins={"resolved": 0.05})
    here = dict.fromkeys(("errors",), "errors")
    assert here
    status = UseCaseStatus(
        use_case="support", charter=spec.charter, version=1, live=ROLLOUT.baseline, candidate=RELEASE, stage=Stage.CANARY,
        rollout=ROLLOUT,
    )  # fmt: skip
    known = findings(taken(spec, groups), spec, ROLLOUT, 10)
    return Case(spec, status, ROLLOUT, known, Observation(rollout="r", at=10), [], [], 10)


def test_a_gap_holds_the_rollout_and_closes_the_gate_with_its_reason() -> None:
    uneven = case({"language=en": EVEN, "language=de": EVEN, "language=tr": ((500, 500), (200, 800))})
    decision = judge(uneven)
    assert decision.action == "hold"
    assert "resolved is worse for language=tr than for the others" in decision.reason
    assert decision.detail["parity"][RELEASE]["language=tr"]["resolved"]["above"] is True
    even = case({"language=en": EVEN, "language=de": EVEN, "language=tr": EVEN})
    assert "worse for" not in judge(even).reason
    for one, verdict in ((uneven, "fail"), (even, "pass")):
        lines = rollout_criteria(
            one.spec, one.status, RELEASE, {}, approvals=[], now=10, parity=one.findings.parity[RELEASE]
        )
        assert {line.name: str(line.verdict) for line in lines}["parity"] == verdict


def test_statistics_of_groups_are_replayed_to_the_bit() -> None:
    spec = use_case(margins={"resolved": 0.05})
    groups = {"language=en": EVEN, "language=de": ((3, 4), (5, 6)), "language=": ((1, 0), (0, 1))}
    once, again = taken(spec, groups), taken(spec, groups)
    assert msgspec.msgpack.encode(once) == msgspec.msgpack.encode(again)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(once), type=Statistics) == once


@pytest.mark.parametrize(
    ("fairness", "says"),
    [
        ({"segments": {"language": ["en"]}}, "at least 2"),
        ({"segments": {"language": ["en", "en"]}}, "names a group twice"),
        ({"segments": {"language": ["e,n", "de"]}}, "pattern"),
        ({"segments": {"language": ["e=n", "de"]}}, "pattern"),
        ({"segments": {"language": [str(n) for n in range(13)]}}, "at most 12"),
        ({"segments": {str(n): ["a", "b"] for n in "abcde"}}, "at most 4"),
        ({"segments": {}, "margins": {"resolved": 0.1}}, "segments names none"),
        ({"margins": {"resolved": 0}}, "greater than 0"),
        ({"least": 2}, "greater than or equal to 10"),
    ],
)
def test_faults_of_the_file_are_told(fairness: dict[str, Any], says: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=says):
        use_case(**fairness)


def test_groups_are_part_of_the_charter_and_a_file_without_any_keeps_its_own() -> None:
    plain = UseCase.model_validate({"name": "a", "owner": "b", "variants": {"v": {"upstream": "search"}}})
    part = plain.model_dump(mode="json", include={"goals", "guardrails", "scope", "tier", "unit", "approvals"})
    text = json.dumps(part, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert plain.charter == hashlib.sha256(text.encode()).hexdigest()[:12]
    assert use_case().charter != use_case(margins={"resolved": 0.1}).charter
