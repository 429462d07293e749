"""What personal data looks like: for each kind the patterns that it has, and whether what has one is what it seems.

All patterns are RE2's: none takes longer than in proportion to the text, and every match is short.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, NamedTuple

from pilotage.guardrails.check_digits import is_card, is_iban, is_national, is_national_lettered

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("secret", "email", "iban", "card", "national_number", "ip", "phone")
"""In the order in which they are looked for: what was found as one thing is not looked at for another."""

_GROUP = re.compile(r"[0-9A-Za-z]+")
_NO_DIGITS = str.maketrans("", "", " ./()+-")
_DATE = re.compile(
    r"(?:19|20)\d\d[-/. ](?:0?[1-9]|1[0-2])[-/. ](?:0?[1-9]|[12]\d|3[01])(?!\d)"
    r"|(?:0?[1-9]|[12]\d|3[01])[-/. ](?:0?[1-9]|[12]\d|3[01])[-/. ](?:19|20)\d\d(?!\d)"
)
_SLASHED = re.compile(r"\d/$")
"""What follows is the rest of a date, or of a number that was none."""
_CALLED = re.compile(r"tel[.:e ]|phone|call|mobile|cell|fax|sms|whatsapp|reach|dial|handy|rufnummer|\bat $")
_PREFIXES = r"(?:sk-|[rsp]k_(?:live|test)_|plt_|gh[pousr]_|github_pat_|glpat-|hf_|npm_|xox[abeprs]-|AKIA|ASIA|AIza|eyJ|gsk_|xai-|SG\.)"


def is_address(text: str) -> bool:
    if not any(sign.isdigit() for sign in text):
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_phone(text: str, before: str) -> bool:
    """7 to 15 digits, as people write phone numbers: with a + or a 0 ahead, in groups, or beside a word for it."""
    digits = len(text.translate(_NO_DIGITS))
    if not 7 <= digits <= 15 or _DATE.match(text) or _SLASHED.search(before):
        return False
    if text.startswith(("+", "00", "(")):
        return True
    groups = len(_GROUP.findall(text))
    if groups > 1 and (text.startswith("0") or digits >= 10) and digits / groups >= 2:
        return True
    return (groups == 1 and text.startswith("0") and digits >= 9) or _CALLED.search(before) is not None


def is_secret(text: str) -> bool:
    """A known prefix with enough behind it that people would not write."""
    if text.startswith("eyJ"):
        return text.count(".") == 2
    return any(sign.isdigit() for sign in text) or text.startswith("-")


class Form(NamedTuple):
    """`gate` is part of the set; `pattern` finds where; `parts` that only some of its groups may be what is meant."""

    kind: str
    gate: str
    pattern: str
    check: Callable[[str, str], bool] | None
    parts: bool
    before: str = ""
    """Signs that must not stand before it, beside those of words."""
    closed: bool = True
    """Whether a sign of a word must not stand behind it."""
    least: int = 0
    """Signs that it has at least."""


_NUMBER = r"(?:\+|\(?0{0,2})?\d(?:[ ./()-]{0,2}\d){6,16}"
FORMS = (
    Form(
        "secret",
        rf"{_PREFIXES}[\w-]{{10}}",
        rf"{_PREFIXES}[\w-]{{10,}}(?:\.[\w-]{{8,}}){{0,2}}",
        lambda text, _: is_secret(text),
        False,
        "-",
    ),
    Form(
        "secret",
        r"-----BEGIN ",
        r"-----BEGIN [A-Z ]{0,24}PRIVATE KEY-----[A-Za-z0-9+/=\s\\]*(?:-----END [A-Z ]{0,24}PRIVATE KEY-----)?",
        None,
        False,
        closed=False,
    ),
    Form(
        "email",
        r"[\w.%+'-]@[\w-]+\.",
        r"[\w.%+'-]{1,64}@(?:[\w-]{1,63}\.){1,8}[a-zA-Z]{2,24}",
        None,
        False,
        closed=False,
    ),
    Form(
        "iban",
        r"[A-Za-z]{2}\d\d(?: ?[A-Za-z0-9]){11}",
        r"[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]){11,30}",
        lambda text, _: is_iban(text),
        True,
        least=15,
    ),
    Form("card", r"\d(?:[ -]?\d){12}", r"\d(?:[ -]?\d){12,18}", lambda text, _: is_card(text), True, "-", least=13),
    Form("national_number", r"\d(?:[ .+-]?\d){8}", r"\d(?:[ .+-]?\d){8,14}", is_national, True, "-.", least=9),
    Form(
        "national_number",
        r"(?:[A-Za-z]{2} ?\d\d ?\d\d ?\d\d ?|\d{6}[\d-]|[A-Za-z]{6}[0-9A-Za-z]{2}[A-Za-z]\d)[0-9A-Za-z]",
        r"[A-Za-z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-Da-d]|[XYZxyz]?-?\d{7,8}-?[A-Za-z]|[A-Za-z]{6}[0-9A-Za-z]{2}[A-Za-z]\d[0-9A-Za-z]{6}",
        lambda text, _: is_national_lettered(text),
        False,
        "-",
    ),
    Form("ip", r"\d\.\d{1,3}\.\d{1,3}\.\d", r"(?:\d{1,3}\.){3}\d{1,3}", lambda text, _: is_address(text), False, ".:"),
    Form(
        "ip",
        r"[0-9A-Fa-f]:[0-9A-Fa-f:]*:[0-9A-Fa-f]|::[0-9A-Fa-f]|[0-9A-Fa-f]::",
        r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}",
        lambda text, _: is_address(text),
        False,
        ".:",
    ),
    Form("phone", r"\d(?:[ ./()-]{0,2}\d){6}", _NUMBER, is_phone, True, "+.-", least=7),
)

# All that may become a match with what follows.
OPEN = {
    "secret": rf"{_PREFIXES}[\w.-]*|\w{{1,12}}-?|-{{1,5}}(?:B(?:EGIN? ?)?)?|-----BEGIN [-A-Za-z0-9+/=\s\\]*",
    "email": r"[\w.%+'-]{1,64}(?:@[\w.-]{0,560})?",
    "iban": r"[A-Za-z](?:[A-Za-z](?:\d(?:\d(?: ?[A-Za-z0-9]){0,30} ?)?)?)?",
    "national_number": r"[A-Za-z]{2} ?[\d ]{0,9}|[A-Za-z]{1,6}[0-9A-Za-z]{0,11}|[XYZxyz]-?\d{0,8}-?",
    "ip": r"[0-9A-Fa-f:.]{1,48}",
}
