"""Numbers that carry a proof of being what they look like: cards, accounts, and what states number their people by.

Each function takes the number as it stands in a text, with its blanks and dashes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_BETWEEN = str.maketrans("", "", " -./()+")
_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")


def compact(text: str) -> str:
    return text.translate(_BETWEEN).upper()


def luhn(digits: str) -> bool:
    """Luhn's algorithm (ISO/IEC 7812-1, annex B): from the right, every second digit doubled, its digits added."""
    numbers = digits.encode()
    return (sum(numbers[-1::-2]) + sum(numbers[-2::-2].translate(_DOUBLED)) - 48 * len(numbers)) % 10 == 0


def is_card(text: str) -> bool:
    """13 to 19 digits, not all the same, that begin as cards do and pass Luhn's algorithm."""
    digits = text.translate(_BETWEEN)
    return 13 <= len(digits) <= 19 and digits[0] in "23456789" and len(set(digits)) > 1 and luhn(digits)


def is_iban(text: str) -> bool:
    """Remainder 1 modulo 97 (ISO 13616), and the length of its country where that is known."""
    number = compact(text)
    length = _IBAN_LENGTHS.get(number[:2])
    if not (len(number) == length if length else 15 <= len(number) <= 34):
        return False
    return number.isalnum() and int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 == 1


_IBAN_LENGTHS = {
    country: int(length)
    for length, countries in {
        "15": "NO",
        "16": "BE",
        "18": "DK FI FO GL NL",
        "19": "MK SI",
        "20": "AT BA EE KZ LT LU XK",
        "21": "CH HR LI LV",
        "22": "BG BH CR DE GB GE IE ME RS VA",
        "23": "AE GI IL IQ",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG",
        "25": "PT",
        "26": "IS TR",
        "27": "FR GR IT MC SM",
        "28": "AL AZ CY DO GT HU LB PL SV",
        "29": "BR EG PS QA UA",
        "30": "JO KW MU",
        "31": "MT SC",
    }.items()
    for country in countries.split()
}


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def _german(digits: str) -> bool:
    """Steuer-Identifikationsnummer: ISO 7064, MOD 11,10; one digit stands two or three times in the first ten."""
    most = max(digits[:10].count(digit) for digit in set(digits[:10]))
    if digits[0] == "0" or most not in (2, 3):
        return False
    product = 10
    for digit in digits[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def _polish(digits: str) -> bool:
    """PESEL."""
    return (_weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1))) % 10 == 0 and _day(digits[2:6], most=92)


def _belgian(digits: str) -> bool:
    """Rijksregisternummer: modulo 97, with a 2 ahead for who was born from 2000 on."""
    stem, check = digits[:9], int(digits[9:])
    return check in (97 - int(stem) % 97, 97 - int("2" + stem) % 97) and _day(digits[2:6], most=52)


def _brazilian(digits: str) -> bool:
    """CPF: two digits modulo 11."""
    if len(set(digits)) == 1:
        return False
    first = _weighted(digits[:9], tuple(range(10, 1, -1))) * 10 % 11 % 10
    second = _weighted(digits[:10], tuple(range(11, 1, -1))) * 10 % 11 % 10
    return digits[9:] == f"{first}{second}"


def _french(digits: str) -> bool:
    """NIR with its key: modulo 97."""
    return digits[0] in "1234" and 97 - int(digits[:13]) % 97 == int(digits[13:]) and "01" <= digits[3:5] <= "99"


def _dutch(digits: str) -> bool:
    """BSN: the eleven test."""
    return int(digits) > 0 and _weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def _british(digits: str) -> bool:
    """NHS number: modulo 11."""
    check = 11 - _weighted(digits[:9], tuple(range(10, 1, -1))) % 11
    return check != 10 and check % 11 == int(digits[9]) and len(set(digits)) > 1


def _swedish(digits: str) -> bool:
    return luhn(digits[-10:]) and _day(digits[-8:-4], most=12)


_DIHEDRAL = (
    "0123456789",
    "1234067895",
    "2340178956",
    "3401289567",
    "4012395678",
    "5987604321",
    "6598710432",
    "7659821043",
    "8765932104",
    "9876543210",
)
_TURNED = (
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
)


