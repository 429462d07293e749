"""Everything that Pilotage raises on purpose.

PilotageError                 a message that says what was wrong, and a hint that says what would be right
+-- Refused          exit 1   the answer is no, with a reason
|   +-- FaultyFile            a use-case folder with faults, all of them at once
|   +-- GateClosed            the gate's criteria are not all met
|   +-- NotFound              no such use case, release, variant or key
|   +-- Conflict              somebody else changed it first, or it does not fit the present state
|   +-- Denied                the key lacks the role
|   +-- WorkspaceUnusable     locked, read-only, of a newer version, full, or not there
|   +-- Tampered              the ledger does not verify
+-- WrongCall        exit 2   the command or request itself is wrong
+-- NotMeasured      exit 3   could not measure: never a pass
+-- RequestError              a gateway request that gets an OpenAI-shaped error
+-- UpstreamError             the provider failed: down, slow, refused, garbage, broken off
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class PilotageError(Exception):
    """A fault with a message for people; `hint` says what would be right."""

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 400
    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def as_json(self) -> dict[str, object]:
        """Return what the control API and `--json` print."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class Refused(PilotageError):
    code = "refused"
    http_status = 409


class FaultyFile(Refused):
    """Holds every fault found, as `file:line: what is wrong, what would be right`."""

    code = "faulty_file"
    http_status = 422

    def __init__(self, faults: Sequence[str], *, outcome: str = "nothing was registered") -> None:
        count = len(faults)
        super().__init__(f"{count} fault{'s' if count != 1 else ''} found; {outcome}")
        self.faults = tuple(faults)

    def as_json(self) -> dict[str, object]:
        return {**super().as_json(), "faults": list(self.faults)}


class GateClosed(Refused):
    """A closed gate; `gate` is the gate as plain data, with every criterion."""

    code = "gate_closed"

    def __init__(self, message: str, *, gate: Mapping[str, object], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.gate = gate

    def as_json(self) -> dict[str, object]:
        return {**super().as_json(), "gate": dict(self.gate)}


class NotFound(Refused):
    code = "not_found"
    http_status = 404


class Conflict(Refused):
    code = "conflict"


class Denied(Refused):
    code = "denied"
    http_status = 403


class WorkspaceUnusable(Refused):
    code = "workspace_unusable"
    http_status = 503


class Tampered(Refused):
    code = "tampered"


class WrongCall(PilotageError):
    exit_code = 2
    code = "wrong_call"


class NotMeasured(PilotageError):
    exit_code = 3
    code = "not_measured"


class RequestError(PilotageError):
    """A refused gateway request, in OpenAI's shape `{"error": {"message", "type", "param", "code"}}`."""

    def __init__(
        self, status: int, message: str, *, code: str, kind: str = "invalid_request_error", param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.error_code = code
        self.param = param


class UpstreamError(PilotageError):
    """The provider failed.

    `kind` is one of `barred` (by the organisation's rules), `connect`, `timeout`, `status:<code>`, `protocol`, `broken`, `pipeline`, `busy`, `open`, `prompt`,
    `internal`; `status` the HTTP status a caller should see; `body` the provider's own error body where it sent one (bytes, at most
    64 KiB); `retry_after` the seconds after which asking again may help, 0 where nobody said.
    """

    def __init__(self, kind: str, message: str, *, status: int = 502, body: bytes = b"") -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status
        self.body = body
        self.retry_after = 0.0
