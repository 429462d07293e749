from __future__ import annotations

import pytest

from pilotage.guardrails.check_digits import is_card, is_iban, is_national, is_national_lettered

# Examples that the authorities publish, or that their algorithms' descriptions work through.
NUMBERS = [
    ("86095742719", "steuer-id: "),
    ("86 095 742 719", "my tax number is "),
    ("44051401359", "pesel "),
    ("85.07.30-033.28", ""),
    ("2 55 08 14 168 025 38", ""),
    ("111222333", "bsn "),
    ("943 476 5919", "nhs number "),
    ("811228-9874", ""),
    ("9999 4105 7058", "aadhaar "),
    ("529.982.247-25", ""),
    ("123-45-6789", ""),
]


@pytest.mark.parametrize(("number", "before"), NUMBERS)
def test_published_numbers_of_people_pass(number: str, before: str) -> None:
    assert is_national(number, before)


@pytest.mark.parametrize(("number", "before"), [row for row in NUMBERS if row[0] != "123-45-6789"])
def test_their_neighbours_do_not(number: str, before: str) -> None:
    assert not is_national(number[:-1] + str((int(number[-1]) + 1) % 10), before)


@pytest.mark.parametrize("number", ["000-12-3456", "666-12-3456", "912-12-3456", "123-00-4567", "123-45-0000"])
def test_numbers_that_were_never_given_out_do_not(number: str) -> None:
    assert not is_national(number, "ssn ")


@pytest.mark.parametrize("number", ["86095742719", "44051401359", "111222333", "9434765919"])
def test_bare_digits_with_one_check_digit_need_the_word_for_them(number: str) -> None:
    assert not is_national(number, "your order number is ")


@pytest.mark.parametrize("number", ["12345678Z", "X1234567L", "RSSMRA85T10A562S", "AB123456C", "AB 12 34 56 C"])
def test_numbers_with_letters_pass(number: str) -> None:
    assert is_national_lettered(number)


@pytest.mark.parametrize("number", ["12345678A", "X1234567M", "RSSMRA85T10A562T", "GB123456C", "AB123456E", "1234567"])
def test_wrong_letters_do_not(number: str) -> None:
    assert not is_national_lettered(number)


def test_lengths_of_countries_count() -> None:
    assert is_iban("DE89370400440532013000")
    assert not is_iban("DE8937040044053201300")
    assert not is_card("0000000000000000")
