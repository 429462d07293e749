"""The request: parsed into a chat, with what only Messages knows set aside for providers that speak it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pilotage.serving.chat import ChatRequest
from pilotage.serving.messages.form import MessagesForm
from pilotage.serving.messages.reply import to_message
from pilotage.serving.messages.turns import plain, system, turns
from pilotage.serving.request import fields, wrong

if TYPE_CHECKING:
    from pilotage.serving.outcome import Outcome
    from pilotage.serving.stream import Form
    from pilotage.spec.release import Release

_SAME = ("model", "stream", "max_tokens", "temperature", "top_p")
_READ = frozenset({*_SAME, "system", "messages", "stop_sequences", "tools", "tool_choice", "metadata", "user"})
_CHOICES = {"auto": "auto", "none": "none", "any": "required"}


class MessagesRequest(ChatRequest, frozen=True, kw_only=True):
    surface: ClassVar[str] = "messages"

    own: dict[str, Any]
    """Fields that only Messages knows, such as `thinking` and `top_k`."""

    @property
    def everything(self) -> dict[str, Any]:
        return {**self.own, **self.body}

    def outgoing(self, release: Release) -> dict[str, Any]:
        body = super().outgoing(release)
        if release.upstream.kind == "anthropic":
            return {**self.own, **body}
        body["messages"] = plain(body["messages"])
        if "tools" in body:
            body["tools"] = plain(body["tools"])
        return body

    def whole(self, reply: bytes, content_type: str, outcome: Outcome) -> tuple[bytes, str]:
        completion, content_type = super().whole(reply, content_type, outcome)
        return to_message(completion), content_type

    def form(self, outcome: Outcome) -> Form:
        return MessagesForm(outcome)


def parse(data: bytes) -> MessagesRequest:
    """Return the request; raise RequestError that names the field at fault in `param`."""
    given, model, stream, user = fields(data)
    said = [*system(given.get("system")), *turns(given.get("messages"))]
    body = {name: given[name] for name in _SAME if name in given}
    body["messages"] = said
    if given.get("stop_sequences"):
        body["stop"] = given["stop_sequences"]
    tools = given.get("tools")
    if tools:
        if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
            raise wrong("tools", tools, "a list of tools")
        body["tools"] = [_tool(tool) for tool in tools]
        _choose(given.get("tool_choice"), body)
    _shape(given.get("output_config"), body)
    metadata = given.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("user_id"), str):
        user = user or metadata["user_id"]
    if user:
        # A digest takes its place before anything goes out.
        body["user"] = user
    return MessagesRequest(
        body=body,
        model=model,
        said=said,
        stream=stream,
        wants_usage=True,
        user=user,
        own={name: value for name, value in given.items() if name not in _READ},
    )


def _shape(wanted: object, body: dict[str, Any]) -> None:
    """What shape an answer must have is said by both protocols."""
    form = wanted.get("format") if isinstance(wanted, dict) else None
    if isinstance(form, dict) and form.get("type") == "json_schema" and isinstance(form.get("schema"), dict):
        schema = {"name": "answer", "schema": form["schema"], "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("type") not in (None, "custom"):
        # One of Anthropic's own, which only its servers can run.
        return tool
    function = {"name": tool.get("name"), "parameters": tool.get("input_schema")}
    function |= {name: tool[name] for name in ("description", "strict") if name in tool}
    out: dict[str, Any] = {"type": "function", "function": function}
    return {**out, "cache_control": tool["cache_control"]} if "cache_control" in tool else out


def _choose(choice: object, body: dict[str, Any]) -> None:
    if choice is None:
        return
    if not isinstance(choice, dict):
        raise wrong("tool_choice", choice, "an object with a type")
    if choice.get("type") == "tool":
        body["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    else:
        body["tool_choice"] = _CHOICES.get(str(choice.get("type")), "auto")
    if choice.get("disable_parallel_tool_use"):
        body["parallel_tool_calls"] = False
