from __future__ import annotations

import pytest

from pilotage.spec.route import MetricDoor


@pytest.mark.parametrize(
    ("door", "value", "fault"),
    [
        (MetricDoor(kind="binary"), 1, ""),
        (MetricDoor(kind="binary"), 0.5, "0.5 is not 0 or 1"),
        (MetricDoor(kind="count"), 3, ""),
        (MetricDoor(kind="count"), 3.5, "3.5 is not a whole number"),
        (MetricDoor(kind="rating", low=1, high=5), 5, ""),
        (MetricDoor(kind="rating", low=1, high=5), 6, "6 lies outside 1 to 5"),
        (MetricDoor(kind="money", low=0), -1, "-1 lies outside 0 to inf"),
        (MetricDoor(kind="money"), 1e12, ""),
        (MetricDoor(kind="money"), 1e200, "1e+200 is larger than any outcome can be; the most is 1e+12"),
        (MetricDoor(kind="money"), float("nan"), "nan is not a finite number"),
        (MetricDoor(kind="money"), float("inf"), "inf is not a finite number"),
    ],
)
def test_the_feedback_door(door: MetricDoor, value: float, fault: str) -> None:
    assert door.fault(value) == fault
