"""The schemas that one request's answer is held against: the file's, or what the request itself asks for; and its tools'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.guardrails.conformance import conformance

if TYPE_CHECKING:
    from pilotage.serving.request import Request
    from pilotage.spec.filter_rule import FilterRule
    from pilotage.spec.release import Release

_ANY_OBJECT = {"type": "object"}


class Wanted:
    """Raises Unusable where the schema is none that can be used."""

    def __init__(self, rule: FilterRule, request: Request, release: Release) -> None:
        asked = {**request.body, **release.parameters}
        own = None if rule.schema else _own(asked, chats=request.chats)
        schema = rule.schema or (_text(own) if own is not None else "")
        self._text = conformance(schema) if schema else None
        self._tools = _tools(asked.get("tools"))

    def __bool__(self) -> bool:
        """Return whether there is anything to hold an answer against."""
        return self._text is not None or bool(self._tools)

    def faults(self, text: str) -> str:
        """Return what is wrong with a text, or an empty string; raise Late where telling could take long."""
        return "" if self._text is None else "; ".join(self._text.faults(text))

    def call_faults(self, name: str, arguments: str) -> str:
        """Return what is wrong with a call of a tool that was offered; raise Late, or Unusable for a tool's own schema."""
        schema = self._tools.get(name)
        return "" if schema is None else "; ".join(conformance(_text(schema)).faults(arguments or "{}"))


def _own(asked: dict[str, Any], *, chats: bool) -> dict[str, Any] | None:
    text = asked.get("text")
    form = asked.get("response_format") if chats else text.get("format") if isinstance(text, dict) else None
    if not isinstance(form, dict):
        return None
    if form.get("type") == "json_object":
        return _ANY_OBJECT
    if form.get("type") != "json_schema":
        return None
    holder = form.get("json_schema") if chats else form
    schema = holder.get("schema") if isinstance(holder, dict) else None
    return schema if isinstance(schema, dict) else None


def _tools(offered: Any) -> dict[str, dict[str, Any]]:
    found = {}
    for tool in offered if isinstance(offered, list) else ():
        own = tool.get("function", tool) if isinstance(tool, dict) else None
        if isinstance(own, dict) and isinstance(own.get("name"), str) and isinstance(own.get("parameters"), dict):
            found[own["name"]] = own["parameters"]
    return found


def _text(schema: dict[str, Any]) -> str:
    return msgspec.json.encode(schema).decode()
