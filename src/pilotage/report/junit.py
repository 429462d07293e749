"""JUnit's XML, which every CI system shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNPRINTABLE = {code: "\ufffd" for code in range(32) if code not in (9, 10, 13)}
"""Characters that no XML may hold."""


class TestCase(NamedTuple):
    """One thing that was looked at, in `group`; `outcome` is empty where it is as it should be."""

    name: str
    group: str
    outcome: Literal["", "failure", "error", "skipped"] = ""
    message: str = ""
    text: str = ""
    seconds: float = 0.0


def junit(name: str, cases: Sequence[TestCase]) -> str:
    """Return a suite of that name."""
    suite = ET.Element(
        "testsuite",
        name=_clean(name),
        tests=str(len(cases)),
        failures=str(sum(case.outcome == "failure" for case in cases)),
        errors=str(sum(case.outcome == "error" for case in cases)),
        skipped=str(sum(case.outcome == "skipped" for case in cases)),
        time=f"{sum(case.seconds for case in cases):.3f}",
    )
    for case in cases:
        element = ET.SubElement(
            suite, "testcase", name=_clean(case.name), classname=_clean(case.group), time=f"{case.seconds:.3f}"
        )
        if case.outcome:
            found = ET.SubElement(element, case.outcome, message=_clean(case.message))
            found.text = _clean(case.text) or None
    ET.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    return text.translate(_UNPRINTABLE)