def _indian(digits: str) -> bool:
    """Aadhaar: Verhoeff's algorithm."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_DIHEDRAL[check][int(_TURNED[place % 8][int(digit)])])
    return check == 0 and digits[0] in "23456789"


def _american(digits: str) -> bool:
    """SSN: it has no check digit, only numbers that were never given out."""
    return digits[:3] not in ("000", "666") and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def _spanish(text: str) -> bool:
    """DNI and NIE: the letter is the remainder modulo 23."""
    number = text[:-1].translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == text[-1]


_ODD_LETTERS = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
_ODD = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", _ODD_LETTERS, strict=True)) | dict(
    zip("0123456789", _ODD_LETTERS, strict=False)
)


def _italian(text: str) -> bool:
    """Codice fiscale: the last letter is a weighted sum modulo 26."""
    total = sum(
        (int(sign) if sign.isdigit() else ord(sign) - 65) if place % 2 else _ODD[sign]
        for place, sign in enumerate(text[:15])
    )
    return chr(65 + total % 26) == text[15]


def _day(month_and_day: str, *, most: int) -> bool:
    """Whether four digits are a month and a day; some countries add to the month, or to the day."""
    month, day = int(month_and_day[:2]), int(month_and_day[2:])
    return (1 <= month % 20 <= 12 or month == 0) and month <= most and 0 <= day % 60 <= 31


def _formed(pattern: str) -> Callable[[str], bool]:
    return lambda text, form=re.compile(pattern): form.fullmatch(text) is not None  # type: ignore[misc]


_BARE = _formed(r"\d+")

# Which numbers prove themselves only beside the word for them: a check digit lets one in ten numbers through.
_WRITTEN: tuple[tuple[Callable[[str], bool], int, Callable[[str], bool], tuple[str, ...]], ...] = (
    (_formed(r"\d{3}-\d{2}-\d{4}"), 9, _american, ()),
    (_formed(r"\d{3}[ -]?\d{2}[ -]?\d{4}"), 9, _american, ("ssn", "social security")),
    (_formed(r"\d{3}\.\d{3}\.\d{3}-\d{2}"), 11, _brazilian, ()),
    (_BARE, 11, _brazilian, ("cpf",)),
    (_formed(r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}"), 11, _belgian, ()),
    (_BARE, 11, _belgian, ("rijksregister", "registre national", "national number", "insz", "niss")),
    (_formed(r"[1-4] ?\d{2} ?\d{2} ?\d{2} ?\d{3} ?\d{3} ?\d{2}"), 15, _french, ()),
    (_formed(r"\d{2} ?\d{3} ?\d{3} ?\d{3}"), 11, _german, ("steuer", "tax", "idnr", "identifikationsnummer", "tin")),
    (_BARE, 11, _polish, ("pesel",)),
    (_formed(r"\d{4} ?\d{2} ?\d{3}|\d{3} ?\d{3} ?\d{3}|\d{9}"), 9, _dutch, ("bsn", "burgerservice", "sofinummer")),
    (_formed(r"\d{3}[ -]?\d{3}[ -]?\d{4}"), 10, _british, ("nhs",)),
    (_formed(r"\d{6}[-+]\d{4}"), 10, _swedish, ()),
    (_formed(r"(?:19|20)\d{6}-?\d{4}"), 12, _swedish, ()),
    (_formed(r"\d{4}[ -]?\d{4}[ -]?\d{4}"), 12, _indian, ("aadhaar", "aadhar", "uidai")),
)


_BY_LENGTH = {length: [row for row in _WRITTEN if row[1] == length] for length in {row[1] for row in _WRITTEN}}


def is_national(text: str, before: str) -> bool:
    """Whether digits, as written after the words `before` (small letters), number a person in some country."""
    digits = text.translate(_BETWEEN)
    for formed, _, right, words in _BY_LENGTH.get(len(digits), ()):
        if (not words or any(word in before for word in words)) and formed(text) and right(digits):
            return True
    return False


_LETTERED: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...] = (
    (re.compile(r"[XYZ]?\d{7,8}[A-Z]"), lambda text: len(text) == 9 and _spanish(text)),
    (re.compile(r"[A-Z]{6}[0-9A-Z]{2}[A-EHLMPRST][0-9A-Z]{2}[A-Z][0-9A-Z]{3}[A-Z]"), _italian),
    (
        re.compile(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]"),
        lambda text: text[:2] not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ"),
    ),
)


def is_national_lettered(text: str) -> bool:
    """Whether digits and letters number a person: Spain, Italy, and Britain's insurance number (which has no check)."""
    number = compact(text)
    return any(form.fullmatch(number) is not None and right(number) for form, right in _LETTERED)
