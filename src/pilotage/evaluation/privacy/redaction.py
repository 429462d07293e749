"""How much of the personal data in labelled texts the gateway's patterns find, and how much of what they find is any."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.errors import FaultyFile, NotMeasured
from pilotage.evaluation.measures import CONFIDENCE, Measure
from pilotage.guardrails.personal_data import redact
from pilotage.stats.interval import wilson

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STRUCTURED = frozenset(
    {"EMAIL_ADDRESS", "CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS", "PHONE_NUMBER", "US_SSN", "NATIONAL_NUMBER", "SECRET"}
)
"""What has a form. Everything else (names, addresses, places, dates) has none, and patterns do not find it."""
_MARKED = re.compile(r"\{([A-Z_]+)\|([^{}]+)\}")
_PLACE = re.compile(r"\[(?:secret|api_key|email|iban|card|national_number|ip|phone)\]")


class Span(msgspec.Struct, frozen=True):
    entity_type: str
    start_position: int
    end_position: int


class Labelled(msgspec.Struct, frozen=True):
    full_text: str
    spans: tuple[Span, ...] = ()


def read_labelled(name: str, data: bytes) -> list[Labelled]:
    """Return the texts of a file; raise FaultyFile by line where it is none.

    JSON is a list as presidio-research writes it: `full_text` and `spans` with `entity_type`, `start_position`,
    `end_position`. Other files hold a text a line, with what is personal marked as `{EMAIL_ADDRESS|anna@post.example}`.
    """
    try:
        if name.endswith(".json"):
            found = msgspec.json.decode(data, type=list[Labelled])
        else:
            found = [_marked(line) for line in data.decode("utf-8-sig").splitlines() if line.strip()]
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise FaultyFile([f"{name}:1: holds no labelled texts: {fault}"], outcome="nothing was measured") from None
    for at, one in enumerate(found):
        if any(not 0 <= span.start_position < span.end_position <= len(one.full_text) for span in one.spans):
            raise FaultyFile([f"{name}:1: text {at + 1} has a span outside it"], outcome="nothing was measured")
    if not any(one.spans for one in found):
        raise FaultyFile([f"{name}:1: labels nothing as personal"], outcome="nothing was measured")
    return found


@cache
def built_in() -> tuple[Labelled, ...]:
    data = resources.files("pilotage.evaluation.privacy").joinpath("labelled.txt").read_bytes()
    return tuple(read_labelled("labelled.txt", data))


def redaction(texts: Sequence[Labelled]) -> list[Measure]:
    """Return recall of what has a form, recall of everything, and precision; raise NotMeasured where nothing has a form."""
    found, labelled = Counter[str](), Counter[str]()
    right = taken = 0
    for one in texts:
        spans = list(_found(one.full_text))
        taken += len(spans)
        right += sum(any(_meet(span, label) for label in one.spans) for span in spans)
        for label in one.spans:
            labelled[label.entity_type] += 1
            found[label.entity_type] += _covered(label, spans)
    formed = [kind for kind in labelled if kind in STRUCTURED]
    if not formed:
        raise NotMeasured("no text holds anything that has a form, such as an e-mail address or a card's number")
    by_type = {kind: [found[kind], labelled[kind]] for kind in sorted(labelled)}
    detail = {"by_type": by_type, "texts": len(texts), "structured": sorted(formed)}
    rates: list[tuple[str, int, int, str]] = [
        ("redaction_recall", sum(found[kind] for kind in formed), sum(labelled[kind] for kind in formed), "of labelled structured identifiers that redaction covers; names and addresses are not among them"),
        ("redaction_recall_all", found.total(), labelled.total(), "of all labelled personal data that redaction covers, names and addresses too"),
        ("redaction_precision", right, taken, "of what redaction took that is labelled as personal data of any kind"),
    ]  # fmt: skip
    return [_rate(*rate, detail) for rate in rates if rate[2]]


def _rate(name: str, right: int, n: int, what: str, detail: dict[str, Any]) -> Measure:
    interval = wilson(right, n, CONFIDENCE)
    method = f"share {what}, Wilson interval"
    return Measure(
        measure=name, value=interval.value, low=interval.low, high=interval.high, n=n, method=method, detail=detail
    )


def _found(text: str) -> Iterator[tuple[int, int]]:
    """Yield where redaction took something out: the text between two placeholders stands in the original, in order."""
    redacted, hits = redact(text)
    if not hits:
        return
    parts = _PLACE.split(redacted)
    at = 0
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        start = len(text) - len(part) if last else text.find(part, at)
        if start < at:
            return
        if number:
            yield at, start
        at = start + len(part)


def _covered(label: Span, spans: Sequence[tuple[int, int]]) -> bool:
    """Return whether at least nine tenths of what is labelled were taken: a label may hold a full stop at its end."""
    length = label.end_position - label.start_position
    taken = sum(max(0, min(end, label.end_position) - max(start, label.start_position)) for start, end in spans)
    return taken >= 0.9 * length


def _meet(span: tuple[int, int], label: Span) -> bool:
    return span[0] < label.end_position and label.start_position < span[1]


def _marked(line: str) -> Labelled:
    text, spans, at = "", [], 0
    for found in _MARKED.finditer(line):
        text += line[at : found.start()]
        spans.append(Span(found[1], len(text), len(text) + len(found[2])))
        text += found[2]
        at = found.end()
    return Labelled(text + line[at:], tuple(spans))
