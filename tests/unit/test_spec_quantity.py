import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.spec.quantity import duration_text, parse_duration

HUNDRED_YEARS = 36_525 * 86_400 * 1_000_000


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("90s", 90_000_000),
        ("15m", 900_000_000),
        ("6h", 21_600_000_000),
        ("7 d", 604_800_000_000),
        ("1.5s", 1_500_000),
        ("0.000001s", 1),
        ("4.35s", 4_350_000),
        ("0.5h", 1_800_000_000),
        ("0s", 0),
    ],
)
def test_durations_as_people_write_them(text: str, microseconds: int) -> None:
    assert parse_duration(text) == microseconds


@pytest.mark.parametrize(
    "text", ["", "6", "h", "6 hours", "-1s", "1e3s", "٣h", "9" * 400 + "s", "40000d", 6, None, True]
)
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"duration|hundred years"):
        parse_duration(text)


@given(st.integers(0, HUNDRED_YEARS))
def test_text_reads_back_exactly(microseconds: int) -> None:
    assert parse_duration(duration_text(microseconds)) == microseconds
