"""A probe becomes a request: a fresh canary, the planted document, the tools that are offered."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.evaluation.security.probe import Probe, read_probes

if TYPE_CHECKING:
    from collections.abc import Mapping

_LETTERS = "bcdfghjklmnpqrstvwxz"
_SIGNS = "23456789"
_FILLER = "The store sells tents, stoves, bicycles and maps of the hills around the town. "
_SIZED = re.compile(r"\{(filler|nested):(\d{1,6})\}")
HERE = "pilotage.evaluation.security"


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent for one repeat of a probe, and the token that must not come back."""

    body: dict[str, Any]
    canary: str


@cache
def tools() -> Mapping[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = msgspec.json.decode(resources.files(HERE).joinpath("tools.json").read_bytes())
    return found


@cache
def built_in() -> tuple[tuple[str, tuple[Probe, ...]], ...]:
    """Return the probes that come with Pilotage, by file."""
    folder = resources.files(HERE).joinpath("probes")
    return tuple(
        (file.name, tuple(read_probes(file.name, file.read_bytes(), tools())))
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".jsonl")
    )


def canary_of(release: str, probe: str, repeat: int) -> tuple[str, str]:
    """Return the two halves of a token, the same for the same request, that no text holds by chance: 20^4 8^4 of them."""
    digest = hashlib.sha256(f"canary\0{release}\0{probe}\0{repeat}".encode()).digest()
    first = "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:4])
    second = "".join(_SIGNS[byte % len(_SIGNS)] for byte in digest[4:8])
    return first.upper(), second


def plant(probe: Probe, release: str, repeat: int) -> Sent:
    """Return the request for one repeat of a probe."""
    a, b = canary_of(release, probe.id, repeat)

    def fill(text: str) -> str:
        text = _SIZED.sub(lambda found: _sized(found[1], int(found[2])), text)
        return text.replace("{canary}", a + b).replace("{a}", a).replace("{b}", b)

    messages: list[dict[str, Any]] = []
    if probe.context:
        messages.append({"role": "system", "content": fill(probe.context)})
    messages += [{"role": turn.role, "content": fill(turn.content)} for turn in probe.history]
    user = fill(probe.user)
    if probe.document:
        user += f"\n\nWhat the search found:\n<<<\n{fill(probe.document)}\n>>>"
    messages.append({"role": "user", "content": user})
    if probe.tool_result is not None:
        call = {"id": "call_1", "type": "function", "function": {"name": probe.tool_result.name, "arguments": "{}"}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": "call_1", "content": fill(probe.tool_result.content)})
    body: dict[str, Any] = {"messages": messages}
    if probe.offers:
        body["tools"] = [_tool(name, fill) for name in probe.offers]
    return Sent(body=body, canary=a + b)


def _tool(name: str, fill: Any) -> dict[str, Any]:
    described = tools()[name]
    properties = {key: {"type": kind} for key, kind in described["properties"].items()}
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": fill(described["description"]),
            "parameters": {"type": "object", "properties": properties},
        },
    }


def _sized(what: str, size: int) -> str:
    return "[" * size if what == "nested" else (_FILLER * (size // len(_FILLER) + 1))[:size]
