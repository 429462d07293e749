"""A provider's fault as callers see it, in OpenAI's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.upstream.chat import UNREADABLE

if TYPE_CHECKING:
    from pilotage.errors import UpstreamError


class _Said(msgspec.Struct):
    message: str = ""
    param: str | None = None
    code: Any = None


class _Body(msgspec.Struct):
    error: _Said


def as_error(fault: UpstreamError) -> dict[str, Any]:
    """Return `{"error": {...}}`; the provider's own words are added where the caller can act on them.

    Never for 401 and 403 of the provider: those are about our key, and repeat parts of it.
    """
    message, param = fault.message, None
    if 400 <= fault.status < 500 and fault.body:
        try:
            said = msgspec.json.decode(fault.body, type=_Body).error
        except UNREADABLE:
            said = _Said()
        if said.message:
            message = f"{message}: {said.message}"
        if isinstance(said.code, str) and said.code and said.code not in message:
            # The provider's own word for it, such as content_policy_violation, is what programs can go by.
            message = f"{message} ({said.code[:80]})"
        param = said.param
    code = "upstream_" + fault.kind.replace(":", "_")
    return {"error": {"message": message, "type": "upstream_error", "param": param, "code": code}}
