from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pilotage.serving.routing import MILLION, RoutingTable, position
from pilotage.spec.release import Release, UpstreamAddress
from pilotage.spec.route import Allocation, Route

BASELINE = Release(use_case="support", variant="faq", upstream=UpstreamAddress(kind="search"))
CANDIDATE = Release(use_case="support", variant="assistant", upstream=UpstreamAddress(kind="openai"), model="m")
RIVALS = tuple(
    Release(use_case="support", variant=name, upstream=UpstreamAddress(kind="openai"), model="m") for name in ("b", "c")
)
TABLE = RoutingTable({}, [])


def a_route(share: int | None, live: str = BASELINE.reference) -> Route:
    split = None
    if share is not None:
        split = Allocation(
            rollout="r1", baseline=BASELINE.reference, candidate=CANDIDATE.reference, step=2, share=share, generation=9
        )
    releases = {release.reference: release for release in (BASELINE, CANDIDATE)}
    return Route(use_case="support", unit="user", live=live, releases=releases, metrics={}, allocation=split)


def arm(share: int, unit: str) -> str:
    assignment = TABLE.assign(a_route(share), unit)
    assert assignment is not None
    return assignment.arm


@given(st.text(min_size=1), st.integers(0, MILLION), st.integers(0, MILLION))
def test_raising_the_share_keeps_everyone_who_was_in(unit: str, one: int, other: int) -> None:
    low, high = sorted((one, other))
    if arm(low, unit) == "candidate":
        assert arm(high, unit) == "candidate"
    assert arm(0, unit) == "baseline"
    assert arm(MILLION, unit) == "candidate"


def test_the_share_is_met() -> None:
    candidates = sum(arm(250_000, f"unit {n}") == "candidate" for n in range(20_000))
    # Five standard deviations of a binomial count.
    assert abs(candidates - 5_000) < 5 * (20_000 * 0.25 * 0.75) ** 0.5


def test_each_rollout_shuffles_anew() -> None:
    both = sum(position("r1", f"u{n}") < 500_000 and position("r2", f"u{n}") < 500_000 for n in range(20_000))
    assert abs(both - 5_000) < 5 * (20_000 * 0.25 * 0.75) ** 0.5


def test_positions_never_change() -> None:
    # Stored exposures rely on this hash: another version of it would move users between arms.
    assert [position("r1", "unit"), position("r1", "other"), position("", "")] == [291332, 524308, 801883]


def test_who_is_not_enrolled_gets_what_is_live() -> None:
    without_unit = TABLE.assign(a_route(MILLION), "")
    assert without_unit is not None
    assert (without_unit.reference, without_unit.arm, without_unit.rollout) == (BASELINE.reference, "live", "")
    no_rollout = TABLE.assign(a_route(None), "unit")
    assert no_rollout is not None
    assert (no_rollout.reference, no_rollout.arm) == (BASELINE.reference, "live")
    enrolled = TABLE.assign(a_route(MILLION), "unit")
    assert enrolled is not None
    assert (enrolled.rollout, enrolled.step, enrolled.share, enrolled.generation) == ("r1", 2, MILLION, 9)


def test_a_blind_rollout_gives_everybody_the_baseline_and_says_that_it_did() -> None:
    blind, other = (RoutingTable({}, [], frozenset({rollout})) for rollout in ("r1", "r2"))
    for unit in map(str, range(50)):
        assigned = blind.assign(a_route(MILLION), unit)
        assert assigned is not None
        assert (assigned.reference, assigned.arm) == (BASELINE.reference, "baseline")
        assert (assigned.rollout, assigned.step, assigned.share, assigned.generation) == ("r1", 2, 0, 9)
        assert other.assign(a_route(MILLION), unit) == TABLE.assign(a_route(MILLION), unit)
    assert blind.assign(a_route(MILLION), "") == TABLE.assign(a_route(MILLION), "")
    split = Allocation(rollout="r1", baseline="", candidate=CANDIDATE.reference, step=0, share=MILLION, generation=1)
    assert blind.assign(msgspec.structs.replace(a_route(None), allocation=split), "unit") is None


def a_route_of_three(share: int, *out: str) -> Route:
    route = a_route(share)
    assert route.allocation is not None
    split = msgspec.structs.replace(route.allocation, rivals=tuple(rival.reference for rival in RIVALS), out=out)
    more = {rival.reference: rival for rival in RIVALS}
    return msgspec.structs.replace(route, allocation=split, releases={**route.releases, **more})


def assigned(route: Route, table: RoutingTable = TABLE) -> dict[str, str]:
    found = {}
    for n in range(6_000):
        assignment = table.assign(route, f"u{n}")
        assert assignment is not None
        assert assignment.arm == ("baseline" if assignment.reference == BASELINE.reference else "candidate")
        found[f"u{n}"] = assignment.reference
    return found


def test_several_candidates_part_the_share_equally() -> None:
    counts: dict[str, int] = {}
    for reference in assigned(a_route_of_three(750_000)).values():
        counts[reference] = counts.get(reference, 0) + 1
    names = {BASELINE.reference, CANDIDATE.reference, *(rival.reference for rival in RIVALS)}
    assert set(counts) == names
    # Five standard deviations of a binomial count.
    assert all(abs(count - 1_500) < 5 * (6_000 * 0.25 * 0.75) ** 0.5 for count in counts.values())


def test_each_candidate_owns_a_part_and_the_first_of_it() -> None:
    share, everybody = 400_000, assigned(a_route_of_three(400_000))
    owners = (CANDIDATE.reference, *(rival.reference for rival in RIVALS))
    for unit, reference in everybody.items():
        part, place = divmod(position("r1", unit) * 3, MILLION)
        assert reference == (owners[part] if place < share else BASELINE.reference)
    more = assigned(a_route_of_three(600_000))
    assert all(more[unit] == reference for unit, reference in everybody.items() if reference != BASELINE.reference)


def test_who_is_out_gives_its_units_to_the_baseline_alone() -> None:
    before, gone = assigned(a_route_of_three(600_000)), RIVALS[0].reference
    later = assigned(a_route_of_three(600_000, gone))
    assert gone not in later.values()
    for unit, reference in before.items():
        assert later[unit] == (BASELINE.reference if reference == gone else reference)


def test_while_blind_no_candidate_is_served() -> None:
    blind = RoutingTable({}, [], frozenset({"r1"}))
    assert set(assigned(a_route_of_three(600_000), blind).values()) == {BASELINE.reference}


def test_nothing_serves_before_something_is_live() -> None:
    assert TABLE.assign(a_route(None, live=""), "unit") is None


def test_a_rollout_without_a_baseline_serves_its_share_and_nobody_else() -> None:
    route = msgspec.structs.replace(
        a_route(MILLION // 4, live=""),
        allocation=Allocation(
            rollout="r1", baseline="", candidate=CANDIDATE.reference, step=0, share=MILLION // 4, generation=1
        ),
    )
    served = [assigned for unit in range(4_000) if (assigned := TABLE.assign(route, f"u{unit}"))]
    assert {assigned.reference for assigned in served} == {CANDIDATE.reference}
    assert 900 < len(served) < 1_100
    assert TABLE.assign(route, "") is None
