"""From the turns of a Messages request to chat messages.

What chat completions have no word for (cache marks, signed thoughts) stays under the names in `OWN`, for a release that
sits at a provider which speaks Messages itself.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pilotage.serving.request import faulty, wrong

OWN = frozenset({"cache_control", "thinking_blocks", "is_error"})

Block = dict[str, Any]


def system(value: object) -> list[dict[str, Any]]:
    """Return the system message, if there is one."""
    if value is None or value == "":
        return []
    return [{"role": "system", "content": _content(value, "system")}]


def turns(messages: object) -> list[dict[str, Any]]:
    """Return chat messages; raise RequestError that names the turn at fault in `param`."""
    if not isinstance(messages, list):
        raise wrong("messages", messages, "a list of messages")
    if not messages:
        raise faulty("messages is empty; send at least one message", param="messages", code="empty_messages")
    out: list[dict[str, Any]] = []
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        if not isinstance(message, dict):
            raise wrong(where, message, "an object with role and content")
        role, content = message.get("role"), message.get("content")
        if role == "assistant":
            out.append(_assistant(content, where))
        elif role in ("user", "system"):
            out += _asked(role, content, where)
        else:
            raise wrong(f"{where}.role", role, "'user' or 'assistant'")
    return out


def _asked(role: str, content: object, where: str) -> list[dict[str, Any]]:
    """A turn's tool results become messages of their own, ahead of what the user says beside them."""
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    blocks = _blocks(content, f"{where}.content")
    out = []
    for number, block in enumerate(blocks):
        if block["type"] == "tool_result":
            said = block.get("content")
            result: dict[str, Any] = {
                "role": "tool",
                "tool_call_id": block.get("tool_use_id"),
                "content": "" if said is None else _content(said, f"{where}.content[{number}].content"),
            }
            if block.get("is_error"):
                result["is_error"] = True
            out.append(result)
    rest = [block for block in blocks if block["type"] != "tool_result"]
    if rest or not out:
        out.append({"role": role, "content": _content(rest, f"{where}.content")})
    return out


def _assistant(content: object, where: str) -> dict[str, Any]:
    if isinstance(content, str):
        return {"role": "assistant", "content": content}
    blocks = _blocks(content, f"{where}.content")
    message: dict[str, Any] = {"role": "assistant"}
    thoughts = [block for block in blocks if block["type"] in ("thinking", "redacted_thinking")]
    calls = [_call(block) for block in blocks if block["type"] == "tool_use"]
    rest = [block for block in blocks if block not in thoughts and block["type"] != "tool_use"]
    message["content"] = _content(rest, f"{where}.content") if rest else None
    if calls:
        message["tool_calls"] = calls
    if thoughts:
        message["thinking_blocks"] = thoughts
    return message


def _call(block: Block) -> dict[str, Any]:
    arguments = msgspec.json.encode(block.get("input") or {}).decode()
    return {
        "id": block.get("id"),
        "type": "function",
        "function": {"name": block.get("name"), "arguments": arguments},
    }


def _content(value: object, where: str) -> str | list[Block]:
    """Return text where that is all there is, for not every server takes parts."""
    if isinstance(value, str):
        return value
    parts = [_part(block, f"{where}[{number}]") for number, block in enumerate(_blocks(value, where))]
    if len(parts) == 1 and set(parts[0]) == {"type", "text"}:
        text: str = parts[0]["text"]
        return text
    return parts


def _part(block: Block, where: str) -> Block:
    source = block.get("source")
    match block["type"]:
        case "text" if isinstance(block.get("text"), str):
            part: Block = {"type": "text", "text": block["text"]}
        case "image" if isinstance(source, dict) and source.get("type") in ("base64", "url"):
            part = {"type": "image_url", "image_url": {"url": _url(source)}}
        case "document" if isinstance(source, dict) and source.get("type") == "base64":
            part = {"type": "file", "file": {"file_data": _url(source), "filename": block.get("title") or "document"}}
        case "document" if isinstance(source, dict) and source.get("type") == "text":
            part = {"type": "text", "text": source.get("data") or ""}
        case kind:
            named = f"a block of type {kind!r}" if len(kind) <= 40 else "this block"
            raise faulty(
                f"{where}: {named} cannot be carried to other providers", param=where, code="unsupported_block"
            )
    return {**part, "cache_control": block["cache_control"]} if "cache_control" in block else part


def _url(source: dict[str, Any]) -> str:
    if source["type"] == "url":
        return str(source.get("url"))
    return f"data:{source.get('media_type')};base64,{source.get('data')}"


def _blocks(value: object, where: str) -> list[Block]:
    if not isinstance(value, list):
        raise wrong(where, value, "text, or a list of blocks")
    for number, block in enumerate(value):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise wrong(f"{where}[{number}]", block, "an object with a type")
    return value


def plain(value: Any) -> Any:
    """Return a chat request's value without what only Messages has a word for."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) if key == "content" else item for key, item in value.items() if key not in OWN}
    return value
