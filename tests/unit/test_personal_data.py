from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.guardrails.check_digits import is_card, is_iban
from pilotage.guardrails.personal_data import Hit, redact

KEY = "sk-" + "a1B2" * 8


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("write to jane.doe+shop@mail.example.co.uk, please", "write to [email], please"),
        ("call +49 30 1234567 now", "call [phone] now"),
        ("call (030) 123-4567", "call [phone]"),
        ("call 555-123-4567.", "call [phone]."),
        ("card 4111 1111 1111 1111 exp 12/27", "card [card] exp 12/27"),
        ("card 4111 1111 1111 1111 12/27", "card [card] 12/27"),
        ("order 12 5555-5555-5555-4444", "order 12 [card]"),
        ("IBAN DE89 3704 0044 0532 0130 00 and more", "IBAN [iban] and more"),
        ("IBAN BE71 0961 2345 6769 AND MORE", "IBAN [iban] AND MORE"),
        ("gb82west12345698765432", "[iban]"),
        ("from 192.168.10.254 and 2001:db8::ff00:42:8329", "from [ip] and [ip]"),
        (f"my key is {KEY}!", "my key is [secret]!"),
        ("plt_0123456789ab_" + "x" * 43, "[secret]"),
    ],
)
def test_personal_data_is_replaced_by_its_kind(text: str, clean: str) -> None:
    assert redact(text)[0] == clean


@pytest.mark.parametrize(
    "text",
    [
        "Order 123456 of 2026-03-14 at 10:30:45 costs 19.99",
        "version 1.2.3 or 300.1.2.3",
        "std::vector :: list",
        "@home and a@b",
        "DE00 3704 0044",
        "room 4111",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert redact(text) == (text, ())


def test_finds_are_counted_by_kind() -> None:
    assert redact("a@b.example, c@d.example, 10.0.0.1")[1] == (Hit("email", 2), Hit("ip", 1))


@pytest.mark.parametrize("number", ["4111111111111111", "5500005555555559", "378282246310005", "6011000990139424"])
def test_published_test_cards_pass_luhn_and_their_neighbours_do_not(number: str) -> None:
    assert is_card(number)
    assert not is_card(number[:-1] + str((int(number[-1]) + 1) % 10))


@pytest.mark.parametrize(
    "iban", ["GB82 WEST 1234 5698 7654 32", "FR14 2004 1010 0505 0001 3M02 606", "NO93 8601 1117 947"]
)
def test_published_ibans_pass_and_their_neighbours_do_not(iban: str) -> None:
    assert is_iban(iban)
    assert not is_iban(iban[:-1] + str((int(iban[-1]) + 1) % 10))


@given(st.text())
def test_any_text_is_taken_and_redacting_again_finds_nothing_of_what_was_checked(text: str) -> None:
    clean, hits = redact(text)
    assert (clean == text) == (not hits)


def test_long_text_is_read_in_one_pass() -> None:
    # Patterns that backtrack without bound would not return from these.
    for text in ("1 " * 200_000, "a." * 200_000, ":" * 200_000, "a@" + "b." * 200_000, "DE89 " * 100_000):
        redact(text)
