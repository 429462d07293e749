"""Refusals and faults in Anthropic's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.serving import fault as chat_fault

if TYPE_CHECKING:
    from pilotage.errors import RequestError, UpstreamError

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def as_error(fault: UpstreamError) -> dict[str, Any]:
    """Return what a provider's fault is told as, by the same rules as to callers of chat completions."""
    return shaped(fault.status, chat_fault.as_error(fault)["error"]["message"])


def as_refusal(fault: RequestError) -> dict[str, Any]:
    return shaped(fault.status, fault.message)


def shaped(status: int, message: str) -> dict[str, Any]:
    kind = _KINDS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": message}}
