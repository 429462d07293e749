"""From a chat request to a Messages request.

What Messages knows under the same name passes through (`thinking`, `top_k`, `metadata`, ...); what only chat
completions knows is left out, for two variants of one use case may well sit at two providers.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pilotage.errors import UpstreamError
from pilotage.upstream.chat import UNREADABLE

MAX_TOKENS = 4096
"""Messages insists on a bound; callers of chat completions need not know one."""

_SAME = (
    "model",
    "stream",
    "top_p",
    "top_k",
    "thinking",
    "output_config",
    "metadata",
    "container",
    "mcp_servers",
    "context_management",
    "service_tier",
)
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_UNSAID = ("input_audio", "file", "video_url")
_TIERS = ("auto", "standard_only")

Block = dict[str, Any]


def to_messages(body: dict[str, Any]) -> dict[str, Any]:
    """Return the Messages request; raise UpstreamError 400 for what cannot be said there."""
    out = {name: body[name] for name in _SAME if body.get(name) is not None}
    if out.get("service_tier") not in (None, *_TIERS):
        del out["service_tier"]
    out["max_tokens"] = body.get("max_completion_tokens") or body.get("max_tokens") or MAX_TOKENS
    system, out["messages"] = _conversation(body["messages"])
    if system:
        out["system"] = system
    if isinstance(body.get("temperature"), int | float):
        # There it ends at 1, here at 2.
        out["temperature"] = min(body["temperature"], 1)
    stop = body.get("stop")
    if stop:
        out["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if (body.get("n") or 1) != 1:
        raise _unsaid("n other than 1")
    user = body.get("safety_identifier") or body.get("user")
    if user:
        # A keyed digest, never the user.
        out["metadata"] = {"user_id": user}
    elif "metadata" in out and "user_id" not in out["metadata"]:
        # OpenAI's metadata are the caller's own labels; Messages knows nothing but the user.
        del out["metadata"]
    tools = [_tool(tool) for tool in body.get("tools") or ()]
    if tools:
        out["tools"] = tools
        choice = _choice(body.get("tool_choice"), parallel=body.get("parallel_tool_calls"))
        if choice:
            out["tool_choice"] = choice
    _shape(body.get("response_format"), out)
    return out


def _shape(wanted: object, out: dict[str, Any]) -> None:
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        schema = (wanted.get("json_schema") or {}).get("schema")
        if schema:
            out["output_config"] = {**out.get("output_config", {}), "format": {"type": "json_schema", "schema": schema}}


def _conversation(messages: list[dict[str, Any]]) -> tuple[list[Block], list[dict[str, Any]]]:
    """Return the system blocks, and the turns; neighbours of one role become one turn, as Messages wants its results."""
    system: list[Block] = []
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = message["role"]
        if role in ("system", "developer"):
            system += _parts(message.get("content"))
            continue
        if role == "tool":
            role, blocks = "user", [_result(message)]
        elif role == "assistant":
            blocks = [*(message.get("thinking_blocks") or ()), *_parts(message.get("content")), *_uses(message)]
        else:
            role, blocks = "user", _parts(message.get("content"))
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return system, turns


def _parts(content: object) -> list[Block]:
    if isinstance(content, str):
        # An empty text block is refused.
        return [{"type": "text", "text": content}] if content else []
    return [_part(part) for part in content if part.get("text") != ""] if isinstance(content, list) else []


def _part(part: Block) -> Block:
    match part["type"]:
        case "text":
            block: Block = {"type": "text", "text": part.get("text")}
        case "refusal":
            block = {"type": "text", "text": part.get("refusal")}
        case "image_url":
            image = part.get("image_url")
            block = {"type": "image", "source": _source(image.get("url") if isinstance(image, dict) else image)}
        case "file" if isinstance(part.get("file"), dict) and part["file"].get("file_data"):
            block = {"type": "document", "source": _source(part["file"]["file_data"])}
            if part["file"].get("filename"):
                block["title"] = part["file"]["filename"]
        case "image" | "document":
            block = part
        case other:
            # Named only where it is one of OpenAI's words: any other is the caller's own, which no log may repeat.
            raise _unsaid(f"a part of type {other!r}" if other in _UNSAID else "a part of this type")
    return {**block, "cache_control": part["cache_control"]} if "cache_control" in part else block


def _source(url: object) -> dict[str, Any]:
    if not isinstance(url, str):
        raise _unsaid("an image without an address")
    head, comma, data = url.partition(",")
    if url.startswith("data:") and comma and head.endswith(";base64"):
        return {"type": "base64", "media_type": head[5:-7], "data": data}
    return {"type": "url", "url": url}


def _uses(message: dict[str, Any]) -> list[Block]:
    uses = []
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        try:
            given = msgspec.json.decode(function.get("arguments") or "{}")
        except UNREADABLE:
            raise _unsaid("a tool call whose arguments are not JSON") from None
        uses.append({"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": given})
    return uses


def _result(message: dict[str, Any]) -> Block:
    block: Block = {"type": "tool_result", "tool_use_id": message.get("tool_call_id")}
    content = _parts(message.get("content"))
    if content:
        block["content"] = content
    if message.get("is_error"):
        block["is_error"] = True
    return block


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, dict):
        # One of the provider's own, such as web search, which passes through as it is.
        return tool
    out = {"name": function.get("name"), "input_schema": function.get("parameters") or {"type": "object"}}
    for name in ("description", "strict"):
        if function.get(name) is not None:
            out[name] = function[name]
    if "cache_control" in tool:
        out["cache_control"] = tool["cache_control"]
    return out


def _choice(choice: object, *, parallel: object) -> dict[str, Any] | None:
    if isinstance(choice, str):
        out: dict[str, Any] | None = {"type": _CHOICES.get(choice, "auto")}
    elif isinstance(choice, dict) and isinstance(choice.get("function"), dict):
        out = {"type": "tool", "name": choice["function"].get("name")}
    else:
        out = {"type": "auto"} if parallel is False else None
    if parallel is False and out is not None and out["type"] != "none":
        out["disable_parallel_tool_use"] = True
    return out


def _unsaid(what: str) -> UpstreamError:
    return UpstreamError("protocol", f"this provider speaks Messages, which has no word for {what}", status=400)
