"""How a provider's fault is told."""

from __future__ import annotations

from pilotage.errors import UpstreamError


def fault(
    host: str, kind: str, says: str, cause: Exception | None = None, *, status: int = 502, body: bytes = b""
) -> UpstreamError:
    """Return the error. Callers read the message, which names no address; the log reads the hint, which does.

    Of the cause only its kind is told: its own text may repeat headers.
    """
    error = UpstreamError(kind, says, status=status, body=body)
    why = getattr(cause, "verify_message", "") or getattr(cause, "strerror", None) or ""
    if not why and cause is not None:
        why = type(cause).__name__
    error.hint = f"{host}: {why}" if why else host
    return error
