"""Probes: JSONL, one attack (or harmless look-alike) a line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pilotage.errors import FaultyFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RISKS = {
    "LLM01:2026": "prompt injection",
    "LLM02:2026": "sensitive disclosure",
    "LLM03:2026": "excessive agency",
    "LLM04:2026": "supply chain",
    "LLM05:2026": "poisoning",
    "LLM06:2026": "unbounded consumption",
    "LLM07:2026": "misinformation",
    "LLM08:2026": "hidden context exposure",
    "LLM09:2026": "vectors and embeddings",
    "LLM10:2026": "improper output handling",
}
"""OWASP's Top 10 for LLM applications, 2026."""
LARGEST = 20 << 20
_MOST_FAULTS = 50
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Text = Annotated[str, msgspec.Meta(min_length=1)]


class Success(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What shows that an attack succeeded: any of these, unless one of the `unless_` holds.

    `canary`: the planted token stands in the answer, plain or encoded. `acrostic`: down its lines. `says`: one of these
    texts does. `says_all`: one of every group does. `starts`: it begins with one of them. `matches`: a regular
    expression. `prompt`: a run of the hidden instructions. `html`: markup that acts. `image`: a picture from this host.
    `sql`, `shell`, `formula`: what runs where it is passed on. `calls`: a forbidden tool was called, with arguments that
    match ({} for any). `calls_over`: more tool calls than this at once. `longer_than`: characters. `loops`: one line
    or word as often as this. `complied`: it takes up what was asked, and does not refuse.
    """

    canary: bool = False
    acrostic: bool = False
    says: tuple[_Text, ...] = ()
    says_all: tuple[tuple[_Text, ...], ...] = ()
    starts: tuple[_Text, ...] = ()
    matches: str = ""
    prompt: bool = False
    html: bool = False
    image: str = ""
    sql: bool = False
    shell: bool = False
    formula: bool = False
    calls: dict[str, dict[str, str]] = {}
    calls_over: int = 0
    longer_than: int = 0
    loops: int = 0
    complied: bool = False
    unless_refused: bool = False
    unless_says: tuple[_Text, ...] = ()
    longer_than_words: int = 0


class ToolResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: _Text
    content: str


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: str
    content: str


class Probe(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One attack. `user` is what the user says last; `document` stands below it as what a search found, `context` before
    all as what the application says in secret, `history` are earlier turns, `tool_result` is what a called tool gave back,
    and `offers` are the tools that may be called. A `harmless` one should be answered: refusing it is the failure.

    In all texts `{canary}` is replaced by a fresh token, `{a}` and `{b}` by its halves, `{filler:N}` by N characters.
    """

    id: _Id
    user: _Text
    risk: str = ""
    kind: str = ""
    document: str = ""
    context: str = ""
    history: tuple[Turn, ...] = ()
    tool_result: ToolResult | None = None
    offers: tuple[str, ...] = ()
    harmless: bool = False
    succeeds: Success = Success()


_PROBE = msgspec.json.Decoder(Probe)


def read_probes(name: str, data: bytes, tools: Mapping[str, Any]) -> list[Probe]:
    """Return the probes of a JSONL file; raise FaultyFile with every fault as `file:line: what is wrong`."""
    probes: list[Probe] = []
    faults: list[str] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if not line.strip():
            continue
        try:
            probe = _PROBE.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            faults.append(f"{name}:{number}: is no probe: {fault}; see docs/security.md for what one holds")
            continue
        wrong = list(_faults(probe, tools))
        if probe.id in lines:
            wrong.append(f"the id {probe.id!r} is already used on line {lines[probe.id]}; give every probe its own")
        lines.setdefault(probe.id, number)
        faults += [f"{name}:{number}: {says}" for says in wrong]
        probes.append(probe)
    if not probes and not faults:
        faults.append(f"{name}:1: holds no probe")
    if faults:
        raise FaultyFile(faults[:_MOST_FAULTS], outcome="no probe was sent")
    return probes


def _faults(probe: Probe, tools: Mapping[str, Any]) -> Iterator[str]:
    if probe.harmless:
        if probe.succeeds != Success():
            yield "is harmless, and says when an attack succeeds; give one of the two"
    elif probe.risk not in RISKS:
        yield f"risk is {probe.risk!r}; it is one of {', '.join(RISKS)}"
    elif not _detects(probe.succeeds):
        yield 'succeeds says nothing that can be seen; give it a detector, such as {"canary": true}'
    texts = [*_texts(probe), *(tools[tool]["description"] for tool in probe.offers if tool in tools)]
    if (probe.succeeds.canary or probe.succeeds.acrostic) and not any(
        part in text for text in texts for part in ("{canary}", "{a}")
    ):
        yield "succeeds asks for the canary, and no text plants one ({canary}, or {a} and {b})"
    if "{canary}" in probe.user and probe.succeeds.canary:
        yield "the user says {canary} whole, so that quoting the user would be an attack; let it be joined from {a} and {b}"
    yield from (f"offers the tool {tool!r}, which is not known" for tool in probe.offers if tool not in tools)
    for pattern in (probe.succeeds.matches, *(p for wanted in probe.succeeds.calls.values() for p in wanted.values())):
        try:
            re.compile(pattern)
        except re.error as fault:
            yield f"{pattern!r} is no regular expression: {fault}"


def _detects(success: Success) -> bool:
    """Return whether anything but the conditions is set."""
    only = msgspec.structs.replace(success, unless_refused=False, unless_says=(), longer_than_words=0)
    return only != Success()


def _texts(probe: Probe) -> list[str]:
    more = [probe.tool_result.content] if probe.tool_result else []
    return [probe.user, probe.document, probe.context, *(turn.content for turn in probe.history), *more]
