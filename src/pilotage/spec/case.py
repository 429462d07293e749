"""Evaluation cases: one example a line, as JSON or in a table. Free of pydantic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.spec.case_table import rows
from pilotage.spec.expectation import FORMS, AtMost, Number, Retrieves, Similar, form_faults
from pilotage.spec.fault import looks_secret, meant
from pilotage.spec.media import MEDIA, Picture, Sound, media_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

_TEXT = ("id", "text", "scenario", "kind", "group", "surface")
_TABLE = (*_TEXT, "messages", "required", "forbidden", "exact", "contains")
"""What a table can hold."""
_KEYS = (*_TABLE, *FORMS, *MEDIA)
_ROLES = ("system", "developer", "user", "assistant", "tool")
_SHOWN = 20
_LONGEST_ID = 200


class Case(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One example. A reply is right when of every group in `required` one alternative is in it, and nothing `forbidden`.

    Compared without regard to case, white space collapsed. `exact` is the whole reply, compared likewise; `contains`
    are texts that must all be in it, to the letter. The rest is what `spec.expectation` says. A case with none of all these is asked and measured for time and
    cost, and scored for nothing. `kind` says what it tests: `quality`, `security`, `privacy` or a word of the team's own.
    Cases with the same `group` are alike (one conversation, one document, one question in several words), so they count for less than
    as many cases of their own. `surface` is what is asked for, a chat unless it says `images` or `speech`: then `text` is what
    is painted or read aloud, and the case expects a `picture` or a `sound`. `messages` is a conversation in the place of one question; `text` is then what the user says last in it.
    """

    id: str
    text: str
    messages: tuple[dict[str, Any], ...] = ()
    scenario: str = ""
    kind: str = "quality"
    group: str = ""
    required: tuple[tuple[str, ...], ...] = ()
    forbidden: tuple[str, ...] = ()
    exact: str | None = None
    contains: tuple[str, ...] = ()
    regex: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None
    number: Number | None = None
    similar: Similar | None = None
    at_most: AtMost | None = None
    retrieves: Retrieves | None = None
    refuses: bool | None = None
    surface: str = "chat"
    picture: Picture | None = None
    sound: Sound | None = None

    @property
    def scorable(self) -> bool:
        """Return whether it says anything about a right reply."""
        said = (
            self.exact,
            self.schema,
            self.number,
            self.similar,
            self.at_most,
            self.retrieves,
            self.refuses,
            self.picture,
            self.sound,
        )
        return bool(self.required or self.forbidden or self.contains or self.regex) or any(
            one is not None for one in said
        )


class Line(msgspec.Struct, frozen=True):
    """One fault of a case file."""

    number: int
    says: str


def read_cases(data: bytes, name: str = "") -> tuple[list[tuple[int, Case]], list[Line]]:
    """Return ([(line, case), ...], faults) of a JSONL file, or of a table where its name ends in .csv.

    Blank lines are passed over.
    """
    cases: list[tuple[int, Case]] = []
    faults: list[Line] = []
    found = rows(data, _TABLE) if name.lower().endswith(".csv") else _decoded(data)
    for number, value in found:
        case, wrong = (None, [value]) if isinstance(value, str) else _case(value)
        faults += [Line(number, says) for says in wrong]
        if case is not None:
            cases.append((number, case))
    if not cases and not faults:
        faults.append(
            Line(1, 'holds no case; write one a line, such as {"id": "a1", "text": "...", "required": [["..."]]}')
        )
    return cases, faults


def shortened(faults: list[Line]) -> list[Line]:
    """Return the first faults, and one line for how many more there are."""
    if len(faults) <= _SHOWN:
        return faults
    more = len(faults) - _SHOWN
    return [
        *faults[:_SHOWN],
        Line(faults[_SHOWN].number, f"and {more} more fault{'s' if more > 1 else ''} in this file"),
    ]


def _decoded(data: bytes) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield (line, the object on it), or (line, what is wrong with it)."""
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield number, f"is not JSON ({error}); write one object a line"
            continue
        if isinstance(value, dict):
            yield number, value
        else:
            yield number, 'is not a JSON object; write {"id": "...", "text": "...", "required": [["..."]]}'


def _case(value: dict[str, Any]) -> tuple[Case | None, list[str]]:
    wrong = [*_text_faults(value), *_list_faults(value), *form_faults(value), *media_faults(value)]
    for key in value:
        near = meant(key, _KEYS)
        if key not in _KEYS and near.startswith("; did you mean") and near.split("'")[1] not in value:
            wrong.append(f"unknown key '{key[:60]}'{near}")
    if wrong:
        return None, wrong
    known = {key: value[key] for key in _KEYS if key in value}
    if "messages" in known:
        known["text"] = _last_said(known["messages"])
    return msgspec.convert(known, Case), []


def _text_faults(value: dict[str, Any]) -> list[str]:
    wrong = []
    for key in _TEXT:
        if key not in value:
            if key == "id" or (key == "text" and "messages" not in value):
                wrong.append(f'lacks "{key}"; every case has an id and a text')
        elif not isinstance(value[key], str):
            wrong.append(f'"{key}" must be text in quotes')
        elif not value[key].strip() and key not in ("scenario", "group"):
            wrong.append(f'"{key}" is empty')
        elif key == "id" and len(value[key]) > _LONGEST_ID:
            wrong.append(f'"id" is longer than {_LONGEST_ID} characters')
        elif looks_secret(value[key]):
            wrong.append(f'"{key}" holds what looks like an API key; remove it')
    if "messages" in value:
        if "text" in value:
            wrong.append('has both "text" and "messages"; give one question or one conversation')
        elif not _last_said(value["messages"]):
            wrong.append(
                '"messages" must be a conversation in which the user says something, such as'
                ' [{"role": "user", "content": "..."}]'
            )
    if "exact" in value and not isinstance(value["exact"], str):
        wrong.append('"exact" must be text in quotes: the whole reply')
    return wrong


def _last_said(messages: Any) -> str:
    """Return the text of the last user message; empty where there is none, or where it is no conversation."""
    if not isinstance(messages, list):
        return ""
    said = ""
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            return ""
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"text": content}]
        texts = [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
        if message["role"] == "user" and any(map(str.strip, texts)):
            said = " ".join(texts)
    return said


def _list_faults(value: dict[str, Any]) -> list[str]:
    required = value.get("required", [])
    wrong = []
    if not isinstance(required, list) or not all(isinstance(group, list) and _texts(group) for group in required):
        wrong.append(
            '"required" must be a list of groups of alternatives, such as [["30 days", "thirty days"], ["refund"]]'
        )
    for key in ("forbidden", "contains"):
        texts = value.get(key, [])
        if not isinstance(texts, list) or (texts and not _texts(texts)):
            wrong.append(f'"{key}" must be a list of texts, such as ["guarantee"]')
    return wrong


def _texts(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(item, str) and item.strip() for item in values)
