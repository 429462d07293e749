from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.stats import looks


def test_looks_double() -> None:
    assert [looks.size(k) for k in range(5)] == [20, 40, 80, 160, 320]


@pytest.mark.parametrize(
    ("units", "taken", "expected"),
    [(0, 0, None), (19, 0, None), (20, 0, 0), (39, 1, None), (40, 1, 1), (300, 0, 3), (300, 4, None), (320, 4, 4)],
)
def test_a_look_is_due_when_its_size_is_first_reached(units: int, taken: int, expected: int | None) -> None:
    assert looks.due(units, taken) == expected


def test_looks_never_spend_more_than_alpha() -> None:
    assert sum(looks.spent(k, 0.05) for k in range(10_000)) < 0.05
    assert looks.spent(0, 0.05) == 0.025


@given(st.lists(st.integers(0, 10**7)))
def test_no_look_is_taken_twice(counts: list[int]) -> None:
    taken, seen = 0, []
    for units in sorted(counts):
        index = looks.due(units, taken)
        if index is not None:
            assert units >= looks.size(index)
            seen.append(index)
            taken = index + 1
    assert seen == sorted(set(seen))
