"""Finds personal data in text by its form, and checks what can be checked: cards by Luhn, IBANs modulo 97.

Names and postal addresses have no form of their own and are not found.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable

import msgspec


class Hit(msgspec.Struct, frozen=True):
    """How many of one kind were found."""

    kind: str
    count: int


def _digits(text: str) -> list[int]:
    return [int(character) for character in text if character.isdigit()]


def is_card(text: str) -> bool:
    """Check 13 to 19 digits by Luhn's algorithm (ISO/IEC 7812-1, annex B)."""
    digits = _digits(text)
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Check the remainder modulo 97 (ISO 13616)."""
    compact = text.replace(" ", "").upper()
    if not 15 <= len(compact) <= 34:
        return False
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1


def is_address(text: str) -> bool:
    if not any(character.isdigit() for character in text):
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_phone(text: str) -> bool:
    return 7 <= len(_digits(text)) <= 15 and (text.startswith(("+", "0", "(")) or len(_digits(text)) >= 10)


_GROUP = re.compile(r"[^ -]+")
_NO_MORE = r"(?![\w-])"
_PATTERNS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool] | None], ...] = (
    ("email", re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[a-zA-Z]{2,24}\b"), None),
    (
        "api_key",
        re.compile(
            r"(?<!\w)(?:sk-[\w-]{16,200}|plt_[0-9a-f]{12}_[\w-]{20,100}|gh[pousr]_\w{30,100}|AKIA[0-9A-Z]{16}"
            r"|AIza[\w-]{35}|xox[abprs]-[\w-]{10,100})" + _NO_MORE
        ),
        None,
    ),
    (
        "iban",
        re.compile(r"(?<!\w)[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?" + _NO_MORE),
        is_iban,
    ),
    ("card", re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}" + _NO_MORE), is_card),
    ("ip", re.compile(r"(?<![\w.:])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d|\w)"), is_address),
    ("ip", re.compile(r"(?<![\w.:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])"), is_address),
    ("phone", re.compile(r"(?<![\w+.-])(?:\+|\(?0)?\d(?:[ ./()-]{0,2}\d){6,14}" + _NO_MORE), is_phone),
)


def redact(text: str) -> tuple[str, tuple[Hit, ...]]:
    """Return the text with each find replaced by its kind, such as `[email]`, and how many of each were found."""
    found: Counter[str] = Counter()
    for kind, pattern, check in _PATTERNS:

        def replace(match: re.Match[str], kind: str = kind, check: Callable[[str], bool] | None = check) -> str:
            span = _valid_span(match[0], check)
            if span is None:
                return match[0]
            found[kind] += 1
            return f"{match[0][: span[0]]}[{kind}]{match[0][span[1] :]}"

        text = pattern.sub(replace, text)
    return text, tuple(Hit(kind, count) for kind, count in found.items())


def _valid_span(text: str, check: Callable[[str], bool] | None) -> tuple[int, int] | None:
    """Return the longest run of whole groups that passes its check.

    A pattern may have taken a neighbour in: the month after a card's number, a word after an IBAN.
    """
    if check is None or check(text):
        return 0, len(text)
    groups = [match.span() for match in _GROUP.finditer(text)]
    spans = [(first[0], last[1]) for n, first in enumerate(groups) for last in groups[n:]]
    spans.sort(key=lambda span: span[0] - span[1])
    return next((span for span in spans if check(text[span[0] : span[1]])), None)
