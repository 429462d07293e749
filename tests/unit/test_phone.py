"""Phone numbers by their countries' plans, with the package that holds these: its own example of each country is found."""

from __future__ import annotations

import datetime as dt

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat

from pilotage.guardrails.look import Timer
from pilotage.guardrails.personal_data import PersonalData, redact
from pilotage.guardrails.phone import Phones
from pilotage.guardrails.window import Window

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
LEAST = 7
"""Digits of the shortest number that is looked for; a dozen islands have shorter ones at home."""


def clean(text: str, *regions: str) -> str:
    finder = PersonalData(("phone",), Phones(regions))
    return Window(finder, lambda find, _: f"[{find.kind}]").feed(text, Timer(60), last=True)


def test_every_countrys_own_example_is_found_as_people_write_it() -> None:
    assert len(REGIONS) > 240
    short = set()
    for region in REGIONS:
        number = phonenumbers.example_number(region)
        assert number is not None
        for form in (PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.NATIONAL):
            written = phonenumbers.format_number(number, form)
            if sum(sign.isdigit() for sign in written) < LEAST:
                assert form == PhoneNumberFormat.NATIONAL
                short.add(region)
                continue
            assert clean(f"Call {written} today", region) == "Call [phone] today", (region, written)
    assert len(short) <= 20


@pytest.mark.parametrize(
    ("text", "regions", "found"),
    [
        ("+33 1 42 68 53 00", (), True),
        ("01 42 68 53 00", ("FR",), True),
        ("01 42 68 53 00", ("US",), False),
        ("(202) 555-0143", ("DE", "US"), True),
        # No plan has these: of an area, an exchange or a country that there is not.
        ("(111) 555-0143", ("US",), False),
        ("+999 30 901820", ("DE",), False),
        ("+1 111 555 0143", ("US",), False),
        # Plans have these, but nobody writes phone numbers so without a word for them.
        ("order 2025550143", ("US",), False),
        ("mobile 2025550143", ("US",), True),
        ("order no 48213377", ("DE",), False),
    ],
)
def test_what_no_plan_has_or_nobody_writes_so_stays(text: str, regions: tuple[str, ...], found: bool) -> None:
    assert ("[phone]" in clean(text, *regions)) is found


def test_dates_are_no_phone_numbers_in_any_country() -> None:
    days = [dt.date(2020, 1, 1) + dt.timedelta(one) for one in range(0, 2_500, 231)]
    texts = [
        f"on {day.strftime(form)} at noon"
        for day in days
        for form in ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y 10:30", "%d-%m-%Y")
    ]
    assert [text for text in texts if redact(text)[1]] == []
    for region in ("", *REGIONS[::9], "US", "GB", "DE", "FR", "LB", "FI"):
        finder = PersonalData(("phone",), Phones((region,)) if region else None)
        window = Window(finder, lambda find, _: f"[{find.kind}]")
        assert "[phone]" not in window.feed("; ".join(texts), Timer(60), last=True), region
